//! ScaledObject: a workload whose replicas follow event sources.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Fallback, ObjectMeta, ScaledObjectStatus, Trigger};

/// Scaling behavior of the HorizontalPodAutoscaler, passed through as written.
pub type Behavior = serde_json::Value;

/// Scales a Deployment, StatefulSet or any resource with a scale subresource.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ScaledObject {
    /// Metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What the user wants: the same for all that was seen of the object since it was changed.
    pub spec: Arc<ScaledObjectSpec>,
    /// What was observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ScaledObjectStatus>,
}

/// What a ScaledObject asks for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaledObjectSpec {
    /// What is scaled.
    pub scale_target_ref: ScaleTarget,
    /// Seconds between polls of the triggers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub polling_interval: Option<i32>,
    /// Seconds after the last activity before the target goes to zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown_period: Option<i32>,
    /// Seconds after the creation before the cooldown counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_cooldown_period: Option<i32>,
    /// Replicas while nothing is active, below the minimum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_replica_count: Option<i32>,
    /// Fewest replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_replica_count: Option<i32>,
    /// Most replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_replica_count: Option<i32>,
    /// Further options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advanced: Option<Advanced>,
    /// The event sources.
    pub triggers: Vec<Trigger>,
    /// What happens while a source fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

/// A reference to the resource that is scaled, in the namespace of the ScaledObject.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaleTarget {
    /// Name.
    pub name: String,
    /// `group/version`; `apps/v1` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Kind; `Deployment` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Container whose environment the triggers read; the first one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_source_container_name: Option<String>,
}

/// Further options of a ScaledObject.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Advanced {
    /// Options of the HorizontalPodAutoscaler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub horizontal_pod_autoscaler_config: Option<HorizontalPodAutoscalerConfig>,
    /// Gives the target its first number of replicas back when the ScaledObject is deleted.
    #[serde(skip_serializing_if = "super::is_false")]
    pub restore_to_original_replica_count: bool,
    /// A formula over the triggers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling_modifiers: Option<ScalingModifiers>,
}

/// Options of the HorizontalPodAutoscaler that serves a ScaledObject.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HorizontalPodAutoscalerConfig {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its scaling behavior.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behavior: Option<Behavior>,
}

/// One metric made of several triggers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScalingModifiers {
    /// Formula over trigger names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub formula: Option<String>,
    /// Target of the formula's value, a number as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Value above which the target leaves zero, a number as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation_target: Option<String>,
    /// `AverageValue` (the default) or `Value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric_type: Option<String>,
}

impl ScaledObject {
    /// The name that the HorizontalPodAutoscaler shall have.
    pub fn hpa_name(&self) -> String {
        let config =
            self.spec.advanced.as_ref().and_then(|advanced| advanced.horizontal_pod_autoscaler_config.as_ref());
        let custom = config.and_then(|config| config.name.as_deref()).filter(|name| !name.is_empty());
        custom.map_or_else(|| format!("keda-hpa-{}", self.metadata.name), str::to_owned)
    }

    /// The scaling behavior of the HorizontalPodAutoscaler, if one is given.
    pub fn hpa_behavior(&self) -> Option<&Behavior> {
        self.spec.advanced.as_ref()?.horizontal_pod_autoscaler_config.as_ref()?.behavior.as_ref()
    }

    /// The scaling modifiers, if they hold a formula.
    pub fn scaling_modifiers(&self) -> Option<&ScalingModifiers> {
        let modifiers = self.spec.advanced.as_ref()?.scaling_modifiers.as_ref()?;
        (!modifiers.formula().is_empty()).then_some(modifiers)
    }

    /// Whether the target gets its first number of replicas back on deletion.
    pub fn restores_original_replica_count(&self) -> bool {
        self.spec.advanced.as_ref().is_some_and(|advanced| advanced.restore_to_original_replica_count)
    }
}

impl ScaleTarget {
    /// The API version, `apps/v1` unless set.
    pub fn api_version(&self) -> &str {
        self.api_version.as_deref().filter(|version| !version.is_empty()).unwrap_or("apps/v1")
    }

    /// The kind, `Deployment` unless set.
    pub fn kind(&self) -> &str {
        self.kind.as_deref().filter(|kind| !kind.is_empty()).unwrap_or("Deployment")
    }

    /// The container whose environment counts, if one is named.
    pub fn container(&self) -> Option<&str> {
        self.env_source_container_name.as_deref().filter(|name| !name.is_empty())
    }
}

impl ScalingModifiers {
    /// The formula; empty when there is none.
    pub fn formula(&self) -> &str {
        self.formula.as_deref().unwrap_or_default()
    }

    /// `AverageValue` unless set.
    pub fn metric_type(&self) -> &str {
        self.metric_type.as_deref().filter(|text| !text.is_empty()).unwrap_or("AverageValue")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_has_a_default() {
        let object = ScaledObject {
            metadata: ObjectMeta { name: "web".into(), ..ObjectMeta::default() },
            ..ScaledObject::default()
        };
        assert_eq!(object.hpa_name(), "keda-hpa-web");
        assert_eq!(object.spec.scale_target_ref.kind(), "Deployment");
    }
}
