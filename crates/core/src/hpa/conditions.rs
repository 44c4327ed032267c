//! The conditions of an HPA's status: what the last reconcile could do, and what held it back.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    pub status: bool,
    pub reason: String,
    pub message: String,
    /// When the status last flipped, since the epoch of the reconciles.
    #[serde(default)]
    pub since: Duration,
}

/// The conditions of one HPA; absent ones were never set. A reconcile leaves alone what it does not come to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Conditions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub able_to_scale: Option<Condition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling_active: Option<Condition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling_limited: Option<Condition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaled_to_zero: Option<Condition>,
}

impl Conditions {
    /// The conditions that are set, with their types' names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Condition)> {
        let all = [
            ("AbleToScale", &self.able_to_scale),
            ("ScalingActive", &self.scaling_active),
            ("ScalingLimited", &self.scaling_limited),
            ("ScaledToZero", &self.scaled_to_zero),
        ];
        all.into_iter().filter_map(|(name, condition)| Some((name, condition.as_ref()?)))
    }
}

/// Sets a condition; its time changes only with its status.
pub(super) fn set(
    slot: &mut Option<Condition>,
    now: Duration,
    status: bool,
    reason: impl Into<String>,
    message: impl Into<String>,
) {
    let since = slot.as_ref().filter(|old| old.status == status).map_or(now, |old| old.since);
    *slot = Some(Condition { status, reason: reason.into(), message: message.into(), since });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_changes_with_the_status_only() {
        let mut conditions = Conditions::default();
        let at = Duration::from_secs;
        for (seconds, status, since) in [(1, true, 1), (2, true, 1), (3, false, 3)] {
            set(&mut conditions.able_to_scale, at(seconds), status, "Reason", "");
            assert_eq!(conditions.able_to_scale.as_ref().unwrap().since, at(since));
        }
        assert_eq!(conditions.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["AbleToScale"]);
    }
}
