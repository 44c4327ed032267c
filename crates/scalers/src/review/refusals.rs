//! What the admission webhooks would refuse (`behaviour.md` §1.11), beside what planning refuses by itself.

use std::collections::BTreeMap;

use keda_core::admission::{self, Denial, Neighbour, NeighbourHpa};
use keda_core::api::{CloudEventSourceSpec, ScaledObject, TriggerAuthenticationSpec};
use keda_core::manifest::{Document, Loaded, Object};
use keda_core::problem::{Path, Problem};

use crate::plan::check_triggers;

/// Reasons that planning gives as well, at a better place.
const PLANNED: [&str; 3] = ["incorrect-replicas", "incorrect-triggers", "scaling-modifiers"];

/// Refusals of a ScaledObject by itself.
pub(super) fn of_scaled_object(object: &ScaledObject) -> Vec<Problem> {
    let denials = admission::denials(object).into_iter().chain(admission::check_scale_to_zero(object).err());
    denials.filter(|denial| !PLANNED.contains(&denial.reason)).map(problem).collect()
}

/// Refusals of ScaledObjects because of what else is given: each as if it came after those before it.
pub(super) fn of_targets(loaded: &Loaded) -> Vec<(usize, Problem)> {
    let mut hpas: BTreeMap<&str, Vec<NeighbourHpa>> = BTreeMap::new();
    for document in &loaded.documents {
        hpas.entry(namespace(document)).or_default().extend(hpa(document));
    }
    let mut before: BTreeMap<&str, Vec<Neighbour>> = BTreeMap::new();
    let mut problems = Vec::new();
    for (index, document) in loaded.documents.iter().enumerate() {
        let Object::ScaledObject(object) = &document.object else { continue };
        let others = before.entry(namespace(document)).or_default();
        let hpas = hpas.get(namespace(document)).map(Vec::as_slice).unwrap_or_default();
        let denial = admission::check_ownership(object, others, hpas).err();
        problems.extend(denial.map(|denial| (index, problem(denial))));
        others.push(Neighbour::from(&**object));
    }
    problems
}

fn namespace(document: &Document) -> &str {
    document.namespace.as_deref().unwrap_or_default()
}

fn hpa(document: &Document) -> Option<NeighbourHpa> {
    let is_hpa = document.kind == "HorizontalPodAutoscaler" && document.api_version.starts_with("autoscaling/");
    let read = || serde_json::from_value(document.node.to_json_without_nulls()).ok();
    is_hpa.then(read).flatten()
}

/// Refusals of the other kinds.
pub(super) fn of_others(object: &Object) -> Vec<Problem> {
    match object {
        Object::TriggerAuthentication(authentication) => of_authentication(&authentication.spec),
        Object::ClusterTriggerAuthentication(authentication) => of_authentication(&authentication.spec),
        Object::CloudEventSource(source) => of_event_source(&source.spec),
        Object::ClusterCloudEventSource(source) => of_event_source(&source.spec),
        Object::ScaledJob(job) => check_triggers(&job.spec.triggers),
        _ => Vec::new(),
    }
}

fn of_authentication(spec: &TriggerAuthenticationSpec) -> Vec<Problem> {
    let message = admission::check_authentication(spec).err();
    message.into_iter().map(|message| Problem::error("invalid-authentication", spec_path(), message)).collect()
}

fn of_event_source(spec: &CloudEventSourceSpec) -> Vec<Problem> {
    let subscription = spec.event_subscription.clone().unwrap_or_default();
    let message = admission::check_event_types(&subscription).err();
    let path = spec_path().key("eventSubscription");
    message.into_iter().map(|message| Problem::error("invalid-event-types", path.clone(), message)).collect()
}

fn spec_path() -> Path {
    Path::root().key("spec")
}

/// A denial at the field that it is about, with advice.
fn problem(denial: Denial) -> Problem {
    let spec = spec_path();
    let target = spec.key("scaleTargetRef").key("name");
    let hpa_name = spec.key("advanced").key("horizontalPodAutoscalerConfig").key("name");
    let (path, help) = match denial.reason {
        "incorrect-fallback" => (spec.key("fallback"), None),
        "scaling-modifiers-fallback" => (spec.key("fallback").key("behavior"), None),
        "name-too-long" | "hpa-name-too-long" => (Path::root().key("metadata").key("name"), None),
        "scale-to-zero-requirements-not-met" => (
            spec.key("minReplicaCount"),
            Some("set minReplicaCount to 1 or more, or add a trigger that does not measure the pods themselves"),
        ),
        "other-scaled-object" => (target, Some("put all triggers of a workload into one ScaledObject")),
        "other-scaled-object-hpa" => (hpa_name, Some("give each ScaledObject an HPA of its own")),
        "other-hpa" => (
            target,
            Some(
                "remove that HPA, or let it be taken over: annotate the ScaledObject with \
                 scaledobject.keda.sh/transfer-hpa-ownership: \"true\" and name the HPA in \
                 advanced.horizontalPodAutoscalerConfig.name",
            ),
        ),
        "transfer-ownership-missing-hpa-name" => (hpa_name, None),
        _ => (spec, None),
    };
    let problem = Problem::error(denial.reason, path, denial.message);
    match help {
        Some(help) => problem.with_help(help),
        None => problem,
    }
}
