//! What is legal in a ScaledJob and probably not meant.

use keda_core::api::ScaledJob;
use keda_core::problem::{Path, Problem, did_you_mean};
use keda_core::rule;

/// The strategies by which the number of Jobs is computed.
const STRATEGIES: [&str; 4] = ["default", "custom", "accurate", "eager"];

/// Advice on a ScaledJob.
pub(super) fn of_scaled_job(object: &ScaledJob) -> Vec<Problem> {
    let spec = Path::root().key("spec");
    let mut problems = Vec::new();
    problems.extend(super::annotations::of(&object.metadata));
    problems.extend(strategy(object, &spec.key("scalingStrategy")));
    problems.extend(restart_policy(object, &spec.key("jobTargetRef")));
    if object.spec.rollout_strategy.is_some() {
        let path = spec.key("rolloutStrategy");
        let problem = Problem::warning(rule::DEPRECATED_PARAMETER, path, "rolloutStrategy is deprecated").at_key();
        problems.push(problem.with_help("use rollout.strategy"));
    }
    let (minimum, maximum) = (object.spec.min_replica_count.unwrap_or(0), object.spec.max_replica_count());
    if minimum > maximum {
        let message = format!("{minimum} is above maxReplicaCount, which is {maximum} and counts in its place");
        problems.push(Problem::warning(rule::INCORRECT_REPLICAS, spec.key("minReplicaCount"), message));
    }
    for (index, trigger) in object.spec.triggers.iter().enumerate() {
        let place = spec.key("triggers").index(index);
        if trigger.use_cached_metrics {
            let message = "useCachedMetrics has no effect in a ScaledJob";
            problems.push(Problem::warning(rule::WITHOUT_EFFECT, place.key("useCachedMetrics"), message).at_key());
        }
        problems.extend(super::advice::time_zone(trigger).map(|problem| problem.under(&place)));
        problems.extend(super::advice::secrets(trigger).into_iter().map(|problem| problem.under(&place)));
    }
    problems
}

/// An unknown strategy, and a custom one without its share, counts as the default one.
fn strategy(object: &ScaledJob, path: &Path) -> Option<Problem> {
    let scaling = object.spec.scaling_strategy.as_ref()?;
    let strategy = scaling.strategy.as_deref().filter(|strategy| !strategy.is_empty())?;
    if !STRATEGIES.contains(&strategy) {
        let message = format!("{strategy:?} is no strategy, so \"default\" is taken");
        let problem = Problem::warning(rule::NOT_ALLOWED_VALUE, path.key("strategy"), message);
        return Some(match did_you_mean(strategy, STRATEGIES) {
            Some(meant) => problem.with_help(format!("did you mean {meant:?}?")),
            None => problem.with_help(format!("there are {}", STRATEGIES.join(", "))),
        });
    }
    let share = scaling.custom_scaling_running_job_percentage.as_deref().unwrap_or_default();
    if strategy == "custom" && share.parse::<f64>().is_err() {
        let message =
            "without a number in customScalingRunningJobPercentage, such as \"0.5\", the strategy is \"default\"";
        let field = if share.is_empty() { "strategy" } else { "customScalingRunningJobPercentage" };
        return Some(Problem::warning(rule::WITHOUT_EFFECT, path.key(field), message));
    }
    None
}

/// Kubernetes takes no Job whose pods are always restarted.
fn restart_policy(object: &ScaledJob, path: &Path) -> Option<Problem> {
    let policy = object.spec.pod_template().spec.restart_policy?;
    let path = path.key("template").key("spec").key("restartPolicy");
    (!matches!(policy.as_str(), "" | "OnFailure" | "Never")).then(|| {
        Problem::error(
            rule::NOT_ALLOWED_VALUE,
            path,
            format!("the pods of a Job cannot have the restart policy {policy:?}"),
        )
        .with_help("use OnFailure or Never")
    })
}
