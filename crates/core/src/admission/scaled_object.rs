//! Checks of a ScaledObject that need nothing but the object.

use std::collections::BTreeSet;

use super::triggers::is_resource;
use super::{Denial, check_triggers};
use crate::api::{FallbackBehavior, ScaleTarget, ScaledObject};
use crate::engine::Rules;
use crate::formula;
use crate::rule;

/// The longest text that may be the value of a label.
const LONGEST_LABEL: usize = 63;
const NAME_LABEL: &str = "scaledobject.keda.sh/name";

/// Checks a ScaledObject by itself; only [`check_scale_to_zero`] comes later.
///
/// # Errors
/// The first reason to refuse it.
pub fn check_scaled_object(object: &ScaledObject) -> Result<(), Denial> {
    denials(object).into_iter().next().map_or(Ok(()), Err)
}

/// All reasons to refuse a ScaledObject by itself, in the order of KEDA's table.
pub fn denials(object: &ScaledObject) -> Vec<Denial> {
    let rules = Rules::from(object);
    let checks = [
        rules.check_bounds().map_err(|message| Denial::new(rule::INCORRECT_REPLICAS, message)),
        check_fallback(object, &rules),
        check_names(object),
        check_triggers(&object.spec.triggers)
            .first()
            .map_or(Ok(()), |fault| Err(Denial::new(rule::INCORRECT_TRIGGERS, fault.message()))),
        check_formula(object, &rules),
        check_formula_fallback(object),
    ];
    checks.into_iter().filter_map(Result::err).collect()
}

fn check_formula(object: &ScaledObject, rules: &Rules) -> Result<(), Denial> {
    let Some(modifiers) = rules.modifiers.as_ref().filter(|modifiers| modifiers.in_use()) else { return Ok(()) };
    let checked = formula::check(modifiers, &formula_names(object));
    checked.map_err(|message| Denial::new(rule::SCALING_MODIFIERS, message))
}

fn check_formula_fallback(object: &ScaledObject) -> Result<(), Denial> {
    let follows_formula = |fallback: &crate::api::Fallback| fallback.behavior == FallbackBehavior::ScalingModifiers;
    if object.spec.fallback.as_ref().is_some_and(follows_formula) && object.scaling_modifiers().is_none() {
        let message = "scalingModifiers fallback behavior requires scalingModifiers.formula to be defined";
        return Err(Denial::new(rule::SCALING_MODIFIERS_FALLBACK, message));
    }
    Ok(())
}

fn check_fallback(object: &ScaledObject, rules: &Rules) -> Result<(), Denial> {
    let Some(fallback) = &object.spec.fallback else { return Ok(()) };
    let (threshold, replicas) = (fallback.failure_threshold, fallback.replicas);
    if threshold < 0 || replicas < 0 {
        let message =
            format!("FailureThreshold={threshold} & Replicas={replicas} must both be greater than or equal to 0");
        return Err(Denial::new(rule::INCORRECT_FALLBACK, message));
    }
    let has_modifiers = rules.modifiers.as_ref().is_some_and(crate::engine::Modifiers::in_use);
    if !has_modifiers && object.spec.triggers.iter().all(is_resource) {
        let message = "at least one trigger (that is not cpu or memory) has to have the `AverageValue` type for the \
                       fallback to be enabled";
        return Err(Denial::new(rule::INCORRECT_FALLBACK, message));
    }
    Ok(())
}

fn check_names(object: &ScaledObject) -> Result<(), Denial> {
    let (name, hpa_name) = (&object.metadata.name, object.hpa_name());
    if name.len() > LONGEST_LABEL {
        let message = format!(
            "scaledobject name {name:?} is {} characters long; must be no more than {LONGEST_LABEL} characters \
             because it is used as the {NAME_LABEL:?} label value",
            name.len()
        );
        return Err(Denial::new(rule::NAME_TOO_LONG, message));
    }
    if hpa_name.len() > LONGEST_LABEL {
        let message = format!(
            "HPA name {hpa_name:?} derived from scaledobject is {} characters long; must be no more than \
             {LONGEST_LABEL} characters; set spec.advanced.horizontalPodAutoscalerConfig.name to a shorter name or \
             shorten the scaledobject name",
            hpa_name.len()
        );
        return Err(Denial::new(rule::HPA_NAME_TOO_LONG, message));
    }
    Ok(())
}

/// The names that may stand in the formula: those of triggers that are neither cpu nor memory.
pub fn formula_names(object: &ScaledObject) -> BTreeSet<String> {
    let triggers = object.spec.triggers.iter().filter(|trigger| !is_resource(trigger));
    triggers.filter_map(|trigger| trigger.name.clone()).filter(|name| !name.is_empty()).collect()
}

/// Refuses to scale to zero by cpu and memory alone, which are measured in running pods. KEDA looks at Deployments and
/// StatefulSets only, and not in a dry run.
///
/// # Errors
/// That nothing could wake the target up.
pub fn check_scale_to_zero(object: &ScaledObject) -> Result<(), Denial> {
    let triggers = &object.spec.triggers;
    let only_resources = !triggers.is_empty() && triggers.iter().all(is_resource);
    if is_workload(&object.spec.scale_target_ref) && only_resources && object.spec.min_replica_count.unwrap_or(0) == 0 {
        let message = "scaledobject has only cpu/memory triggers AND minReplica is 0 (scale to zero doesn't work in \
                       this case)";
        return Err(Denial::new(rule::SCALE_TO_ZERO, message));
    }
    Ok(())
}

/// Whether a target is a Deployment or StatefulSet.
pub(super) fn is_workload(target: &ScaleTarget) -> bool {
    target.api_version() == "apps/v1" && matches!(target.kind(), "Deployment" | "StatefulSet")
}

/// What is told of an object that is accepted.
pub fn warnings(object: &ScaledObject) -> Vec<&'static str> {
    let spec = &object.spec;
    let mut warnings = Vec::new();
    if spec.min_replica_count.unwrap_or(0) <= 0 || spec.idle_replica_count.is_some() {
        return warnings;
    }
    if spec.polling_interval.is_some() && !spec.triggers.iter().any(|trigger| trigger.use_cached_metrics) {
        warnings.push(
            "PollingInterval is configured but is not relevant. PollingInterval is only relevant when \
             minReplicaCount = 0, idleReplicaCount is set, or useCachedMetrics is enabled",
        );
    }
    if spec.cooldown_period.is_some() {
        warnings.push(
            "CooldownPeriod is configured but is not relevant. CooldownPeriod is only relevant when \
             minReplicaCount = 0 or idleReplicaCount is set",
        );
    }
    warnings
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)] // Literals read best as they are.
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// An object with further fields of `spec`.
    fn object(name: &str, extra: Value) -> ScaledObject {
        let mut spec = json!({ "scaleTargetRef": { "name": "web" }, "triggers": [{ "type": "cron", "name": "a" }] });
        spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec })).unwrap()
    }

    fn reason(name: &str, extra: Value) -> &'static str {
        check_scaled_object(&object(name, extra)).map_or_else(|denial| denial.rule.id, |()| "")
    }

    #[test]
    fn every_rule_refuses_with_its_reason() {
        let modifiers = |formula: &str| json!({ "scalingModifiers": { "formula": formula, "target": "2" } });
        let behavior = json!({ "failureThreshold": 1, "replicas": 1, "behavior": "scalingModifiers" });
        let table = [
            (json!({}), ""),
            (json!({ "minReplicaCount": 5, "maxReplicaCount": 4 }), "incorrect-replicas"),
            (json!({ "idleReplicaCount": 0 }), "incorrect-replicas"),
            (json!({ "idleReplicaCount": 0, "minReplicaCount": 0 }), ""),
            (json!({ "fallback": { "failureThreshold": -1, "replicas": 1 } }), "incorrect-fallback"),
            (
                json!({ "fallback": { "failureThreshold": 1, "replicas": 1 }, "triggers": [{ "type": "cpu" }] }),
                "incorrect-fallback",
            ),
            (json!({ "triggers": [] }), "incorrect-triggers"),
            (json!({ "triggers": [{ "type": "cpu", "useCachedMetrics": true }] }), "incorrect-triggers"),
            (
                json!({ "triggers": [{ "type": "cron", "name": "a" }, { "type": "redis", "name": "a" }] }),
                "incorrect-triggers",
            ),
            (json!({ "advanced": modifiers("a + 1") }), ""),
            (json!({ "advanced": modifiers("b + 1") }), "scaling-modifiers"),
            (json!({ "fallback": behavior }), "scaling-modifiers-fallback"),
        ];
        for (extra, expected) in table {
            assert_eq!(reason("web", extra.clone()), expected, "{extra}");
        }
        assert_eq!(reason(&"n".repeat(64), json!({})), "name-too-long");
        assert_eq!(reason(&"n".repeat(55), json!({})), "hpa-name-too-long");
        assert_eq!(reason(&"n".repeat(54), json!({})), "");
    }

    #[test]
    fn cpu_alone_cannot_wake_a_deployment() {
        let cpu = json!([{ "type": "cpu" }]);
        let refused = |extra| check_scale_to_zero(&object("web", extra)).is_err();
        assert!(refused(json!({ "triggers": cpu })) && refused(json!({ "triggers": cpu, "minReplicaCount": 0 })));
        assert!(!refused(json!({ "triggers": cpu, "minReplicaCount": 1 })) && !refused(json!({})));
        let target = json!({ "name": "web", "apiVersion": "example.org/v1", "kind": "Worker" });
        assert!(!refused(json!({ "triggers": cpu, "scaleTargetRef": target })));
    }

    #[test]
    fn what_has_no_effect_is_warned_of() {
        let told = |extra| warnings(&object("web", extra));
        let count = |extra| told(extra).len();
        let relevant = |warning: &'static str| warning.split_once("only relevant when ").unwrap().1;
        let both = told(json!({ "minReplicaCount": 1, "pollingInterval": 5, "cooldownPeriod": 5 }));
        assert_eq!(
            both.into_iter().map(relevant).collect::<Vec<_>>(),
            [
                "minReplicaCount = 0, idleReplicaCount is set, or useCachedMetrics is enabled",
                "minReplicaCount = 0 or idleReplicaCount is set",
            ],
        );
        let cached = json!([{ "type": "cron", "useCachedMetrics": true }]);
        assert_eq!(count(json!({ "minReplicaCount": 1, "pollingInterval": 5, "triggers": cached })), 0);
        assert_eq!(count(json!({ "minReplicaCount": 0, "pollingInterval": 5 })), 0);
        assert_eq!(count(json!({ "minReplicaCount": 2, "idleReplicaCount": 1, "cooldownPeriod": 5 })), 0);
    }
}
