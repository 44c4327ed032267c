//! From a ScaledJob to the Jobs that it starts.

use keda_core::admission;
use keda_core::api::ScaledJob;
use keda_core::job;
use keda_core::problem::{Path, Problem, has_errors};
use keda_core::resolve::Lookup;
use keda_core::rule;
use serde_json::Value;

use super::trigger::{Surroundings, resolve_trigger};
use super::{check_triggers, trigger_path};

/// What a ScaledJob leads to.
#[derive(Debug, Clone)]
pub struct JobPlan {
    /// A Job as it is created.
    pub job: Value,
}

/// Plans a ScaledJob. Without errors among the problems there is a plan.
pub fn plan_job(object: &ScaledJob, lookup: &dyn Lookup) -> (Option<JobPlan>, Vec<Problem>) {
    let mut problems = check_triggers(&object.spec.triggers);
    let surroundings = Surroundings::of_job(object, lookup, &mut problems);
    for (index, trigger) in object.spec.triggers.iter().enumerate() {
        let place = trigger_path(index);
        if trigger.metric_type.as_deref().is_some_and(|metric_type| !metric_type.is_empty()) {
            let message = "Cannot set metricType in ScaledJob triggers";
            problems.push(Problem::error(rule::METRIC_TYPE, Path::root().key("metricType"), message).under(&place));
        }
        if admission::is_resource(trigger) {
            let message = format!("a {} trigger measures pods that run already, and cannot start Jobs", trigger.r#type);
            problems.push(Problem::error(rule::INCORRECT_TRIGGERS, Path::root().key("type"), message).under(&place));
            continue;
        }
        let resolved = resolve_trigger(object.into(), index, trigger, &surroundings, lookup);
        problems.extend(resolved.problems.into_iter().map(|problem| problem.under(&place)));
    }
    let plan = (!has_errors(&problems)).then(|| JobPlan { job: job::build(object) });
    (plan, problems)
}
