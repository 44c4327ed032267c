//! A trigger: which event source is read, and how.

use serde::{Deserialize, Serialize};

use crate::SmallMap;

/// One event source of a ScaledObject or ScaledJob.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    /// Type of the event source, such as `kafka`.
    pub r#type: String,
    /// Name, unique among the triggers of the object; formulas refer to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Parameters of the event source.
    #[serde(default)]
    pub metadata: SmallMap<String, String>,
    /// Where secret parameters come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication_ref: Option<AuthenticationRef>,
    /// `AverageValue` (the default), `Value`, or `Utilization` (cpu and memory only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric_type: Option<String>,
    /// Answers HPA reads from the last poll instead of asking the source.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub use_cached_metrics: bool,
}

/// A reference to a TriggerAuthentication or ClusterTriggerAuthentication.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AuthenticationRef {
    /// Name of the object.
    pub name: String,
    /// `TriggerAuthentication` (the default) or `ClusterTriggerAuthentication`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

impl AuthenticationRef {
    /// Whether a ClusterTriggerAuthentication is meant.
    pub fn is_cluster(&self) -> bool {
        self.kind.as_deref() == Some("ClusterTriggerAuthentication")
    }
}
