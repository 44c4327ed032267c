//! Annotations that steer KEDA: unknown ones do nothing, and some values mean something else than one would think.

use keda_core::api::ObjectMeta;
use keda_core::metadata::parse_bool;
use keda_core::problem::{Path, Problem, did_you_mean_part};
use keda_core::rule;

/// Annotations that are true or false.
const BOOLEANS: [&str; 4] = [
    "autoscaling.keda.sh/paused",
    "autoscaling.keda.sh/paused-scale-in",
    "autoscaling.keda.sh/paused-scale-out",
    "autoscaling.keda.sh/force-activation",
];
const PAUSED_REPLICAS: &str = "autoscaling.keda.sh/paused-replicas";
const TRANSFER: &str = "scaledobject.keda.sh/transfer-hpa-ownership";
/// Annotations with any text.
const OTHERS: [&str; 4] = [
    "scaledobject.keda.sh/hpa-excluded-labels",
    "scaledjob.keda.sh/job-excluded-labels",
    "scaledjob.keda.sh/generation",
    "validations.keda.sh/hpa-ownership",
];

/// Problems of the annotations of a ScaledObject or ScaledJob.
pub(super) fn of(metadata: &ObjectMeta) -> Vec<Problem> {
    let annotations = metadata.annotations.iter();
    annotations.filter_map(|(key, value)| problem(key, value)).collect()
}

fn problem(key: &str, value: &str) -> Option<Problem> {
    let (group, _) = key.split_once('/')?;
    if group != "keda.sh" && !group.ends_with(".keda.sh") {
        return None;
    }
    let path = Path::root().key("metadata").key("annotations").key(key);
    if BOOLEANS.contains(&key) {
        let message = format!("{value:?} is neither true nor false, and counts as true");
        return parse_bool(value).is_none().then(|| Problem::warning(rule::INVALID_ANNOTATION, path, message));
    }
    if key == PAUSED_REPLICAS {
        let is_number = value.parse::<i32>().is_ok_and(|number| number >= 0);
        let message = format!("{value:?} is no number of replicas");
        return (!is_number).then(|| Problem::error(rule::INVALID_ANNOTATION, path, message));
    }
    if key == TRANSFER {
        let message = format!("only \"true\" has an effect, {value:?} has none");
        return (value != "true" && value != "false")
            .then(|| Problem::warning(rule::INVALID_ANNOTATION, path, message));
    }
    if OTHERS.contains(&key) {
        return None;
    }
    let known = BOOLEANS.into_iter().chain(OTHERS).chain([PAUSED_REPLICAS, TRANSFER]);
    let problem = Problem::warning(rule::INVALID_ANNOTATION, path, format!("KEDA has no annotation {key:?}")).at_key();
    Some(problem.with_suggestion(did_you_mean_part(key, known)))
}
