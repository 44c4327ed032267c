//! What to say of manifests that can be read and planned: what the admission webhooks would refuse, and what is legal and
//! probably not meant.

mod advice;
mod annotations;
mod authentications;
mod jobs;
mod refusals;

use std::collections::HashMap;

use keda_core::engine::ObjectKey;
use keda_core::manifest::{Loaded, Object};
use keda_core::problem::{Problem, Step};
use keda_core::resolve::Lookup;
use keda_core::rule;

pub(crate) use self::advice::behavior;
pub use self::advice::is_secret_value;
use crate::plan::Plan;
use crate::registry;

/// Says of unknown fields of triggers that are parameters where they belong.
pub fn explain_misplaced(loaded: &mut Loaded) {
    for finding in loaded.findings.iter_mut().filter(|finding| finding.problem.rule == rule::UNKNOWN_FIELD) {
        let path = &finding.problem.path;
        let [_, _, _, Step::Key(field)] = path.0.as_slice() else { continue };
        let document = finding.document.and_then(|index| loaded.documents.get(index));
        let row = document.and_then(|document| registry::find_at(document, path));
        let parameters = row.map(|row| (row.parameters)()).unwrap_or_default();
        if parameters.iter().any(|parameter| parameter.names.contains(&field.as_str())) {
            finding.problem.help = Some(format!("it belongs below metadata, as {field} is a parameter of the trigger"));
        }
    }
}

/// Problems of all documents, each with the document's index. `plans` are those of the ScaledObjects that have one.
pub fn review(loaded: &Loaded, plans: &[Plan], lookup: &dyn Lookup) -> Vec<(usize, Problem)> {
    let plans: HashMap<&ObjectKey, &Plan> = plans.iter().map(|plan| (&plan.definition.key, plan)).collect();
    let mut problems = refusals::of_targets(loaded);
    problems.extend(refusals::of_requests(loaded, lookup));
    problems.extend(authentications::problems(loaded, lookup));
    problems.extend(authentications::unused(loaded, lookup));
    for (index, document) in loaded.documents.iter().enumerate() {
        let found = match &document.object {
            Object::ScaledObject(object) => {
                let plan = plans.get(&crate::plan::key(object)).copied();
                [refusals::of_scaled_object(object), advice::of_scaled_object(object, plan)].concat()
            }
            Object::ScaledJob(job) => jobs::of_scaled_job(job),
            object => refusals::of_others(object),
        };
        problems.extend(found.into_iter().map(|problem| (index, problem)));
    }
    problems
}

#[cfg(test)]
mod tests;
