//! A metric family: one metric for each combination of label values, told apart by the values themselves.
//!
//! The library's own vectors know their children by a hash of all values run together, so that `team1`/`app` and
//! `team`/`1app` would be one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::{Collector, Desc, Metric};
use prometheus::proto::{LabelPair, MetricFamily, MetricType};
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, Result};

/// A kind of metric.
pub(super) trait Kind: Metric + 'static {
    const TYPE: MetricType;

    /// A new metric; `buckets` count for histograms alone.
    fn new(name: &str, help: &str, buckets: &[f64]) -> Result<Self>;
}

impl Kind for IntCounter {
    const TYPE: MetricType = MetricType::COUNTER;

    fn new(name: &str, help: &str, _: &[f64]) -> Result<Self> {
        IntCounter::new(name, help)
    }
}

impl Kind for Gauge {
    const TYPE: MetricType = MetricType::GAUGE;

    fn new(name: &str, help: &str, _: &[f64]) -> Result<Self> {
        Gauge::new(name, help)
    }
}

impl Kind for Histogram {
    const TYPE: MetricType = MetricType::HISTOGRAM;

    fn new(name: &str, help: &str, buckets: &[f64]) -> Result<Self> {
        Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))
    }
}

/// A family with `N` labels; a handle that is cheap to clone.
pub(super) struct Family<M, const N: usize>(Arc<Inner<M, N>>);

struct Inner<M, const N: usize> {
    name: &'static str,
    help: &'static str,
    labels: [&'static str; N],
    buckets: Vec<f64>,
    description: Desc,
    series: Mutex<BTreeMap<[String; N], M>>,
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

    fn series(&self) -> MutexGuard<'_, BTreeMap<[String; N], M>> {
        self.0.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the metric with these label values, which begins at 0.
    pub(super) fn update(&self, values: &[String; N], change: impl FnOnce(&M)) {
        let mut series = self.series();
        if let Some(known) = series.get(values) {
            change(known);
        } else if let Ok(new) = M::new(self.0.name, self.0.help, &self.0.buckets) {
            change(&new);
            series.insert(values.clone(), new);
        }
    }

    /// As [`Family::update`].
    pub(super) fn with(&self, values: [&str; N], change: impl FnOnce(&M)) {
        self.update(&values.map(str::to_string), change);
    }

    /// Removes all series whose first label values are these.
    pub(super) fn remove(&self, first: &[String]) {
        let mut series = self.series();
        let mut from: [String; N] = std::array::from_fn(|_| String::new());
        from.iter_mut().zip(first).for_each(|(place, value)| place.clone_from(value));
        let gone: Vec<_> = series
            .range(from..)
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
                self.0.labels.iter().zip(values).map(|(label, value)| pair(label, value)).collect();
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
        family.series().values().map(Gauge::get).collect()
    }

    #[test]
    fn series_are_told_apart_by_each_value() {
        let family = family();
        family.with(["team1", "app"], |gauge| gauge.set(1.0));
        family.with(["team", "1app"], |gauge| gauge.set(2.0));
        family.with(["team", "1app"], Gauge::inc);
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
