//! The status of a ScaledObject: what is to be said, what is said already, and the patch between the two.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use keda_core::SmallMap;
use keda_core::api::{
    Condition as ApiCondition, GroupVersionKindResource, HealthStatus as ApiHealth, ScaledObject, ScaledObjectStatus,
    TriggerActivity,
};
use keda_core::engine::conditions::{Condition, ConditionType, Truth};
use keda_core::engine::fallback::{Health, HealthStatus};
use keda_core::engine::{Restored, Status};
use serde_json::{Map, Value};

/// How often `lastActiveTime` is written while nothing else changes.
const WRITE_EVERY: Duration = Duration::from_secs(60);

/// What a reconciliation finds out, beside what the engine decides. Absent fields stay as they are.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Facts {
    pub(super) target: Option<(String, GroupVersionKindResource)>,
    pub(super) original_replicas: Option<i32>,
    pub(super) hpa_name: Option<String>,
    pub(super) triggers: Option<TriggerFacts>,
    pub(super) metrics: Option<MetricFacts>,
}

/// Names that describe the triggers.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct TriggerFacts {
    types: String,
    authentications: String,
}

/// Names of the HPA's metrics.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct MetricFacts {
    pub(super) external: Vec<String>,
    pub(super) resource: Vec<String>,
    pub(super) composite: Option<String>,
}

impl Facts {
    /// Takes over what was found out before, and is not written yet, where nothing newer is known. What replicas the
    /// target had first does not change.
    pub(super) fn keep(&mut self, before: Facts) {
        let Facts { target, original_replicas, hpa_name, triggers, metrics } = before;
        self.target = self.target.take().or(target);
        self.original_replicas = original_replicas.or(self.original_replicas);
        self.hpa_name = self.hpa_name.take().or(hpa_name);
        self.triggers = self.triggers.take().or(triggers);
        self.metrics = self.metrics.take().or(metrics);
    }

    /// The status with what was found out since it was written.
    pub(super) fn on(&self, known: &ScaledObjectStatus) -> ScaledObjectStatus {
        desired(known, self, None)
    }
}

impl TriggerFacts {
    pub(super) fn of(object: &ScaledObject) -> Self {
        let triggers = &object.spec.triggers;
        let references = triggers.iter().filter_map(|trigger| trigger.authentication_ref.as_ref());
        TriggerFacts {
            types: joined(triggers.iter().map(|trigger| trigger.r#type.as_str())),
            authentications: joined(references.map(|reference| reference.name.as_str())),
        }
    }
}

/// Distinct texts in their order.
fn joined<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut seen = BTreeSet::new();
    let distinct: Vec<&str> = texts.filter(|text| !text.is_empty() && seen.insert(*text)).collect();
    distinct.join(",")
}

/// The patch that makes the status say what it should; nothing when it does. `written` is when `lastActiveTime` was
/// last written by whoever wrote it: on its own it is not worth a write more often than once a minute.
pub(super) fn patch(known: &ScaledObjectStatus, facts: &Facts, status: Option<&Status>) -> Option<Value> {
    let desired = desired(known, facts, status);
    let only_activity = ScaledObjectStatus { last_active_time: known.last_active_time, ..desired.clone() } == *known;
    if only_activity && !is_due(known.last_active_time, desired.last_active_time) {
        return None;
    }
    difference(&serde_json::to_value(known).ok()?, &serde_json::to_value(&desired).ok()?)
}

fn is_due(known: Option<Timestamp>, desired: Option<Timestamp>) -> bool {
    match (known, desired) {
        (Some(known), Some(desired)) => {
            Duration::try_from(desired.duration_since(known)).is_ok_and(|age| age > WRITE_EVERY)
        }
        (known, desired) => known != desired,
    }
}

fn desired(known: &ScaledObjectStatus, facts: &Facts, status: Option<&Status>) -> ScaledObjectStatus {
    let mut desired = known.clone();
    if let Some((kind, resource)) = &facts.target {
        desired.scale_target_kind = Some(kind.clone());
        desired.scale_target_gvkr = Some(resource.clone());
    }
    desired.original_replica_count = desired.original_replica_count.or(facts.original_replicas);
    if let Some(name) = &facts.hpa_name {
        desired.hpa_name = Some(name.clone());
    }
    if let Some(TriggerFacts { types, authentications }) = &facts.triggers {
        desired.triggers_types = Some(types.clone());
        // No name at all is an empty text, as KEDA writes it.
        desired.authentications_types = Some(authentications.clone());
    }
    if let Some(MetricFacts { external, resource, composite }) = &facts.metrics {
        desired.external_metric_names.clone_from(external);
        desired.resource_metric_names.clone_from(resource);
        // Never cleared, as in KEDA.
        desired.composite_scaler_name = composite.clone().or(desired.composite_scaler_name);
    }
    if let Some(status) = status {
        desired.conditions = status.conditions.iter().map(to_api).collect();
        desired.last_active_time = status.last_active_time.map(seconds).max(desired.last_active_time);
        desired.health = status.health.iter().map(|(name, health)| (name.clone(), health_to_api(health))).collect();
        let activity = status.triggers_activity.iter();
        desired.triggers_activity =
            activity.map(|(name, active)| (name.clone(), TriggerActivity { is_active: *active })).collect();
        desired.paused_replica_count = status.paused_replica_count;
    }
    desired
}

/// Times in the API have whole seconds.
fn seconds(time: Timestamp) -> Timestamp {
    time.round(TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Trunc)).unwrap_or(time)
}

/// A JSON merge patch from one value to the other; nothing when they are equal.
fn difference(from: &Value, to: &Value) -> Option<Value> {
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => {
            let mut patch = Map::new();
            for (key, value) in to {
                let change = match from.get(key) {
                    Some(known) => difference(known, value),
                    None => Some(value.clone()),
                };
                if let Some(change) = change {
                    patch.insert(key.clone(), change);
                }
            }
            let gone = from.keys().filter(|key| !to.contains_key(*key));
            patch.extend(gone.map(|key| (key.clone(), Value::Null)));
            (!patch.is_empty()).then_some(Value::Object(patch))
        }
        (from, to) => (from != to).then(|| to.clone()),
    }
}

fn to_api(condition: &Condition) -> ApiCondition {
    let text = |text: &str| Some(text.to_string()).filter(|text| !text.is_empty());
    ApiCondition {
        r#type: condition.kind.as_str().to_string(),
        status: condition.status.as_str().to_string(),
        reason: text(&condition.reason),
        message: text(&condition.message),
    }
}

fn from_api(condition: &ApiCondition) -> Option<Condition> {
    Some(Condition {
        kind: ConditionType::from_name(&condition.r#type)?,
        status: match condition.status.as_str() {
            "True" => Truth::True,
            "False" => Truth::False,
            _ => Truth::Unknown,
        },
        reason: condition.reason.clone().unwrap_or_default().into(),
        message: condition.message.clone().unwrap_or_default().into(),
    })
}

fn health_to_api(health: &Health) -> ApiHealth {
    let status = match health.status {
        HealthStatus::Happy => "Happy",
        HealthStatus::Failing => "Failing",
    };
    ApiHealth { number_of_failures: Some(health.number_of_failures), status: Some(status.to_string()) }
}

/// What an earlier leader knew, as its status tells. While it said that the object is active it wrote the time of that
/// at most once a minute: activity may have lasted so much longer, and the cooldown must not begin before its end.
pub(super) fn restore(status: &ScaledObjectStatus, now: Timestamp) -> Restored {
    let conditions: Vec<Condition> = status.conditions.iter().filter_map(from_api).collect();
    let was_active =
        conditions.iter().any(|condition| condition.kind == ConditionType::Active && condition.status == Truth::True);
    let last_active = match (status.last_active_time, was_active) {
        (Some(written), true) => Some(written.max(now.min(written + WRITE_EVERY))),
        (written, _) => written,
    };
    let health: SmallMap<String, Health> =
        status.health.iter().map(|(name, health)| (name.clone(), health_from_api(health))).collect();
    let activity = status.triggers_activity.iter().map(|(name, activity)| (name.clone(), activity.is_active)).collect();
    let known = Status {
        conditions,
        last_active_time: status.last_active_time,
        health: health.clone(),
        triggers_activity: activity,
        paused_replica_count: status.paused_replica_count,
    };
    Restored { last_active, health, status: Some(Arc::new(known)) }
}

fn health_from_api(health: &ApiHealth) -> Health {
    let status = match health.status.as_deref() {
        Some("Failing") => HealthStatus::Failing,
        _ => HealthStatus::Happy,
    };
    Health { number_of_failures: health.number_of_failures.unwrap_or(0), status }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(second: u32) -> Timestamp {
        format!("2026-03-01T12:00:{second:02}.5Z").parse().unwrap()
    }

    #[test]
    fn only_what_differs_is_patched() {
        let known = ScaledObjectStatus {
            hpa_name: Some("keda-hpa-web".into()),
            triggers_types: Some("cron,redis".into()),
            ..ScaledObjectStatus::default()
        };
        let facts = Facts { hpa_name: Some("keda-hpa-web".into()), ..Facts::default() };
        assert_eq!(patch(&known, &facts, None), None);
        let triggers = TriggerFacts { types: "cron".into(), ..TriggerFacts::default() };
        let facts = Facts { triggers: Some(triggers), original_replicas: Some(3), ..facts };
        let expected = json!({ "originalReplicaCount": 3, "triggersTypes": "cron", "authenticationsTypes": "" });
        assert_eq!(patch(&known, &facts, None), Some(expected));
    }

    #[test]
    fn what_was_found_out_is_not_lost_before_it_is_written() {
        let mut facts = Facts { original_replicas: Some(0), ..Facts::default() };
        let before = Facts { original_replicas: Some(3), hpa_name: Some("keda-hpa-web".into()), ..Facts::default() };
        facts.keep(before);
        assert_eq!((facts.original_replicas, facts.hpa_name.as_deref()), (Some(3), Some("keda-hpa-web")));
        facts.keep(Facts { hpa_name: Some("older".into()), ..Facts::default() });
        let status = facts.on(&ScaledObjectStatus::default());
        assert_eq!((status.original_replica_count, status.hpa_name.as_deref()), (Some(3), Some("keda-hpa-web")));
        let known = ScaledObjectStatus { original_replica_count: Some(7), ..ScaledObjectStatus::default() };
        assert_eq!(facts.on(&known).original_replica_count, Some(7), "what is written holds");
    }

    #[test]
    fn the_time_of_activity_alone_is_written_once_a_minute() {
        let known = ScaledObjectStatus { last_active_time: Some(seconds(at(0))), ..ScaledObjectStatus::default() };
        let active = |time| Status { last_active_time: Some(time), ..Status::default() };
        assert_eq!(patch(&known, &Facts::default(), Some(&active(at(0) + WRITE_EVERY))), None);
        let later = patch(&known, &Facts::default(), Some(&active(at(0) + Duration::from_secs(61))));
        assert_eq!(later, Some(json!({ "lastActiveTime": "2026-03-01T12:01:01Z" })));
        let deactivated = Status { conditions: vec![Condition::not_active()], ..active(at(7)) };
        let patch = patch(&known, &Facts::default(), Some(&deactivated)).unwrap();
        assert_eq!(patch["lastActiveTime"], "2026-03-01T12:00:07Z", "and with every other change");
    }

    #[test]
    fn activity_may_have_lasted_longer_than_was_written() {
        let mut status = ScaledObjectStatus { last_active_time: Some(at(0)), ..ScaledObjectStatus::default() };
        status.conditions = vec![to_api(&Condition::active(false))];
        assert_eq!(restore(&status, at(20)).last_active, Some(at(20)));
        assert_eq!(restore(&status, at(0) + Duration::from_secs(600)).last_active, Some(at(0) + WRITE_EVERY));
        status.conditions = vec![to_api(&Condition::not_active())];
        assert_eq!(restore(&status, at(20)).last_active, Some(at(0)));
    }
}
