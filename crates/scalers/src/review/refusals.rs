//! What the admission webhooks would refuse (`behaviour.md` §1.11), beside what planning refuses by itself.

use std::collections::BTreeMap;

use keda_core::admission::{self, Denial, Neighbour, NeighbourHpa};
use keda_core::api::{CloudEventSourceSpec, LimitRange, ScaledObject, TriggerAuthenticationSpec};
use keda_core::manifest::{Document, Loaded, Object};
use keda_core::problem::{Path, Problem};
use keda_core::resolve::Lookup;
use keda_core::rule::{self, Rule};

/// Reasons that planning gives as well, at a better place.
const PLANNED: [Rule; 3] = [rule::INCORRECT_REPLICAS, rule::INCORRECT_TRIGGERS, rule::SCALING_MODIFIERS];

/// Refusals of a ScaledObject by itself.
pub(super) fn of_scaled_object(object: &ScaledObject) -> Vec<Problem> {
    let denials = admission::denials(object).into_iter().chain(admission::check_scale_to_zero(object).err());
    denials.filter(|denial| !PLANNED.contains(&denial.rule)).map(problem).collect()
}

/// Refusals of ScaledObjects because of what else is given: each as if it came after those before it.
pub(super) fn of_targets(loaded: &Loaded) -> Vec<(usize, Problem)> {
    let mut hpas: BTreeMap<&str, Vec<NeighbourHpa>> = BTreeMap::new();
    for document in &loaded.documents {
        hpas.entry(document.namespace()).or_default().extend(hpa(document));
    }
    let mut before: BTreeMap<&str, Vec<Neighbour>> = BTreeMap::new();
    let mut problems = Vec::new();
    for (index, document) in loaded.documents.iter().enumerate() {
        let Object::ScaledObject(object) = &document.object else { continue };
        let others = before.entry(document.namespace()).or_default();
        let hpas = hpas.get(document.namespace()).map(Vec::as_slice).unwrap_or_default();
        let denial = admission::check_ownership(object, others, hpas).err();
        problems.extend(denial.map(|denial| (index, problem(denial))));
        others.push(Neighbour::from(&**object));
    }
    problems
}

/// Refusals of ScaledObjects whose target does not request the resource that it is scaled by.
pub(super) fn of_requests(loaded: &Loaded, lookup: &dyn Lookup) -> Vec<(usize, Problem)> {
    let mut ranges: BTreeMap<&str, Vec<&LimitRange>> = BTreeMap::new();
    for document in &loaded.documents {
        if let Object::LimitRange(range) = &document.object {
            ranges.entry(document.namespace()).or_default().push(range);
        }
    }
    let mut problems = Vec::new();
    for (index, document) in loaded.documents.iter().enumerate() {
        let Object::ScaledObject(object) = &document.object else { continue };
        if !admission::needs_requests(object) {
            continue;
        }
        let target = lookup.pod_spec(document.namespace(), &object.spec.scale_target_ref);
        let Ok(Some(pod_spec)) = target else { continue };
        let ranges = ranges.get(document.namespace()).map(Vec::as_slice).unwrap_or_default();
        for (position, denial) in admission::missing_requests(object, &pod_spec, ranges) {
            let path = spec_path().key("triggers").index(position).key("type");
            let help = "give the container resources.requests, or have a LimitRange do so";
            problems.push((index, Problem::error(denial.rule, path, denial.message).with_help(help)));
        }
    }
    problems
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
        _ => Vec::new(),
    }
}

fn of_authentication(spec: &TriggerAuthenticationSpec) -> Vec<Problem> {
    let message = admission::check_authentication(spec).err();
    message.into_iter().map(|message| Problem::error(rule::INVALID_AUTHENTICATION, spec_path(), message)).collect()
}

fn of_event_source(spec: &CloudEventSourceSpec) -> Vec<Problem> {
    let subscription = spec.event_subscription.clone().unwrap_or_default();
    let message = admission::check_event_types(&subscription).err();
    let path = spec_path().key("eventSubscription");
    message.into_iter().map(|message| Problem::error(rule::INVALID_EVENT_TYPES, path.clone(), message)).collect()
}

fn spec_path() -> Path {
    Path::root().key("spec")
}

/// A denial at the field that it is about, with advice.
fn problem(denial: Denial) -> Problem {
    let spec = spec_path();
    let target = spec.key("scaleTargetRef").key("name");
    let hpa_name = spec.key("advanced").key("horizontalPodAutoscalerConfig").key("name");
    let (path, help) = match denial.rule {
        rule::INCORRECT_FALLBACK => (spec.key("fallback"), None),
        rule::SCALING_MODIFIERS_FALLBACK => (spec.key("fallback").key("behavior"), None),
        rule::NAME_TOO_LONG | rule::HPA_NAME_TOO_LONG => (Path::root().key("metadata").key("name"), None),
        rule::SCALE_TO_ZERO => (
            spec.key("minReplicaCount"),
            Some("set minReplicaCount to 1 or more, or add a trigger that does not measure the pods themselves"),
        ),
        rule::OTHER_SCALED_OBJECT => (target, Some("put all triggers of a workload into one ScaledObject")),
        rule::OTHER_SCALED_OBJECT_HPA => (hpa_name, Some("give each ScaledObject an HPA of its own")),
        rule::OTHER_HPA => (
            target,
            Some(
                "remove that HPA, or let it be taken over: annotate the ScaledObject with \
                 scaledobject.keda.sh/transfer-hpa-ownership: \"true\" and name the HPA in \
                 advanced.horizontalPodAutoscalerConfig.name",
            ),
        ),
        rule::TRANSFER_WITHOUT_NAME => (hpa_name, None),
        _ => (spec, None),
    };
    let problem = Problem::error(denial.rule, path, denial.message);
    match help {
        Some(help) => problem.with_help(help),
        None => problem,
    }
}
