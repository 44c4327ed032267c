//! The observed state of ScaledObjects and ScaledJobs, as written to their status.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Condition;
use crate::SmallMap;

/// Status of a ScaledObject (behaviour.md §1.9).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScaledObjectStatus {
    /// Kind of the target as `group/version.Kind`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_target_kind: Option<String>,
    /// The target's resource.
    #[serde(rename = "scaleTargetGVKR", skip_serializing_if = "Option::is_none")]
    pub scale_target_gvkr: Option<GroupVersionKindResource>,
    /// Replicas of the target when it was first seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_replica_count: Option<i32>,
    /// When a trigger was last active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_active_time: Option<Timestamp>,
    /// Names of the external metrics.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub external_metric_names: Vec<String>,
    /// Names of the resource metrics: `cpu`, `memory`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_metric_names: Vec<String>,
    /// Name of the metric that a formula makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub composite_scaler_name: Option<String>,
    /// Conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Failures by metric name.
    #[serde(skip_serializing_if = "SmallMap::is_empty")]
    pub health: SmallMap<String, HealthStatus>,
    /// Replicas the object is paused at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_replica_count: Option<i32>,
    /// Name of the HorizontalPodAutoscaler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hpa_name: Option<String>,
    /// Distinct trigger types, joined by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub triggers_types: Option<String>,
    /// Distinct names of the authentication references, joined by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentications_types: Option<String>,
    /// Activity by metric name.
    #[serde(skip_serializing_if = "SmallMap::is_empty")]
    pub triggers_activity: SmallMap<String, TriggerActivity>,
}

/// Status of a ScaledJob.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScaledJobStatus {
    /// When a trigger was last active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_active_time: Option<Timestamp>,
    /// Conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Part of the schema; never written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub external_metric_names: Vec<String>,
    /// Part of the schema, with a capital P; never written.
    #[serde(rename = "Paused", skip_serializing_if = "Option::is_none")]
    pub paused: Option<String>,
    /// Distinct trigger types, joined by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub triggers_types: Option<String>,
    /// Distinct names of the authentication references, joined by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentications_types: Option<String>,
    /// Activity by metric name.
    #[serde(skip_serializing_if = "SmallMap::is_empty")]
    pub triggers_activity: SmallMap<String, TriggerActivity>,
}

/// A kind of object and the resource it is served under.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GroupVersionKindResource {
    /// Group; empty for the core group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Plural name in URLs.
    pub resource: String,
}

/// How reads of one metric go.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HealthStatus {
    /// Failures in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number_of_failures: Option<i32>,
    /// `Happy` or `Failing`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// Whether a trigger asks for replicas.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TriggerActivity {
    /// True while the source's value is above its activation value.
    pub is_active: bool,
}
