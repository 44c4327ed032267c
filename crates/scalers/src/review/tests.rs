use keda_core::manifest::{Source, load};
use keda_core::resolve::{Lenience, References};

use super::*;

/// The rules that a manifest breaks, and where.
fn broken(text: &str) -> Vec<String> {
    problems(text).into_iter().map(|problem| format!("{} {}", problem.rule, problem.path)).collect()
}

fn problems(text: &str) -> Vec<Problem> {
    let loaded = load(&[Source { name: "app.yaml".into(), text: text.into() }]);
    assert!(loaded.findings.is_empty(), "{:?}", loaded.findings);
    let references = References::new(&loaded).with_lenience(Lenience { targets: true, ..Lenience::default() });
    let objects = loaded.documents.iter().filter_map(|document| match &document.object {
        Object::ScaledObject(object) => Some(std::sync::Arc::new((**object).clone())),
        _ => None,
    });
    let plans: Vec<Plan> =
        objects.filter_map(|object| crate::plan::plan(&object, &references, &Default::default()).0).collect();
    review(&loaded, &plans, &references).into_iter().map(|(_, problem)| problem).collect()
}

fn object(name: &str, more: &str, triggers: &str) -> String {
    let head = "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: ";
    format!("---\n{head}{name}}}\nspec:\n  scaleTargetRef: {{name: web}}\n{more}  triggers:\n{triggers}")
}

const CRON: &str = "  - type: cron
    name: hours
    metadata: {timezone: UTC, start: 0 8 * * *, end: 0 18 * * *, desiredReplicas: '5'}
";
const CPU: &str = "  - type: cpu\n    metricType: Utilization\n    metadata: {value: '50'}\n";

fn redis(more: &str) -> String {
    format!("  - type: redis\n    name: jobs\n    metadata: {{address: 'redis:6379', listName: jobs{more}}}\n")
}

#[test]
fn what_has_no_effect_is_named() {
    let more = "  minReplicaCount: 1\n  pollingInterval: 5\n  cooldownPeriod: 60\n";
    let expected = ["without-effect spec.pollingInterval", "without-effect spec.cooldownPeriod"];
    assert_eq!(broken(&object("web", more, CRON)), expected);
    assert!(broken(&object("web", "  pollingInterval: 5\n  cooldownPeriod: 60\n", CRON)).is_empty());
}

#[test]
fn a_password_in_the_manifest_is_named_and_not_shown() {
    let text = object("web", "", &redis(", password: hunter2"));
    assert_eq!(broken(&text), ["plain-text-secret spec.triggers[0].metadata.password"]);
    assert!(!format!("{:?}", problems(&text)).contains("hunter2"));
    assert!(broken(&object("web", "", &redis(", passwordFromEnv: PASSWORD"))).is_empty());
}

#[test]
fn a_target_of_zero_is_named_at_its_key() {
    let found = broken(&object("web", "", &redis(", listLength: '0'")));
    assert_eq!(found, ["zero-threshold spec.triggers[0].metadata.listLength"]);
    assert!(broken(&object("web", "", &redis(", activationListLength: '0'"))).is_empty());
}

#[test]
fn a_trigger_that_the_formula_leaves_out_is_named() {
    let more = "  advanced: {scalingModifiers: {formula: hours + 1, target: '2'}}\n";
    let found = broken(&object("web", more, &format!("{CRON}{}", redis(""))));
    assert_eq!(found, ["ignored-by-formula spec.triggers[1].name"]);
    let more = "  advanced: {scalingModifiers: {formula: hours + jobs, target: '2'}}\n";
    assert!(broken(&object("web", more, &format!("{CRON}{}", redis("")))).is_empty());
}

#[test]
fn cpu_alone_cannot_go_to_zero_and_a_target_has_one_object() {
    assert_eq!(broken(&object("web", "", CPU)), ["scale-to-zero-requirements-not-met spec.minReplicaCount"]);
    assert!(broken(&object("web", "  minReplicaCount: 1\n", CPU)).is_empty());
    let two = object("one", "", CRON) + &object("two", "", CRON);
    assert_eq!(broken(&two), ["other-scaled-object spec.scaleTargetRef.name"]);
}
