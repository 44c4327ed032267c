//! What goes into the engine and what comes out of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::activation::Reason;
use super::conditions::Condition;
use super::fallback::Health;
use super::rules::Rules;
use crate::SmallMap;
use crate::metric::TargetType;
use crate::names::with_index;
use crate::quantity::Quantity;
use crate::sample::{Reading, SourceError};

/// The time, twice: a wall clock for timestamps that people read, and a monotonic one for ages and deadlines, so that
/// a clock that is set back stalls nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Date and time of day.
    pub wall: Timestamp,
    /// Time since an arbitrary moment that stays the same.
    pub monotonic: Duration,
}

/// Namespace and name of a ScaledObject.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectKey {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A ScaledObject, made ready for decisions.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Which object.
    pub key: ObjectKey,
    /// What it asks for.
    pub rules: Rules,
    /// When it was created.
    pub created: Timestamp,
    /// Kind of the target as events name it, such as `apps/v1.Deployment`.
    pub target_kind: String,
    /// Name of the target.
    pub target_name: String,
    /// Its triggers, in the order of the manifest.
    pub triggers: Vec<TriggerDefinition>,
    /// What an earlier process knew of it.
    pub restored: Restored,
}

/// A trigger, as far as decisions need it.
#[derive(Debug, Clone, PartialEq)]
pub struct TriggerDefinition {
    /// `type`.
    pub trigger_type: String,
    /// `name`; empty when unset.
    pub name: String,
    /// `useCachedMetrics`: HPA reads take the last poll's value at any age.
    pub use_cached_metrics: bool,
    /// Its external metrics; none for `cpu` and `memory`.
    pub metrics: Vec<ExternalDefinition>,
    /// Whether its source alone knows its metrics; without any it has not said them yet.
    pub is_described_by_source: bool,
    /// Changes when the trigger asks something else.
    pub fingerprint: u128,
}

impl TriggerDefinition {
    /// Whether the HPA reads it by itself: `cpu` and `memory`.
    pub fn is_read_by_hpa(&self) -> bool {
        self.metrics.is_empty() && !self.is_described_by_source
    }

    /// Whether nothing is known of it, as its source has not said its metrics yet.
    pub fn is_undescribed(&self) -> bool {
        self.metrics.is_empty() && self.is_described_by_source
    }

    /// Whether a reading of it, at its position in the manifest, has metrics that its source has not said it has.
    pub fn is_behind(&self, position: usize, reading: &Reading) -> bool {
        let is_known = |name: &str| self.metrics.iter().any(|metric| metric.name == with_index(position, name));
        self.is_described_by_source && reading.iter().any(|(name, _)| !is_known(name))
    }
}

/// An external metric.
#[derive(Debug, Clone, PartialEq)]
pub struct ExternalDefinition {
    /// The name as the HPA asks for it: `s<index>-…`.
    pub name: String,
    /// Its target.
    pub target: Quantity,
    /// How it is compared with the target.
    pub target_type: TargetType,
}

/// What an earlier process knew of an object.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Restored {
    /// When it was last active.
    pub last_active: Option<Timestamp>,
    /// How its metrics were doing.
    pub health: SmallMap<String, Health>,
    /// The status that people see of it: what it says already need not be said again.
    #[serde(skip)]
    pub status: Option<Arc<Status>>,
}

/// What is known of the target at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Its replicas, or why they cannot be read.
    pub replicas: Result<i32, String>,
    /// Its ready pods, if they can be counted.
    pub ready_pods: Option<i32>,
    /// What the HPA says of itself, if it has said anything.
    pub hpa: Option<HpaHealth>,
}

/// The `ScalingActive` condition of an HPA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HpaHealth {
    /// Whether it is `True`.
    pub active: bool,
    /// Its reason.
    pub reason: String,
    /// Its message.
    pub message: String,
}

impl Observation {
    /// Nothing could be seen.
    pub fn unreadable(error: impl Into<String>) -> Self {
        Observation { replicas: Err(error.into()), ready_pods: None, hpa: None }
    }
}

impl Default for Observation {
    fn default() -> Self {
        Observation::unreadable("not read yet")
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// An object is there, or has changed.
    Applied(Box<Definition>),
    /// An object is there, or has changed, and cannot be used: why.
    Rejected(Box<Definition>, String),
    /// An object was changed to something that cannot be used, and goes on as it was for those who ask for its metrics;
    /// nothing is decided: why.
    Held(ObjectKey, String),
    /// Something about an object could not be carried out, and will be tried again: what, and why.
    Failed(ObjectKey, String),
    /// An object is gone.
    Deleted(ObjectKey),
    /// A source was read for a trigger.
    Sampled {
        /// Whose trigger.
        object: ObjectKey,
        /// Position of the trigger.
        trigger: usize,
        /// What the trigger asked: a reading for what it asked before it was changed does not count.
        fingerprint: u128,
        /// All its metrics, named without `s<index>-`.
        result: Result<Reading, SourceError>,
    },
    /// A source says by itself that there is work.
    Pushed {
        /// Whose trigger.
        object: ObjectKey,
        /// Position of the trigger.
        trigger: usize,
        /// As in [`Input::Sampled`].
        fingerprint: u128,
    },
    /// The HPA asks for a metric.
    Asked {
        /// Of which object.
        object: ObjectKey,
        /// The metric's name.
        metric: String,
        /// Comes back with the answer.
        question: u64,
    },
    /// The answer to [`Effect::Observe`].
    Observed {
        /// Of the effect.
        id: u64,
        /// What was seen.
        observation: Observation,
    },
    /// What became of [`Effect::Scale`].
    Outcome {
        /// Of the effect.
        id: u64,
        /// Whether it worked.
        result: Result<(), String>,
    },
    /// Nothing came of [`Effect::Scale`]: by then the target had other replicas than those that it was decided for.
    Overtaken {
        /// Of the effect.
        id: u64,
    },
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Read the target's replicas, and its ready pods where they count.
    Observe {
        /// For [`Input::Observed`].
        id: u64,
        /// Of which object.
        object: ObjectKey,
        /// Whether the ready pods count.
        pods: bool,
    },
    /// Read a source now: somebody waits for a sample that is not too old.
    Sample {
        /// For which object.
        object: ObjectKey,
        /// For which trigger.
        trigger: usize,
    },
    /// Set the target's replicas.
    Scale {
        /// For [`Input::Outcome`].
        id: u64,
        /// Of which object.
        object: ObjectKey,
        /// What it had.
        from: i32,
        /// What it gets.
        to: i32,
        /// Why.
        cause: Cause,
    },
    /// Stop polling, and take the HPA away.
    Suspend(ObjectKey),
    /// Poll, and keep an HPA.
    Resume(ObjectKey),
    /// The status has changed.
    Status {
        /// Of which object.
        object: ObjectKey,
        /// The whole of it.
        status: Arc<Status>,
    },
    /// Tell people.
    Event {
        /// About which object.
        object: ObjectKey,
        /// Whether it is bad news.
        severity: Severity,
        /// One word for tools.
        reason: &'static str,
        /// One sentence for people.
        message: String,
    },
    /// The answer to [`Input::Asked`].
    Answer {
        /// From the question.
        question: u64,
        /// Name and value of the metric, or why there is none.
        result: Result<(String, Quantity), String>,
    },
}

/// Why replicas are set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// The scale loop decided so.
    Decision(Reason),
    /// The annotation says how many.
    PausedAt(i32),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Decision(reason) => reason.fmt(f),
            Cause::PausedAt(replicas) => write!(f, "paused at {replicas} replicas by annotation"),
        }
    }
}

/// Good or bad news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// `Normal`.
    Normal,
    /// `Warning`.
    Warning,
}

/// What an object's status says.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Its conditions.
    pub conditions: Vec<Condition>,
    /// When it was last active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_active_time: Option<Timestamp>,
    /// How its metrics are doing; only with a fallback.
    #[serde(skip_serializing_if = "SmallMap::is_empty")]
    pub health: SmallMap<String, Health>,
    /// Which metrics are active.
    pub triggers_activity: SmallMap<String, bool>,
    /// At how many replicas it is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_replica_count: Option<i32>,
}
