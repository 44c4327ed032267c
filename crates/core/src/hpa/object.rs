//! The HorizontalPodAutoscaler as `autoscaling/v2` spells it.
//!
//! Only what we write or decide on is here: no status, no managed fields. Absent and empty fields are left out when
//! it is serialised, and unknown ones are skipped when it is read. `behavior` is also what a ScaledObject takes under
//! `advanced.horizontalPodAutoscalerConfig.behavior`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::SmallMap;
use crate::api::ObjectMeta;
use crate::quantity::Quantity;

/// The whole object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HorizontalPodAutoscaler {
    /// Always `autoscaling/v2`.
    pub api_version: String,
    /// Always `HorizontalPodAutoscaler`.
    pub kind: String,
    pub metadata: ObjectMeta,
    pub spec: HorizontalPodAutoscalerSpec,
}

impl HorizontalPodAutoscaler {
    /// An object of the right kind.
    pub fn new(metadata: ObjectMeta, spec: HorizontalPodAutoscalerSpec) -> Self {
        HorizontalPodAutoscaler {
            api_version: "autoscaling/v2".to_owned(),
            kind: "HorizontalPodAutoscaler".to_owned(),
            metadata,
            spec,
        }
    }
}

/// What is scaled, between which bounds, by which metrics, how fast.
#[derive(Debug, Clone, Default, PartialEq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HorizontalPodAutoscalerSpec {
    pub scale_target_ref: ObjectReference,
    /// Defaults to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_replicas: Option<i32>,
    pub max_replicas: i32,
    /// Defaults to 80 % of the requested cpu.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<MetricSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<Behavior>,
}

/// An object of the same namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReference {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    pub kind: String,
    pub name: String,
}

/// One metric and its target.
#[derive(Debug, Clone, PartialEq, Hash, Serialize, Deserialize)]
#[serde(try_from = "TaggedMetricSpec", into = "TaggedMetricSpec")]
pub enum MetricSpec {
    External(ExternalMetricSource),
    Object(ObjectMetricSource),
    Pods(PodsMetricSource),
    Resource(ResourceMetricSource),
    ContainerResource(ContainerResourceMetricSource),
}

impl MetricSpec {
    /// The metric's name, whatever the source.
    pub fn metric_name(&self) -> &str {
        match self {
            MetricSpec::External(metric) => &metric.metric.name,
            MetricSpec::Object(metric) => &metric.metric.name,
            MetricSpec::Pods(metric) => &metric.metric.name,
            MetricSpec::Resource(metric) => &metric.name,
            MetricSpec::ContainerResource(metric) => &metric.name,
        }
    }

    /// The target, whatever the source.
    pub fn target(&self) -> &MetricTarget {
        match self {
            MetricSpec::External(source) => &source.target,
            MetricSpec::Object(source) => &source.target,
            MetricSpec::Pods(source) => &source.target,
            MetricSpec::Resource(source) => &source.target,
            MetricSpec::ContainerResource(source) => &source.target,
        }
    }
}

/// A metric of something outside the cluster.
#[derive(Debug, Clone, Default, PartialEq, Hash, Serialize, Deserialize)]
pub struct ExternalMetricSource {
    pub metric: MetricIdentifier,
    pub target: MetricTarget,
}

/// A metric of one object, such as an Ingress.
#[derive(Debug, Clone, Default, PartialEq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectMetricSource {
    pub described_object: ObjectReference,
    pub metric: MetricIdentifier,
    pub target: MetricTarget,
}

/// A metric that every pod of the target has.
#[derive(Debug, Clone, Default, PartialEq, Hash, Serialize, Deserialize)]
pub struct PodsMetricSource {
    pub metric: MetricIdentifier,
    pub target: MetricTarget,
}

/// Cpu or memory of the target's pods.
#[derive(Debug, Clone, Default, PartialEq, Hash, Serialize, Deserialize)]
pub struct ResourceMetricSource {
    pub name: String,
    pub target: MetricTarget,
}

/// Cpu or memory of one container of each of the target's pods.
#[derive(Debug, Clone, Default, PartialEq, Hash, Serialize, Deserialize)]
pub struct ContainerResourceMetricSource {
    pub name: String,
    pub container: String,
    pub target: MetricTarget,
}

/// The name of a metric and the labels that choose its series.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MetricIdentifier {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Labels to match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    #[serde(skip_serializing_if = "SmallMap::is_empty")]
    pub match_labels: SmallMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// A condition on one label.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LabelSelectorRequirement {
    pub key: String,
    pub operator: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// The value to steer to. Which of the three is set decides, `type` says so to the reader.
#[derive(Debug, Clone, Default, PartialEq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricTarget {
    #[serde(rename = "type")]
    pub target_type: TargetType,
    /// For the metric as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Quantity>,
    /// Per pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_value: Option<Quantity>,
    /// Percent of what the pods request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_utilization: Option<i32>,
}

/// How a target is to be understood.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TargetType {
    #[default]
    AverageValue,
    Value,
    Utilization,
}

/// How fast a target may be scaled in both directions.
#[derive(Debug, Clone, Default, PartialEq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Behavior {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<ScalingRules>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScalingRules>,
}

/// How fast a target may be scaled in one direction; see [`super::defaults`] for what is absent.
#[derive(Debug, Clone, Default, PartialEq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScalingRules {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stabilization_window_seconds: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select_policy: Option<SelectPolicy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policies: Option<Vec<ScalingPolicy>>,
    /// The change of the ratio that is ignored, e.g. `100m` for 10 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Quantity>,
}

/// Which of several policies holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SelectPolicy {
    /// The one that allows the largest change.
    Max,
    /// The one that allows the smallest change.
    Min,
    /// No change in this direction at all.
    Disabled,
}

/// A change that is allowed within a period.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScalingPolicy {
    #[serde(rename = "type")]
    pub policy_type: PolicyType,
    pub value: i32,
    pub period_seconds: i32,
}

/// The unit of a policy's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PolicyType {
    Pods,
    Percent,
}

impl fmt::Display for ScalingPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.policy_type {
            PolicyType::Pods if self.value == 1 => " pod",
            PolicyType::Pods => " pods",
            PolicyType::Percent => " %",
        };
        write!(f, "{}{unit} per {} s", self.value, self.period_seconds)
    }
}

/// A metric's value as an HPA's status shows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricValueStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average_value: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average_utilization: Option<i32>,
}

/// The wire form of [`MetricSpec`]: a `type` and the one field that it names.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TaggedMetricSpec {
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    external: Option<ExternalMetricSource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<ObjectMetricSource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pods: Option<PodsMetricSource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<ResourceMetricSource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_resource: Option<ContainerResourceMetricSource>,
}

impl TryFrom<TaggedMetricSpec> for MetricSpec {
    type Error = String;

    fn try_from(tagged: TaggedMetricSpec) -> Result<Self, String> {
        let spec = match tagged.r#type.as_str() {
            "External" => tagged.external.map(MetricSpec::External),
            "Object" => tagged.object.map(MetricSpec::Object),
            "Pods" => tagged.pods.map(MetricSpec::Pods),
            "Resource" => tagged.resource.map(MetricSpec::Resource),
            "ContainerResource" => tagged.container_resource.map(MetricSpec::ContainerResource),
            other => return Err(format!("unknown metric source type {other:?}")),
        };
        spec.ok_or_else(|| format!("a metric of type {} lacks the field of that name", tagged.r#type))
    }
}

impl From<MetricSpec> for TaggedMetricSpec {
    fn from(spec: MetricSpec) -> Self {
        let tagged = |name: &str| TaggedMetricSpec { r#type: name.to_owned(), ..TaggedMetricSpec::default() };
        match spec {
            MetricSpec::External(source) => TaggedMetricSpec { external: Some(source), ..tagged("External") },
            MetricSpec::Object(source) => TaggedMetricSpec { object: Some(source), ..tagged("Object") },
            MetricSpec::Pods(source) => TaggedMetricSpec { pods: Some(source), ..tagged("Pods") },
            MetricSpec::Resource(source) => TaggedMetricSpec { resource: Some(source), ..tagged("Resource") },
            MetricSpec::ContainerResource(source) => {
                TaggedMetricSpec { container_resource: Some(source), ..tagged("ContainerResource") }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_wire_form() {
        let wire = serde_json::json!({
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "keda-hpa-web", "namespace": "shop", "labels": {"app": "web"}},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "minReplicas": 1,
                "maxReplicas": 10,
                "metrics": [
                    {"type": "External", "external": {
                        "metric": {"name": "s0-queue", "selector": {"matchLabels": {"scaledobject.keda.sh/name": "web"}}},
                        "target": {"type": "AverageValue", "averageValue": "5.500"}}},
                    {"type": "Resource", "resource": {
                        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}},
                ],
                "behavior": {"scaleDown": {
                    "stabilizationWindowSeconds": 60,
                    "selectPolicy": "Min",
                    "policies": [{"type": "Percent", "value": 50, "periodSeconds": 15}],
                    "tolerance": "50m"}},
            },
        });
        let object: HorizontalPodAutoscaler = serde_json::from_value(wire.clone()).unwrap();
        assert_eq!(serde_json::to_value(&object).unwrap(), wire);
    }

    #[test]
    fn refuses_a_type_without_its_field() {
        let error = serde_json::from_str::<MetricSpec>(r#"{"type": "External"}"#).unwrap_err();
        assert_eq!(error.to_string(), "a metric of type External lacks the field of that name");
        assert!(serde_json::from_str::<MetricSpec>(r#"{"type": "Mood"}"#).is_err());
    }

    #[test]
    fn a_policy_reads_as_a_sentence() {
        let policy = |policy_type, value| ScalingPolicy { policy_type, value, period_seconds: 15 }.to_string();
        assert_eq!(policy(PolicyType::Pods, 4), "4 pods per 15 s");
        assert_eq!(policy(PolicyType::Percent, 100), "100 % per 15 s");
    }
}
