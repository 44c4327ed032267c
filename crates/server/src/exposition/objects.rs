//! The series of custom resources: what is registered, and how each metric of an object is doing.

use keda_core::engine::{Definition, Measure, Modifiers, ObjectKey, TriggerDefinition};
use keda_core::names::COMPOSITE_METRIC;
use keda_scalers::client::notices::Notice;
use keda_scalers::sampler::Sampled;
use keda_scalers::scaler_name;

use super::Metrics;

/// `type` of the series of a ScaledObject.
const SCALED_OBJECT: &str = "scaledobject";

/// A custom resource that is there; it is counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    metrics: Metrics,
    resource: [String; 2],
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
            resource: [resource.to_string(), namespace.to_string()],
            triggers: triggers.map(str::to_string).filter(|trigger| !trigger.is_empty()).collect(),
        };
        registration.count(1.0);
        registration
    }

    /// The series of a ScaledObject, none so far.
    pub(crate) fn object(&self, key: &ObjectKey) -> ObjectSeries {
        let object = [key.namespace.clone(), key.name.clone()];
        ObjectSeries { metrics: self.clone(), object, series: Vec::new(), composes: false, registration: None }
    }
}

/// The series of one ScaledObject. They go when this is dropped.
#[derive(Debug)]
pub(crate) struct ObjectSeries {
    metrics: Metrics,
    /// Namespace and name.
    object: [String; 2],
    /// In the order of the triggers.
    series: Vec<MetricSeries>,
    /// Whether a formula makes one metric of all.
    composes: bool,
    registration: Option<Registration>,
}

#[derive(Debug)]
struct MetricSeries {
    trigger: usize,
    labels: [String; 6],
    /// Failed readings that were not evaluated yet.
    failures: u64,
}

impl ObjectSeries {
    /// The object is there, with triggers of these types.
    pub(crate) fn register<'a>(&mut self, triggers: impl Iterator<Item = &'a str>) {
        let [namespace, _] = &self.object;
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
    fn labels(&self, trigger: usize, scaler: &str, metric: &str) -> [String; 6] {
        let [namespace, name] = self.object.clone();
        [namespace, name, SCALED_OBJECT.to_string(), trigger.to_string(), scaler.to_string(), metric.to_string()]
    }

    /// The source of a trigger was read.
    pub(crate) fn sampled(&mut self, definition: &TriggerDefinition, sampled: &Sampled) {
        let families = self.metrics.families();
        let (_, trigger) = sampled.subscriber;
        let [namespace, name] = self.object.each_ref().map(String::as_str);
        if let Some(late) = sampled.late {
            families.loop_latency.with([namespace, name, SCALED_OBJECT], |gauge| gauge.set(late.as_secs_f64()));
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
                    families.http_requests.with(labels, |counter| counter.inc());
                    families.http_seconds.with([scaler, &status], |histogram| histogram.observe(took.as_secs_f64()));
                }
                Notice::Empty { ignored } => {
                    let ignored = if *ignored { "true" } else { "false" };
                    let labels = [namespace, name, &definition.name, metric, "ScaledObject", ignored];
                    families.empty_responses.with(labels, |counter| counter.inc());
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
        self.metrics.families().object_errors.update(&self.object, |counter| counter.inc());
    }

    fn forget_metrics(&self) {
        let families = self.metrics.families();
        let [namespace, name] = self.object.clone();
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
        families.object_errors.remove(&self.object);
        families.paused.remove(&self.object);
        families.loop_latency.remove(&self.object);
        families.empty_responses.remove(&self.object);
        families.http_requests.remove(&self.object);
    }
}
