//! What a ScaledObject does while its event sources fail.

use serde::{Deserialize, Serialize};

/// Replicas to hold while an event source fails (behaviour.md §3).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fallback {
    /// Consecutive failures that are tolerated; the fallback starts with the next one.
    pub failure_threshold: i32,
    /// Replicas to hold.
    pub replicas: i32,
    /// How `replicas` and the current number make the wanted number.
    #[serde(default, skip_serializing_if = "FallbackBehavior::is_static")]
    pub behavior: FallbackBehavior,
}

/// How many replicas a fallback wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FallbackBehavior {
    /// `replicas`.
    #[default]
    Static,
    /// The current number.
    CurrentReplicas,
    /// The larger one of the current number and `replicas`.
    CurrentReplicasIfHigher,
    /// The smaller one of the current number and `replicas`.
    CurrentReplicasIfLower,
    /// The formula decides: failed triggers are nil in it.
    ScalingModifiers,
}

impl FallbackBehavior {
    /// The word in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            FallbackBehavior::Static => "static",
            FallbackBehavior::CurrentReplicas => "currentReplicas",
            FallbackBehavior::CurrentReplicasIfHigher => "currentReplicasIfHigher",
            FallbackBehavior::CurrentReplicasIfLower => "currentReplicasIfLower",
            FallbackBehavior::ScalingModifiers => "scalingModifiers",
        }
    }

    /// Whether this is the default.
    pub fn is_static(&self) -> bool {
        *self == FallbackBehavior::Static
    }
}
