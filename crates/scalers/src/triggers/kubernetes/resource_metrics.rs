//! `cpu` and `memory`: resource metrics of the pods, which the HPA reads by itself (`scalers/cpu.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, ResourceMetric, ResourceTarget};
use keda_core::quantity::Quantity;
use keda_core::sample::{ErrorKind, SourceError};

use crate::client::Sources;
use crate::trigger::{Scaler, Specs, Trigger};

/// Scale on the CPU or memory that the pods use.
///
/// The HPA reads this metric by itself, from the metrics server of the cluster, and takes the average over all pods.
/// `metricType` of the trigger is needed, and says what `value` is:
///
/// - `Utilization`: per cent of what the containers request, such as `"70"`. Each container must have a request, or a
///   limit that stands for it.
/// - `AverageValue`: an amount per pod, such as `500m` of CPU or `400Mi` of memory.
///
/// There is no activation: pods that do not run use nothing, so the trigger never brings the target up from zero. It
/// takes another trigger that is not `cpu` or `memory` to scale to zero, and then only those others decide on it. An
/// object without one must set `minReplicaCount` to 1 or more, as its default is 0.
///
/// Of all metrics of an object the HPA obeys the one that wants the most replicas. Formulas (`scalingModifiers`),
/// ScaledJobs and `useCachedMetrics` do not work with this trigger. No login is needed.
///
/// ```yaml
/// type: cpu
/// metricType: Utilization
/// metadata:
///   value: "70"
/// ```
///
/// ```yaml
/// type: memory
/// metricType: AverageValue
/// metadata:
///   value: 400Mi
///   containerName: web
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct ResourceMetrics {
    /// The target: a whole number of per cent of the request such as `70`, or an amount per pod such as `500m` or
    /// `400Mi`, as `metricType` says.
    #[meta(trigger)]
    value: String,
    /// Name of the container to look at, so that sidecars do not count; all of them by default.
    #[meta(trigger)]
    container_name: Option<String>,
    /// Removed: `metricType` of the trigger says it.
    #[meta(
        name = "type",
        trigger,
        one_of("Utilization", "AverageValue"),
        deprecated = "The 'type' setting is DEPRECATED and is removed in v2.18 - Use 'metricType' instead."
    )]
    #[allow(dead_code, reason = "it exists to be refused")]
    removed_type: Option<String>,
}

impl ResourceMetrics {
    fn check(&mut self, reader: &mut Reader<'_>) {
        let metric_type = &reader.context().metric_type;
        match self.target(metric_type) {
            _ if reader.has_errors() => {}
            Ok(_) => {}
            Err(message) if matches!(metric_type.as_str(), "Utilization" | "AverageValue") => {
                reader.error_at("value", message);
            }
            Err(message) => reader.error_beside("metricType", message),
        }
    }

    fn target(&self, metric_type: &str) -> Result<ResourceTarget, String> {
        match metric_type {
            "Utilization" => self
                .value
                .parse()
                .map(ResourceTarget::Utilization)
                .map_err(|_| format!("value {:?} must be a whole number of per cent", self.value)),
            "AverageValue" => self
                .value
                .parse::<Quantity>()
                .map(ResourceTarget::AverageValue)
                .map_err(|error| format!("value {:?} must be a quantity such as 500m or 1Gi: {error}", self.value)),
            other => Err(format!("unknown metric type: {other}, allowed values are 'Utilization' or 'AverageValue'")),
        }
    }
}

impl Trigger for ResourceMetrics {
    fn specs(&self, context: &Context) -> Specs {
        let Ok(target) = self.target(&context.metric_type) else { return Specs::Known(Vec::new()) };
        let name = context.trigger_type.clone();
        Specs::one(MetricSpec::Resource(ResourceMetric { name, container: self.container_name.clone(), target }))
    }

    fn connect(self, _: &Context, _: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        Err(SourceError::new(ErrorKind::Unsupported, "cpu and memory are read by the HPA, not by keda"))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn specs(metric_type: &str, value: &str) -> Result<Specs, String> {
        let context = Context { trigger_type: "cpu".into(), metric_type: metric_type.into(), ..Context::default() };
        let (metrics, problems) = parse::<ResourceMetrics>(&Inputs::from_metadata([("value", value)]), &context);
        match problems.first() {
            None => Ok(metrics.specs(&context)),
            Some(problem) => Err(problem.message.clone()),
        }
    }

    #[test]
    fn the_metric_type_says_what_the_value_is() {
        let resource = |target| {
            Ok(Specs::one(MetricSpec::Resource(ResourceMetric { name: "cpu".into(), container: None, target })))
        };
        assert_eq!(specs("Utilization", "50"), resource(ResourceTarget::Utilization(50)));
        assert_eq!(specs("AverageValue", "500m"), resource(ResourceTarget::AverageValue("500m".parse().unwrap())));
        assert!(specs("Utilization", "50%").is_err());
        assert!(specs("AverageValue", "abc").is_err());
        assert!(specs("", "50").unwrap_err().starts_with("unknown metric type"));
    }
}
