//! A metric family: one metric for each combination of label values, told apart by the values themselves.
//!
//! The library's own vectors know their children by a hash of all values run together, so that `team1`/`app` and
//! `team`/`1app` would be one. Its gauges and counters hold their name and help each, which for some thousand objects is
//! most of the memory; here a series is a number, and families share the label values.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, LabelPair, MetricFamily, MetricType};
use prometheus::{Histogram, HistogramOpts, Result};

/// A kind of metric.
pub(super) trait Kind: Send + Sized + 'static {
    const TYPE: MetricType;

    /// A new metric; `buckets` count for histograms alone.
    fn new(name: &str, help: &str, buckets: &[f64]) -> Result<Self>;

    /// What is exposed, without labels.
    fn metric(&self) -> proto::Metric;
}

/// A number that counts up.
#[derive(Debug, Default)]
pub(super) struct Counter(u64);

impl Counter {
    pub(super) fn inc(&mut self) {
        self.inc_by(1);
    }

    pub(super) fn inc_by(&mut self, step: u64) {
        self.0 = self.0.wrapping_add(step);
    }
}

impl Kind for Counter {
    const TYPE: MetricType = MetricType::COUNTER;

    fn new(_: &str, _: &str, _: &[f64]) -> Result<Self> {
        Ok(Counter::default())
    }

    fn metric(&self) -> proto::Metric {
        let mut counter = proto::Counter::default();
        // Prometheus counts in floats.
        #[allow(clippy::cast_precision_loss)]
        counter.set_value(self.0 as f64);
        let mut metric = proto::Metric::default();
        metric.set_counter(counter);
        metric
    }
}

/// A number.
#[derive(Debug, Default)]
pub(super) struct Gauge(f64);

impl Gauge {
    pub(super) fn set(&mut self, value: f64) {
        self.0 = value;
    }

    pub(super) fn add(&mut self, step: f64) {
        self.0 += step;
    }
}

impl Kind for Gauge {
    const TYPE: MetricType = MetricType::GAUGE;

    fn new(_: &str, _: &str, _: &[f64]) -> Result<Self> {
        Ok(Gauge::default())
    }

    fn metric(&self) -> proto::Metric {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(self.0);
        let mut metric = proto::Metric::default();
        metric.set_gauge(gauge);
        metric
    }
}

impl Kind for Histogram {
    const TYPE: MetricType = MetricType::HISTOGRAM;

    fn new(name: &str, help: &str, buckets: &[f64]) -> Result<Self> {
        Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))
    }

    fn metric(&self) -> proto::Metric {
        prometheus::core::Metric::metric(self)
    }
}

/// The values of a family's labels, in the order of the labels.
pub(super) type Labels<const N: usize> = Arc<[String; N]>;

/// A family with `N` labels; a handle that is cheap to clone.
pub(super) struct Family<M, const N: usize>(Arc<Inner<M, N>>);

struct Inner<M, const N: usize> {
    name: &'static str,
    help: &'static str,
    labels: [&'static str; N],
    buckets: Vec<f64>,
    description: Desc,
    series: Mutex<BTreeMap<Labels<N>, M>>,
}

impl<M, const N: usize> Clone for Family<M, N> {
    fn clone(&self) -> Self {
        Family(Arc::clone(&self.0))
    }
}

impl<M: Kind, const N: usize> Family<M, N> {
    /// Without a series.
    pub(super) fn new(
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
        buckets: &[f64],
    ) -> Result<Self> {
        let names = labels.map(str::to_string).to_vec();
        let description = Desc::new(name.to_string(), help.to_string(), names, std::collections::HashMap::new())?;
        // What cannot be made here could never be made later.
        M::new(name, help, buckets)?;
        let (buckets, series) = (buckets.to_vec(), Mutex::default());
        Ok(Family(Arc::new(Inner { name, help, labels, buckets, description, series })))
    }

    fn series(&self) -> MutexGuard<'_, BTreeMap<Labels<N>, M>> {
        self.0.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the metric with these label values, which begins at 0.
    pub(super) fn update(&self, values: &Labels<N>, change: impl FnOnce(&mut M)) {
        let mut series = self.series();
        if let Some(known) = series.get_mut(values) {
            change(known);
        } else if let Ok(mut new) = M::new(self.0.name, self.0.help, &self.0.buckets) {
            change(&mut new);
            series.insert(Arc::clone(values), new);
        }
    }

    /// As [`Family::update`].
    pub(super) fn with(&self, values: [&str; N], change: impl FnOnce(&mut M)) {
        self.update(&Arc::new(values.map(str::to_string)), change);
    }

    /// Removes all series whose first label values are these.
    pub(super) fn remove(&self, first: &[String]) {
        let mut series = self.series();
        let mut from: [String; N] = std::array::from_fn(|_| String::new());
        from.iter_mut().zip(first).for_each(|(place, value)| place.clone_from(value));
        let gone: Vec<_> = series
            .range::<[String; N], _>(from..)
            .map(|(values, _)| values)
            .take_while(|values| values.starts_with(first))
            .cloned()
            .collect();
        for values in gone {
            series.remove(&values);
        }
    }
}

impl<M: Kind, const N: usize> Collector for Family<M, N> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let series = self.series();
        let metrics = series.iter().map(|(values, metric)| {
            let mut metric = metric.metric();
            let mut pairs: Vec<LabelPair> =
                self.0.labels.iter().zip(values.iter()).map(|(label, value)| pair(label, value)).collect();
            pairs.sort_by(|one, other| one.name().cmp(other.name()));
            metric.set_label(pairs);
            metric
        });
        let mut family = MetricFamily::default();
        family.set_name(self.0.name.to_string());
        family.set_help(self.0.help.to_string());
        family.set_field_type(M::TYPE);
        family.set_metric(metrics.collect());
        vec![family]
    }
}

fn pair(label: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(label.to_string());
    pair.set_value(value.to_string());
    pair
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family() -> Family<Gauge, 2> {
        Family::new("paused", "Whether it is.", ["namespace", "name"], &[]).unwrap()
    }

    fn values(family: &Family<Gauge, 2>) -> Vec<f64> {
        family.series().values().map(|gauge| gauge.0).collect()
    }

    #[test]
    fn series_are_told_apart_by_each_value() {
        let family = family();
        family.with(["team1", "app"], |gauge| gauge.set(1.0));
        family.with(["team", "1app"], |gauge| gauge.set(2.0));
        family.with(["team", "1app"], |gauge| gauge.add(1.0));
        assert_eq!(values(&family), [3.0, 1.0]);
    }

    #[test]
    fn series_go_by_their_first_values() {
        let family = family();
        for (namespace, name) in [("a", "x"), ("a", "y"), ("ab", "x"), ("b", "x")] {
            family.with([namespace, name], |gauge| gauge.set(1.0));
        }
        family.remove(&["a".to_string()]);
        family.remove(&["b".to_string(), "y".to_string()]);
        assert_eq!(values(&family).len(), 2);
        family.remove(&[]);
        assert!(values(&family).is_empty());
    }
}
