//! Conditions of an object, with the words that users' tools match on (`behaviour.md` §1.10).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::input::HpaHealth;

/// Which condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConditionType {
    /// The object is defined correctly and its sources answer.
    Ready,
    /// Something wants replicas.
    Active,
    /// A failing source is being replaced by the fallback.
    Fallback,
    /// Scaling is paused, wholly or in one direction.
    Paused,
    /// The HPA says that it can work.
    HPAActive,
}

impl ConditionType {
    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            ConditionType::Ready => "Ready",
            ConditionType::Active => "Active",
            ConditionType::Fallback => "Fallback",
            ConditionType::Paused => "Paused",
            ConditionType::HPAActive => "HPAActive",
        }
    }

    /// The type with this word.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Ready, Self::Active, Self::Fallback, Self::Paused, Self::HPAActive];
        all.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Three-valued, as everywhere in Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub enum Truth {
    /// Yes.
    True,
    /// No.
    False,
    /// Not known.
    #[default]
    Unknown,
}

impl Truth {
    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Truth::True => "True",
            Truth::False => "False",
            Truth::Unknown => "Unknown",
        }
    }
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Which one.
    #[serde(rename = "type")]
    pub kind: ConditionType,
    /// Whether it holds.
    pub status: Truth,
    /// One word for tools.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub reason: Cow<'static, str>,
    /// One sentence for people.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub message: Cow<'static, str>,
}

impl Condition {
    fn new(
        kind: ConditionType,
        status: Truth,
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Condition { kind, status, reason: reason.into(), message: message.into() }
    }

    /// The four conditions of an object that nothing is known about yet.
    pub fn initial() -> Vec<Condition> {
        let unknown = |kind| Condition::new(kind, Truth::Unknown, "", "");
        vec![
            unknown(ConditionType::Ready),
            unknown(ConditionType::Active),
            unknown(ConditionType::Fallback),
            Condition::new(ConditionType::Paused, Truth::False, "", ""),
        ]
    }

    /// Ready.
    pub fn ready() -> Self {
        let message = "ScaledObject is defined correctly and is ready for scaling";
        Condition::new(ConditionType::Ready, Truth::True, "ScaledObjectReady", message)
    }

    /// Ready, and paused.
    pub fn ready_while_paused() -> Self {
        Condition { message: "ScaledObject is paused".into(), ..Condition::ready() }
    }

    /// The reason of [`Condition::check_failed`].
    pub const CHECK_FAILED: &str = "ScaledObjectCheckFailed";

    /// Not ready: the object cannot be used.
    pub fn check_failed(error: &str) -> Self {
        Condition::new(ConditionType::Ready, Truth::False, Self::CHECK_FAILED, error.to_string())
    }

    /// Not ready: the replicas of the target cannot be read.
    pub fn replicas_unreadable(error: &str) -> Self {
        let message = format!("Error getting current replicas count for ScaleTarget: {error}");
        Condition::new(ConditionType::Ready, Truth::False, "ErrorGettingCurrentReplicas", message)
    }

    /// Not ready: no trigger works.
    pub fn trigger_error() -> Self {
        let message = "Triggers defined in ScaledObject are not working correctly";
        Condition::new(ConditionType::Ready, Truth::False, "TriggerError", message)
    }

    /// What the HPA says of itself (`behaviour.md` §1.10).
    pub fn hpa_active(health: &HpaHealth) -> Self {
        let HpaHealth { active, reason, message } = health;
        match (active, reason.as_str()) {
            (true, _) => Condition::new(ConditionType::HPAActive, Truth::True, "HPAActive", "HPA is actively scaling"),
            (false, "ScalingDisabled") => {
                Condition::new(ConditionType::HPAActive, Truth::True, "ScalingDisabled", message.clone())
            }
            (false, reason) => {
                let reason =
                    if reason.is_empty() { "HPAMetricsUnavailable".into() } else { Cow::from(reason.to_string()) };
                let message = format!("HPA is not actively scaling: {message}");
                Condition::new(ConditionType::HPAActive, Truth::False, reason, message)
            }
        }
    }

    /// Half ready: some triggers work.
    pub fn partial_trigger_error() -> Self {
        let message = "Some triggers defined in ScaledObject are not working correctly";
        Condition::new(ConditionType::Ready, Truth::Unknown, "PartialTriggerError", message)
    }

    /// Active.
    pub fn active(forced: bool) -> Self {
        let why = if forced { "activation is being forced by annotation" } else { "triggers are active" };
        let message = format!("Scaling is performed because {why}");
        Condition::new(ConditionType::Active, Truth::True, "ScalerActive", message)
    }

    /// Not active.
    pub fn not_active() -> Self {
        let message = "Scaling is not performed because triggers are not active";
        Condition::new(ConditionType::Active, Truth::False, "ScalerNotActive", message)
    }

    /// Not active, and waiting for the cooldown to end.
    pub fn cooling_down() -> Self {
        let message = "Scaler cooling down because triggers are not active";
        Condition::new(ConditionType::Active, Truth::False, "ScalerCooldown", message)
    }

    /// Not known whether active: the object cannot be used.
    pub fn activity_unknown() -> Self {
        Condition::new(ConditionType::Active, Truth::Unknown, "UnknownState", "ScaledObject check failed")
    }

    /// Some metric is replaced by the fallback, or none is.
    pub fn fallback(exists: bool) -> Self {
        if exists {
            let message = "At least one trigger is falling back on this scaled object";
            Condition::new(ConditionType::Fallback, Truth::True, "FallbackExists", message)
        } else {
            let message = "No fallbacks are active on this scaled object";
            Condition::new(ConditionType::Fallback, Truth::False, "NoFallbackFound", message)
        }
    }

    /// Paused, wholly or in one direction.
    pub fn paused() -> Self {
        Condition::new(ConditionType::Paused, Truth::True, "ScaledObjectPaused", "ScaledObject is paused")
    }

    /// No longer paused.
    pub fn unpaused() -> Self {
        let message = "pause annotation removed for ScaledObject";
        Condition::new(ConditionType::Paused, Truth::False, "ScaledObjectUnpaused", message)
    }
}
