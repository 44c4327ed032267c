//! The series of custom resources: what is registered, and how each metric of an object is doing.

use std::sync::Arc;

use keda_core::engine::{Definition, Measure, Modifiers, ObjectKey, TriggerDefinition};
use keda_core::names::COMPOSITE_METRIC;
use keda_scalers::client::notices::Notice;
use keda_scalers::sampler::Sampled;
use keda_scalers::scaler_name;

use super::Metrics;
use super::family::{Counter, Labels};

/// `type` of the series of a ScaledObject.
const SCALED_OBJECT: &str = "scaledobject";

/// A custom resource that is there; it is counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    metrics: Metrics,
    resource: Labels<2>,
    triggers: Vec<String>,
}

impl Registration {
    fn count(&self, step: f64) {
        let families = self.metrics.families();
        families.resources.update(&self.resource, |gauge| gauge.add(step));
        for trigger in &self.triggers {
            families.triggers.with([trigger], |gauge| gauge.add(step));
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.count(-1.0);
    }
}

impl Metrics {
    /// A resource is there: its type (`scaled_object`, `cluster_trigger_authentication`, …), its namespace (empty for
    /// one of the cluster), and the types of its triggers.
    pub(crate) fn register<'a>(
        &self,
        resource: &str,
        namespace: &str,
        triggers: impl Iterator<Item = &'a str>,
    ) -> Registration {
        let namespace = if namespace.is_empty() { "default" } else { namespace };
        let registration = Registration {
            metrics: self.clone(),
            resource: Arc::new([resource.to_string(), namespace.to_string()]),
            triggers: triggers.map(str::to_string).filter(|trigger| !trigger.is_empty()).collect(),
        };
        registration.count(1.0);
        registration
    }

    /// The series of a ScaledObject, none so far.
    pub(crate) fn object(&self, key: &ObjectKey) -> ObjectSeries {
        let ObjectKey { namespace, name } = key;
        ObjectSeries {
            metrics: self.clone(),
            object: Arc::new([namespace.clone(), name.clone()]),
            scale_loop: Arc::new([namespace.clone(), name.clone(), SCALED_OBJECT.to_string()]),
            series: Vec::new(),
            composes: false,
            registration: None,
        }
    }
}

/// The series of one ScaledObject. They go when this is dropped.
#[derive(Debug)]
pub(crate) struct ObjectSeries {
    metrics: Metrics,
    /// Namespace and name.
    object: Labels<2>,
    /// Namespace, name and type.
    scale_loop: Labels<3>,
    /// In the order of the triggers.
    series: Vec<MetricSeries>,
    /// Whether a formula makes one metric of all.
    composes: bool,
    registration: Option<Registration>,
}

#[derive(Debug)]
struct MetricSeries {
    trigger: usize,
    labels: Labels<6>,
    /// Failed readings that were not evaluated yet.
    failures: u64,
}

impl ObjectSeries {
    /// The object is there, with triggers of these types.
    pub(crate) fn register<'a>(&mut self, triggers: impl Iterator<Item = &'a str>) {
        let [namespace, _] = &*self.object;
        self.registration = Some(self.metrics.register("scaled_object", namespace, triggers));
    }

    /// The object was reconciled: what was known of its metrics is forgotten, and told anew at the next readings.
    pub(crate) fn reconciled(&mut self, definition: &Definition) {
        self.forget_metrics();
        let families = self.metrics.families();
        let pause = &definition.rules.pause;
        let paused = pause.is_full() || pause.scale_in || pause.scale_out;
        families.paused.update(&self.object, |gauge| gauge.set(f64::from(u8::from(paused))));
        self.composes = definition.rules.modifiers.as_ref().is_some_and(Modifiers::in_use);
        if !definition.triggers.is_empty() {
            families.object_errors.update(&self.object, |_| {});
        }
        self.series.clear();
        for (index, trigger) in definition.triggers.iter().enumerate() {
            let scaler = if trigger.name.is_empty() { scaler_name(&trigger.trigger_type) } else { &trigger.name };
            let is_resource = matches!(trigger.trigger_type.as_str(), "cpu" | "memory");
            if is_resource && !self.composes {
                let labels = self.labels(index, scaler, &trigger.trigger_type);
                families.active.update(&labels, |gauge| gauge.set(1.0));
            }
            let series = trigger.metrics.iter().map(|metric| MetricSeries {
                trigger: index,
                labels: self.labels(index, scaler, &metric.name),
                failures: 0,
            });
            let series: Vec<MetricSeries> = series.collect();
            self.series.extend(series);
        }
    }

    /// In the order of the table.
    fn labels(&self, trigger: usize, scaler: &str, metric: &str) -> Labels<6> {
        let [namespace, name] = (*self.object).clone();
        let labels =
            [namespace, name, SCALED_OBJECT.to_string(), trigger.to_string(), scaler.to_string(), metric.to_string()];
        Arc::new(labels)
    }

    /// The source of a trigger was read.
    pub(crate) fn sampled(&mut self, definition: &TriggerDefinition, sampled: &Sampled) {
        let families = self.metrics.families();
        let (_, trigger) = sampled.subscriber;
        let [namespace, name] = self.object.each_ref().map(String::as_str);
        if let Some(late) = sampled.late {
            families.loop_latency.update(&self.scale_loop, |gauge| gauge.set(late.as_secs_f64()));
        }
        for series in self.series.iter_mut().filter(|series| series.trigger == trigger) {
            // A source that was never asked took no time.
            if !sampled.took.is_zero() {
                families.latency.update(&series.labels, |gauge| gauge.set(sampled.took.as_secs_f64()));
            }
            series.failures += u64::from(sampled.result.is_err());
        }
        let metric = definition.metrics.first().map_or("", |metric| metric.name.as_str());
        for notice in &sampled.notices {
            match notice {
                Notice::Exchange { status, took } => {
                    let status = status.map_or_else(|| "error".to_string(), |status| status.to_string());
                    let (scaler, trigger) = (definition.trigger_type.as_str(), definition.name.as_str());
                    let labels = [namespace, name, scaler, trigger, metric, &status];
                    families.http_requests.with(labels, Counter::inc);
                    families.http_seconds.with([scaler, &status], |histogram| histogram.observe(took.as_secs_f64()));
                }
                Notice::Empty { ignored } => {
                    let ignored = if *ignored { "true" } else { "false" };
                    let labels = [namespace, name, &definition.name, metric, "ScaledObject", ignored];
                    families.empty_responses.with(labels, Counter::inc);
                }
            }
        }
    }

    /// All metrics were evaluated, in the order of the triggers. Only here it is known whether a fallback stands in for
    /// those that failed; they count as failed if not.
    pub(crate) fn evaluated<'a>(&mut self, measures: impl Iterator<Item = Measure<'a>>) {
        let families = self.metrics.families();
        let mut series = self.series.iter_mut();
        let mut counted = None;
        for Measure { metric, value, active } in measures {
            if metric == COMPOSITE_METRIC {
                if let Some(value) = value {
                    let [namespace, name] = self.object.each_ref().map(String::as_str);
                    let labels = [namespace, name, SCALED_OBJECT, "0", metric, metric];
                    families.value.with(labels, |gauge| gauge.set(value));
                    families.active.with(labels, |gauge| gauge.set(f64::from(u8::from(active))));
                }
                continue;
            }
            let Some(series) = series.next() else { return };
            let failures = std::mem::take(&mut series.failures);
            let Some(value) = value else {
                families.detail_errors.update(&series.labels, |counter| counter.inc_by(failures));
                // Several metrics of one trigger are one failure of the object.
                if counted.replace(series.trigger) != Some(series.trigger) {
                    families.object_errors.update(&self.object, |counter| counter.inc_by(failures));
                }
                continue;
            };
            families.detail_errors.update(&series.labels, |_| {});
            families.value.update(&series.labels, |gauge| gauge.set(value));
            if !self.composes {
                families.active.update(&series.labels, |gauge| gauge.set(f64::from(u8::from(active))));
            }
        }
    }

    /// A question of the HPA could not be answered, as the object cannot be used.
    pub(crate) fn refused(&self) {
        self.metrics.families().object_errors.update(&self.object, Counter::inc);
    }

    fn forget_metrics(&self) {
        let families = self.metrics.families();
        let [namespace, name] = (*self.object).clone();
        let first = [namespace, name, SCALED_OBJECT.to_string()];
        for gauges in [&families.active, &families.value, &families.latency] {
            gauges.remove(&first);
        }
        families.detail_errors.remove(&first);
    }
}

impl Drop for ObjectSeries {
    fn drop(&mut self) {
        self.forget_metrics();
        let families = self.metrics.families();
        families.object_errors.remove(&*self.object);
        families.paused.remove(&*self.object);
        families.loop_latency.remove(&*self.object);
        families.empty_responses.remove(&*self.object);
        families.http_requests.remove(&*self.object);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use keda_core::engine::{ExternalDefinition, Restored, Rules};
    use keda_core::metric::TargetType;
    use keda_core::quantity::Quantity;
    use keda_core::sample::{ErrorKind, Reading, SourceError};

    use super::super::Build;
    use super::*;

    fn trigger(trigger_type: &str, name: &str, metrics: &[&str]) -> TriggerDefinition {
        let metrics = metrics.iter().map(|metric| ExternalDefinition {
            name: (*metric).to_string(),
            target: Quantity::from_integer(5),
            target_type: TargetType::AverageValue,
        });
        TriggerDefinition {
            trigger_type: trigger_type.into(),
            name: name.into(),
            use_cached_metrics: false,
            metrics: metrics.collect(),
            is_described_by_source: false,
            fingerprint: 1,
        }
    }

    fn definition(triggers: Vec<TriggerDefinition>) -> Definition {
        Definition {
            key: ObjectKey { namespace: "shop".into(), name: "orders".into() },
            rules: Rules::default(),
            created: jiff::Timestamp::UNIX_EPOCH,
            target_kind: "apps/v1.Deployment".into(),
            target_name: "orders".into(),
            triggers,
            restored: Restored::default(),
        }
    }

    fn sampled(trigger: usize, result: Result<Reading, SourceError>, notices: Vec<Notice>) -> Sampled {
        let key = ObjectKey { namespace: "shop".into(), name: "orders".into() };
        let (took, late) = (Duration::from_millis(250), Some(Duration::from_millis(5)));
        Sampled { subscriber: (key, trigger), fingerprint: 1, result, took, late, notices }
    }

    fn failure() -> Result<Reading, SourceError> {
        Err(SourceError::new(ErrorKind::Unreachable, "gone"))
    }

    fn measure(metric: &str, value: Option<f64>) -> Measure<'_> {
        Measure { metric, value, active: value.is_some_and(|value| value > 0.0) }
    }

    /// The lines about objects, without their type and help.
    fn told(metrics: &Metrics) -> Vec<String> {
        let text = metrics.render();
        let lines = text.lines().filter(|line| line.starts_with("keda_") && !line.starts_with("keda_build_info"));
        lines.map(str::to_string).collect()
    }

    #[test]
    fn an_object_is_told_of_as_keda_does() {
        let metrics = Metrics::new(Build::default()).unwrap();
        let redis = trigger("redis", "", &["s0-redis-jobs"]);
        let definition = definition(vec![redis.clone(), trigger("cpu", "", &[])]);
        let mut series = metrics.object(&definition.key);
        series.register(["redis", "cpu"].into_iter());
        series.reconciled(&definition);
        series.sampled(&redis, &sampled(0, Ok(Vec::new()), Vec::new()));
        series.evaluated([measure("s0-redis-jobs", Some(7.5))].into_iter());
        let labels = "metric=\"s0-redis-jobs\",namespace=\"shop\",scaledObject=\"orders\",scaler=\"redisScaler\",\
                      triggerIndex=\"0\",type=\"scaledobject\"";
        let cpu = "metric=\"cpu\",namespace=\"shop\",scaledObject=\"orders\",scaler=\"cpuMemoryScaler\",\
                   triggerIndex=\"1\",type=\"scaledobject\"";
        let expected = [
            "keda_internal_scale_loop_latency_seconds{namespace=\"shop\",resource=\"orders\",type=\"scaledobject\"} 0.005",
            "keda_resource_registered_total{namespace=\"shop\",type=\"scaled_object\"} 1",
            "keda_scaled_object_errors_total{namespace=\"shop\",scaledObject=\"orders\"} 0",
            "keda_scaled_object_paused{namespace=\"shop\",scaledObject=\"orders\"} 0",
            &format!("keda_scaler_active{{{cpu}}} 1"),
            &format!("keda_scaler_active{{{labels}}} 1"),
            &format!("keda_scaler_detail_errors_total{{{labels}}} 0"),
            &format!("keda_scaler_metrics_latency_seconds{{{labels}}} 0.25"),
            &format!("keda_scaler_metrics_value{{{labels}}} 7.5"),
            "keda_trigger_registered_total{type=\"cpu\"} 1",
            "keda_trigger_registered_total{type=\"redis\"} 1",
        ];
        assert_eq!(told(&metrics), expected);
        drop(series);
        let left = [
            "keda_resource_registered_total{namespace=\"shop\",type=\"scaled_object\"} 0",
            "keda_trigger_registered_total{type=\"cpu\"} 0",
            "keda_trigger_registered_total{type=\"redis\"} 0",
        ];
        assert_eq!(told(&metrics), left);
    }

    #[test]
    fn failures_count_unless_a_fallback_stands_in() {
        let metrics = Metrics::new(Build::default()).unwrap();
        let named = trigger("redis", "queue", &["s0-redis-jobs"]);
        let mut series = metrics.object(&definition(Vec::new()).key);
        series.reconciled(&definition(vec![named.clone()]));
        let count = |metrics: &Metrics, family: &str| {
            let line = told(metrics).into_iter().find(|line| line.starts_with(family));
            line.and_then(|line| line.rsplit(' ').next().map(str::to_string))
        };
        series.sampled(&named, &sampled(0, failure(), Vec::new()));
        series.evaluated([measure("s0-redis-jobs", None)].into_iter());
        series.evaluated([measure("s0-redis-jobs", None)].into_iter());
        assert_eq!(count(&metrics, "keda_scaler_detail_errors_total").as_deref(), Some("1"), "one reading, one error");
        series.sampled(&named, &sampled(0, failure(), Vec::new()));
        series.evaluated([measure("s0-redis-jobs", Some(10.0))].into_iter());
        assert_eq!(count(&metrics, "keda_scaler_detail_errors_total").as_deref(), Some("1"));
        assert_eq!(count(&metrics, "keda_scaled_object_errors_total").as_deref(), Some("1"));
        series.reconciled(&definition(vec![named]));
        assert_eq!(count(&metrics, "keda_scaler_detail_errors_total"), None, "told anew after a reconciliation");
        assert_eq!(count(&metrics, "keda_scaled_object_errors_total").as_deref(), Some("1"));
        series.refused();
        assert_eq!(count(&metrics, "keda_scaled_object_errors_total").as_deref(), Some("2"));
    }

    #[test]
    fn with_a_formula_only_the_composite_metric_is_active() {
        let metrics = Metrics::new(Build::default()).unwrap();
        let mut definition = definition(vec![trigger("redis", "queue", &["s0-redis-jobs"])]);
        definition.rules.modifiers = Some(Modifiers { formula: "queue * 2".into(), ..Modifiers::default() });
        let mut series = metrics.object(&definition.key);
        series.reconciled(&definition);
        series.evaluated([measure("s0-redis-jobs", Some(2.0)), measure(COMPOSITE_METRIC, Some(4.0))].into_iter());
        let told = told(&metrics);
        let of = |family: &str| -> Vec<&String> { told.iter().filter(|line| line.starts_with(family)).collect() };
        let composite = "metric=\"composite-metric\",namespace=\"shop\",scaledObject=\"orders\",\
                         scaler=\"composite-metric\",triggerIndex=\"0\",type=\"scaledobject\"";
        assert_eq!(of("keda_scaler_active"), [&format!("keda_scaler_active{{{composite}}} 1")]);
        assert_eq!(of("keda_scaler_metrics_value").len(), 2);
    }

    #[test]
    fn requests_and_empty_answers_name_who_asked() {
        let metrics = Metrics::new(Build::default()).unwrap();
        let prometheus = trigger("prometheus", "", &["s0-prometheus"]);
        let mut series = metrics.object(&definition(Vec::new()).key);
        series.reconciled(&definition(vec![prometheus.clone()]));
        let took = Duration::from_millis(30);
        let notices = vec![
            Notice::Exchange { status: Some(200), took },
            Notice::Exchange { status: None, took },
            Notice::Empty { ignored: true },
        ];
        series.sampled(&prometheus, &sampled(0, Ok(Vec::new()), notices));
        let told = told(&metrics);
        let request = "keda_scaler_http_requests_total{metric_name=\"s0-prometheus\",namespace=\"shop\",\
                       scaled_resource=\"orders\",scaler=\"prometheus\",status_code=\"error\",trigger_name=\"\"} 1";
        let empty = "keda_scaler_empty_upstream_responses_total{ignoreNullValues=\"true\",metricName=\"s0-prometheus\",\
                     namespace=\"shop\",resourceType=\"ScaledObject\",scaledResource=\"orders\",triggerName=\"\"} 1";
        let bucket = "keda_scaler_http_request_duration_seconds_bucket{scaler=\"prometheus\",status_code=\"200\",\
                      le=\"0.05\"} 1";
        for line in [request, empty, bucket] {
            assert!(told.iter().any(|known| known == line), "{line} is not in {told:#?}");
        }
    }
}
