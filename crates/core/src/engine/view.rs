//! What the engine knows and has decided, for people: `explain`, the live table, a dashboard.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::input::Status;

/// An object at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// Its status.
    pub status: Status,
    /// The latest reading of each external metric.
    pub readings: Vec<ReadingView>,
    /// The composite metric, when there is a formula.
    pub composite: Option<Result<String, String>>,
    /// The last decision.
    pub verdict: Option<Verdict>,
    /// Replicas at the last observation.
    pub replicas: Option<i32>,
}

/// The latest reading of one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadingView {
    /// Type of the trigger.
    pub trigger_type: String,
    /// Name of the metric, as the HPA asks for it.
    pub metric: String,
    /// The value as the HPA is told; absent while nothing was read, or the source fails.
    pub value: Option<String>,
    /// The target.
    pub target: String,
    /// `AverageValue` or `Value`.
    pub target_type: String,
    /// Whether it is above its activation value.
    pub active: bool,
    /// Age of the reading.
    pub age: Option<Duration>,
    /// Why there is no value.
    pub error: Option<String>,
    /// Whether the value is the fallback's.
    pub fallback: bool,
}

/// What one metric was worth at the last evaluation, without a copy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measure<'a> {
    /// Name of the metric, as the HPA asks for it; that of the composite metric for a formula's.
    pub metric: &'a str,
    /// The value as the HPA is told, the fallback's included; `None` when there is none.
    pub value: Option<f64>,
    /// Whether it is above its activation value.
    pub active: bool,
}

/// A decision of the scale loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// When.
    pub at: Timestamp,
    /// Replicas before.
    pub from: Option<i32>,
    /// Replicas set; absent when they were left alone.
    pub to: Option<i32>,
    /// Why.
    pub reason: String,
}
