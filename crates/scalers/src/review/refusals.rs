//! What the admission webhooks would refuse (`behaviour.md` §1.11), beside what planning refuses by itself.

use keda_core::admission::{self, Denial, Neighbour, NeighbourHpa, TriggerFault};
use keda_core::api::{CloudEventSourceSpec, ScaledObject, Trigger, TriggerAuthenticationSpec};
use keda_core::manifest::{Document, Loaded, Object};
use keda_core::problem::{Path, Problem};

/// Reasons that planning gives as well, at a better place.
const PLANNED: [&str; 3] = ["incorrect-replicas", "incorrect-triggers", "scaling-modifiers"];

/// Refusals of a ScaledObject by itself.
pub(super) fn of_scaled_object(object: &ScaledObject) -> Vec<Problem> {
    let denials = admission::denials(object).into_iter().chain(admission::check_scale_to_zero(object).err());
    denials.filter(|denial| !PLANNED.contains(&denial.reason)).map(problem).collect()
}

/// Refusals of ScaledObjects because of what else is given: each as if it came after those before it.
pub(super) fn of_targets(loaded: &Loaded) -> Vec<(usize, Problem)> {
    let hpas: Vec<(&Document, NeighbourHpa)> = loaded.documents.iter().filter_map(hpa).collect();
    let mut before: Vec<(&Document, Neighbour)> = Vec::new();
    let mut problems = Vec::new();
    for (index, document) in loaded.documents.iter().enumerate() {
        let Object::ScaledObject(object) = &document.object else { continue };
        let others: Vec<Neighbour> = of_namespace(&before, document);
        let denial = admission::check_ownership(object, &others, &of_namespace(&hpas, document)).err();
        problems.extend(denial.map(|denial| (index, problem(denial))));
        if let Ok(neighbour) = serde_json::from_value(document.node.to_json_without_nulls()) {
            before.push((document, neighbour));
        }
    }
    problems
}

fn hpa(document: &Document) -> Option<(&Document, NeighbourHpa)> {
    let is_hpa = document.kind == "HorizontalPodAutoscaler" && document.api_version.starts_with("autoscaling/");
    let read = || serde_json::from_value(document.node.to_json_without_nulls()).ok();
    is_hpa.then(read).flatten().map(|hpa| (document, hpa))
}

fn of_namespace<T: Clone>(all: &[(&Document, T)], of: &Document) -> Vec<T> {
    all.iter().filter(|(document, _)| document.namespace == of.namespace).map(|(_, one)| one.clone()).collect()
}

/// Refusals of the other kinds.
pub(super) fn of_others(object: &Object) -> Vec<Problem> {
    match object {
        Object::TriggerAuthentication(authentication) => of_authentication(&authentication.spec),
        Object::ClusterTriggerAuthentication(authentication) => of_authentication(&authentication.spec),
        Object::CloudEventSource(source) => of_event_source(&source.spec),
        Object::ClusterCloudEventSource(source) => of_event_source(&source.spec),
        Object::ScaledJob(job) => of_triggers(&job.spec.triggers),
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

fn of_triggers(triggers: &[Trigger]) -> Vec<Problem> {
    let faults = admission::check_triggers(triggers);
    let problem = |fault: TriggerFault<'_>| {
        let (rule, place) = match fault {
            TriggerFault::None => return None, // The schema has said so.
            TriggerFault::CachedMetrics(index, _) => ("cached-metrics", (index, "useCachedMetrics")),
            TriggerFault::DuplicateName(index, _) => ("duplicate-trigger-name", (index, "name")),
        };
        let path = spec_path().key("triggers").index(place.0).key(place.1);
        Some(Problem::error(rule, path, fault.message()))
    };
    faults.into_iter().filter_map(problem).collect()
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
