//! What stands in for a metric whose source fails (`behaviour.md` §3).

use serde::{Deserialize, Serialize};

use super::rules::{Fallback, Modifiers, Rules};
use crate::metric::TargetType;
use crate::quantity::Quantity;

/// How a metric has been doing. Kept only while a valid fallback is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Failures in a row.
    pub number_of_failures: i32,
    /// Whether the last reading succeeded.
    pub status: HealthStatus,
}

/// Whether the last reading succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum HealthStatus {
    /// It did.
    #[default]
    Happy,
    /// It did not.
    Failing,
}

impl Health {
    /// The health after one more reading.
    #[must_use]
    pub fn after(self, success: bool) -> Self {
        if success {
            Health::default()
        } else {
            Health { number_of_failures: self.number_of_failures.saturating_add(1), status: HealthStatus::Failing }
        }
    }

    /// Whether it has failed more often than the fallback tolerates.
    pub fn exceeds(&self, fallback: &Fallback) -> bool {
        self.status == HealthStatus::Failing && self.number_of_failures > fallback.failure_threshold
    }
}

/// What is known about the target when a metric must be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replicas {
    /// Replicas of the target; `None` when unreadable.
    pub current: Option<i32>,
    /// Its ready pods; `None` when unreadable.
    pub ready: Option<i32>,
}

/// What the HPA is told about a metric whose source fails.
#[derive(Debug, Clone, PartialEq)]
pub enum Substitute {
    /// The value that makes the HPA want the fallback's replicas; the trigger counts as active.
    Value(Quantity),
    /// Nothing in its place: the formula sees nil.
    Nil,
    /// There is no valid fallback, it has not failed often enough, or the replicas are not known: the error stays.
    Error,
}

/// The fallback of an object, if it is one that KEDA takes into account.
pub fn valid(rules: &Rules) -> Option<&Fallback> {
    let fallback = rules.fallback.as_ref()?;
    if fallback.failure_threshold < 0 || fallback.replicas < 0 {
        return None;
    }
    match &rules.modifiers {
        // KEDA reads the target as an integer here, so that a target of 2.5 disables the fallback.
        Some(modifiers) if modifiers.in_use() => {
            modifiers.target.parse::<i64>().is_ok_and(|target| target > 0).then_some(fallback)
        }
        _ => Some(fallback),
    }
}

/// What replaces a metric with this `health` and target.
pub fn substitute(
    rules: &Rules,
    health: Health,
    target: &Quantity,
    target_type: &TargetType,
    replicas: Replicas,
) -> Substitute {
    let Some(fallback) = valid(rules).filter(|fallback| health.exceeds(fallback)) else { return Substitute::Error };
    let modifiers = rules.modifiers.as_ref().filter(|modifiers| modifiers.in_use());
    let wanted = match (fallback.behavior.as_str(), replicas.current) {
        ("static", _) => fallback.replicas,
        (_, None) => return Substitute::Error,
        ("scalingModifiers", _) => return Substitute::Nil,
        ("currentReplicas", Some(current)) => current,
        ("currentReplicasIfHigher", Some(current)) => current.max(fallback.replicas),
        ("currentReplicasIfLower", Some(current)) => current.min(fallback.replicas),
        (_, Some(_)) => fallback.replicas,
    };
    let target = match modifiers {
        Some(modifiers) => modifiers.target.parse().unwrap_or(0.0),
        None => target.to_f64(),
    };
    match share(f64::from(wanted), modifiers, target_type, replicas) {
        Some(replicas) => Substitute::Value(thousandths(target * 1000.0 * replicas)),
        None => Substitute::Error,
    }
}

/// The replicas that one pod stands for: a `Value` metric is compared without being divided by the replicas.
fn share(wanted: f64, modifiers: Option<&Modifiers>, target_type: &TargetType, replicas: Replicas) -> Option<f64> {
    let by_value = match modifiers {
        Some(modifiers) => modifiers.metric_type == "Value",
        None => *target_type == TargetType::Value,
    };
    if !by_value {
        return Some(wanted);
    }
    replicas.ready.filter(|ready| *ready > 0).map(|ready| wanted / f64::from(ready))
}

/// A quantity of so many thousandths, truncated toward zero.
pub(crate) fn thousandths(number: f64) -> Quantity {
    // A float cast saturates and turns NaN into 0, as a metric should.
    #[allow(clippy::cast_possible_truncation)]
    Quantity::from_milli(number as i64)
}
