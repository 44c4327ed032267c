//! ScaledObjects of KEDA 1: those with Deployments stay ScaledObjects, those with Jobs become ScaledJobs.

use std::collections::HashSet;

use serde_json::{Map, Value as Json};

use super::draft::{Draft, given};
use super::triggers;
use crate::manifest::{Node, Value};
use crate::problem::{Path, Problem};
use crate::rule;

/// How KEDA 1 counted Jobs, and how KEDA 2 does.
const JOB_COUNT: &str = "check the targets of the triggers and maxReplicaCount: KEDA 1 started one Job per message, at \
    most as many at a time as the targets add up to; KEDA 2 starts one per as many messages as the target says, at \
    most maxReplicaCount at a time";

const JOB_HISTORY: &str = "KEDA 2 deletes finished Jobs but the last 100 that succeeded and the last 100 that failed; \
    successfulJobsHistoryLimit and failedJobsHistoryLimit say otherwise";

/// Converts an object.
pub(super) fn convert(node: &Node, draft: &mut Draft) -> Json {
    let path = Path::root().key("spec");
    let Some(spec) = draft.required(node, &Path::root(), "spec") else { return Json::Null };
    let is_job = is_job(spec, &path, draft);
    let converted = fields(spec, is_job, &path, draft);
    if is_job {
        draft.note(Path::root().key("kind"), "a ScaledObject with Jobs is a ScaledJob now");
        draft.demand(path.key("jobTargetRef"), JOB_COUNT);
        draft.note(path.key("jobTargetRef"), JOB_HISTORY);
        return super::object(node, "ScaledJob", &converted, draft);
    }
    let name = node.text_at(&["metadata", "name"]).unwrap_or_default();
    let deployment = spec.text_at(&["scaleTargetRef", "deploymentName"]).unwrap_or_default();
    let autoscaler = format!(
        "the HPA is a new one, keda-hpa-{name}; that of KEDA 1, keda-hpa-{deployment}, goes with the old ScaledObject"
    );
    draft.note(Path::root().key("metadata").key("name"), autoscaler);
    super::object(node, "ScaledObject", &converted, draft)
}

/// Whether Jobs are started. KEDA 1 went by `scaleType` first, and later by what is there.
fn is_job(spec: &Node, path: &Path, draft: &mut Draft) -> bool {
    let place = path.key("scaleType");
    let scale_type = given(spec, "scaleType").and_then(|node| draft.text(node, &place));
    let has = |key: &str| given(spec, key).is_some();
    let is_job = match (scale_type, has("scaleTargetRef"), has("jobTargetRef")) {
        (Some("deployment"), ..) => false,
        (Some("job"), ..) | (None, false, true) => true,
        (Some(other), ..) => {
            let problem = Problem::error(rule::NOT_ALLOWED_VALUE, place, format!("{other:?} is not allowed here"));
            draft.problems.push(problem.with_help("allowed are \"deployment\", \"job\""));
            return has("jobTargetRef") && !has("scaleTargetRef");
        }
        (None, true, true) => {
            let message = "there are both scaleTargetRef and jobTargetRef";
            let problem = Problem::error(rule::NOT_ALLOWED_VALUE, path.key("jobTargetRef"), message);
            draft.problems.push(problem.at_key().with_help("say in scaleType which one is meant"));
            false
        }
        (None, _, false) => false,
    };
    draft.required(spec, path, if is_job { "jobTargetRef" } else { "scaleTargetRef" });
    is_job
}

fn fields(node: &Node, is_job: bool, path: &Path, draft: &mut Draft) -> Json {
    let mut spec = Map::new();
    for entry in draft.fields(node, path) {
        let (key, value) = (entry.key.as_str(), &entry.value);
        let place = path.key(key);
        let converted = match (key, is_job) {
            // The kind says it.
            ("scaleType", _) => continue,
            ("scaleTargetRef", false) => target(value, &place, draft),
            ("jobTargetRef", true) => {
                draft.mapping(value, &place);
                value.to_json_without_nulls()
            }
            ("scaleTargetRef" | "jobTargetRef", _) => {
                draft.note(place, format!("{key} is left out: it had no effect with this scaleType"));
                continue;
            }
            ("cooldownPeriod" | "minReplicaCount", true) => {
                draft.note(place, format!("{key} is left out: it had no effect on Jobs"));
                continue;
            }
            ("pollingInterval" | "cooldownPeriod" | "minReplicaCount" | "maxReplicaCount", _) => {
                draft.number(value, &place)
            }
            ("triggers", _) => event_sources(value, &place, draft),
            _ => draft.unknown(key, value, place),
        };
        spec.insert(key.into(), converted);
    }
    draft.required(node, path, "triggers");
    Json::Object(spec)
}

/// The Deployment, and the container whose variables are read.
fn target(node: &Node, path: &Path, draft: &mut Draft) -> Json {
    draft.required_text(node, path, "deploymentName");
    let mut target = Map::new();
    for entry in draft.fields(node, path) {
        let place = path.key(&entry.key);
        let renamed = match entry.key.as_str() {
            "deploymentName" => "name",
            "containerName" => "envSourceContainerName",
            other => {
                target.insert(other.into(), draft.unknown(other, &entry.value, place));
                continue;
            }
        };
        draft.text(&entry.value, &place);
        draft.note(place, format!("{} is {renamed} now", entry.key));
        target.insert(renamed.into(), entry.value.to_json());
    }
    Json::Object(target)
}

fn event_sources(node: &Node, path: &Path, draft: &mut Draft) -> Json {
    let items = draft.items(node, path);
    if matches!(node.value, Value::Sequence(_)) && items.is_empty() {
        draft.error(rule::TOO_FEW_ITEMS, path.clone(), "there must be at least one trigger");
    }
    let mut names = HashSet::new();
    let converted = items.iter().enumerate();
    Json::Array(converted.map(|(index, item)| event_source(item, &path.index(index), &mut names, draft)).collect())
}

fn event_source<'a>(node: &'a Node, path: &Path, names: &mut HashSet<&'a str>, draft: &mut Draft) -> Json {
    draft.required_text(node, path, "type");
    draft.required(node, path, "metadata");
    let mut trigger = Map::new();
    for entry in draft.fields(node, path) {
        let (key, value) = (entry.key.as_str(), &entry.value);
        let place = path.key(key);
        let converted = match key {
            "type" => value.to_json(),
            "metadata" => triggers::metadata(node, path, draft),
            "authenticationRef" => {
                draft.required_text(value, &place, "name");
                draft.mapping(value, &place);
                value.to_json_without_nulls()
            }
            "name" => match draft.text(value, &place) {
                Some(name) if !name.is_empty() && !names.insert(name) => {
                    draft.note(place, "the name is left out: another trigger has it, and in KEDA 2 names differ");
                    continue;
                }
                Some("") => continue,
                _ => value.to_json(),
            },
            _ => draft.unknown(key, value, place),
        };
        trigger.insert(key.into(), converted);
    }
    Json::Object(trigger)
}
