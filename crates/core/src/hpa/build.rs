//! The HorizontalPodAutoscaler that belongs to a ScaledObject (`behaviour.md` §1.7 and §1.8).

use std::collections::BTreeSet;

use super::object::{
    ContainerResourceMetricSource, ExternalMetricSource, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec,
    LabelSelector, MetricIdentifier, MetricSpec, MetricTarget, ObjectReference, ResourceMetricSource, SelectPolicy,
    TargetType,
};
use super::{Behavior, ScalingRules};
use crate::SmallMap;
use crate::api::{ObjectMeta, OwnerReference, ScaleTarget, ScaledObject};
use crate::engine::Rules;
use crate::metric::{self, ExternalMetric, ResourceTarget};
use crate::names::{COMPOSITE_METRIC, with_index};
use crate::quantity::Quantity;

/// The label by which the HPA's questions name their ScaledObject.
pub const SCALED_OBJECT_LABEL: &str = "scaledobject.keda.sh/name";
/// Labels that are not copied to the HPA.
const EXCLUDED_LABELS: &str = "scaledobject.keda.sh/hpa-excluded-labels";
/// The longest label value.
const LABEL_LENGTH: usize = 63;

/// A metric of the trigger at this position.
pub type IndexedSpec = (usize, metric::MetricSpec);

/// Builds the HPA.
///
/// # Errors
/// KEDA's text: no metrics, metrics of the same name, an impossible behavior.
pub fn build(object: &ScaledObject, rules: &Rules, specs: &[IndexedSpec]) -> Result<HorizontalPodAutoscaler, String> {
    let (namespace, name) = (object.metadata.namespace(), &object.metadata.name);
    if specs.is_empty() {
        return Err(format!("no metric specs returned from scalers for ScaledObject {namespace}/{name}"));
    }
    let mut seen = BTreeSet::new();
    let mut metrics = Vec::new();
    for (index, spec) in specs {
        if let metric::MetricSpec::External(external) = spec
            && !seen.insert(with_index(*index, &external.name))
        {
            let metric = with_index(*index, &external.name);
            return Err(format!("metricName {metric} defined multiple times in ScaledObject {name}"));
        }
        metrics.push(metric_of(*index, spec, name));
    }
    metrics.sort_by_key(type_name);
    if let Some(composite) = composite(rules, name) {
        metrics.retain(|metric| matches!(metric, MetricSpec::Resource(_)));
        metrics.push(composite);
    }
    let hpa_name = object.hpa_name();
    let metadata = ObjectMeta {
        name: hpa_name.clone(),
        namespace: Some(namespace.to_string()),
        labels: labels(object, &hpa_name),
        annotations: object.metadata.annotations.clone(),
        owner_references: vec![owner(object)],
        ..ObjectMeta::default()
    };
    let spec = HorizontalPodAutoscalerSpec {
        scale_target_ref: reference(&object.spec.scale_target_ref),
        min_replicas: Some(rules.hpa_minimum()),
        max_replicas: rules.hpa_maximum(),
        metrics,
        behavior: behavior(object, rules)?,
    };
    Ok(HorizontalPodAutoscaler::new(metadata, spec))
}

/// Kubernetes' word for the kind of metric, by which KEDA sorts.
fn type_name(metric: &MetricSpec) -> &'static str {
    match metric {
        MetricSpec::ContainerResource(_) => "ContainerResource",
        MetricSpec::External(_) => "External",
        MetricSpec::Object(_) => "Object",
        MetricSpec::Pods(_) => "Pods",
        MetricSpec::Resource(_) => "Resource",
    }
}

fn metric_of(index: usize, spec: &metric::MetricSpec, object: &str) -> MetricSpec {
    match spec {
        metric::MetricSpec::External(ExternalMetric { name, target, target_type }) => {
            let target_type = target_type.as_ref().unwrap_or(&metric::TargetType::AverageValue);
            external(with_index(index, name), target.quantity(), target_type, object)
        }
        metric::MetricSpec::Resource(resource) => {
            let target = match &resource.target {
                ResourceTarget::Utilization(percent) => MetricTarget {
                    target_type: TargetType::Utilization,
                    average_utilization: Some(*percent),
                    average_value: None,
                    value: None,
                },
                ResourceTarget::AverageValue(value) => MetricTarget {
                    target_type: TargetType::AverageValue,
                    average_utilization: None,
                    average_value: Some(value.clone()),
                    value: None,
                },
            };
            match &resource.container {
                None => MetricSpec::Resource(ResourceMetricSource { name: resource.name.clone(), target }),
                Some(container) => MetricSpec::ContainerResource(ContainerResourceMetricSource {
                    name: resource.name.clone(),
                    container: container.clone(),
                    target,
                }),
            }
        }
    }
}

fn external(name: String, value: Quantity, target_type: &metric::TargetType, object: &str) -> MetricSpec {
    let (target_type, average_value, value) = match target_type {
        metric::TargetType::AverageValue => (TargetType::AverageValue, Some(value), None),
        _ => (TargetType::Value, None, Some(value)),
    };
    let match_labels = SmallMap::from_iter([(SCALED_OBJECT_LABEL.to_string(), object.to_string())]);
    MetricSpec::External(ExternalMetricSource {
        metric: MetricIdentifier {
            name,
            selector: Some(LabelSelector { match_labels, match_expressions: Vec::new() }),
        },
        target: MetricTarget { target_type, average_value, value, average_utilization: None },
    })
}

/// The one metric that stands for all triggers when there is a formula with a target.
fn composite(rules: &Rules, object: &str) -> Option<MetricSpec> {
    let modifiers = rules.modifiers.as_ref()?;
    let target = modifiers.composite_target()?;
    let target_type = metric::TargetType::of_external(&modifiers.metric_type).ok()?;
    // A float cast saturates.
    #[allow(clippy::cast_possible_truncation)]
    let quantity = Quantity::from_milli((target * 1000.0) as i64);
    Some(external(COMPOSITE_METRIC.to_string(), quantity, &target_type, object))
}

fn labels(object: &ScaledObject, hpa_name: &str) -> SmallMap<String, String> {
    let name = &object.metadata.name;
    let shortened: String = hpa_name.chars().take(LABEL_LENGTH).collect();
    let shortened = shortened.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    let mut labels = SmallMap::from_iter([
        ("app.kubernetes.io/name".to_string(), shortened.to_string()),
        ("app.kubernetes.io/version".to_string(), env!("CARGO_PKG_VERSION").to_string()),
        ("app.kubernetes.io/part-of".to_string(), name.clone()),
        ("app.kubernetes.io/managed-by".to_string(), "keda-operator".to_string()),
    ]);
    let excluded: Vec<&str> = object.metadata.annotation(EXCLUDED_LABELS).unwrap_or_default().split(',').collect();
    let own = [(SCALED_OBJECT_LABEL.to_string(), name.clone())];
    let given = object.metadata.labels.iter().map(|(key, value)| (key.clone(), value.clone())).chain(own);
    labels.extend(given.filter(|(key, _)| !excluded.contains(&key.as_str())));
    labels
}

fn owner(object: &ScaledObject) -> OwnerReference {
    OwnerReference {
        api_version: "keda.sh/v1alpha1".to_string(),
        kind: "ScaledObject".to_string(),
        name: object.metadata.name.clone(),
        uid: object.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

fn reference(target: &ScaleTarget) -> ObjectReference {
    ObjectReference {
        api_version: target.api_version().to_string(),
        kind: target.kind().to_string(),
        name: target.name.clone(),
    }
}

/// The behavior as written, with the directions that annotations pause switched off.
fn behavior(object: &ScaledObject, rules: &Rules) -> Result<Option<Behavior>, String> {
    let mut behavior: Option<Behavior> = match object.hpa_behavior() {
        Some(written) => serde_json::from_value(written.clone())
            .map_err(|error| format!("advanced.horizontalPodAutoscalerConfig.behavior: {error}"))?,
        None => None,
    };
    let disable = |rules: &mut Option<ScalingRules>| {
        rules.get_or_insert_with(ScalingRules::default).select_policy = Some(SelectPolicy::Disabled);
    };
    if rules.pause.scale_in {
        disable(&mut behavior.get_or_insert_with(Behavior::default).scale_down);
    }
    if rules.pause.scale_out {
        disable(&mut behavior.get_or_insert_with(Behavior::default).scale_up);
    }
    Ok(behavior)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Modifiers;
    use crate::metric::{ResourceMetric, Target};

    fn metrics(modifiers: Option<Modifiers>) -> Vec<&'static str> {
        let cpu = ResourceMetric { name: "cpu".into(), container: None, target: ResourceTarget::Utilization(60) };
        let specs = [
            (0, metric::MetricSpec::Resource(cpu)),
            (1, metric::MetricSpec::external("redis-jobs", Target::Integer(5))),
        ];
        let rules = Rules { modifiers, ..Rules::default() };
        let hpa = build(&ScaledObject::default(), &rules, &specs).expect("an HPA");
        hpa.spec.metrics.iter().map(type_name).collect()
    }

    /// The order matters to HPAs that KEDA made: another one would be a change.
    #[test]
    fn metrics_have_the_order_that_keda_gives_them() {
        assert_eq!(metrics(None), ["External", "Resource"]);
        let modifiers = Modifiers { formula: "jobs".into(), target: "5".into(), ..Modifiers::default() };
        assert_eq!(metrics(Some(modifiers)), ["Resource", "External"]);
    }
}
