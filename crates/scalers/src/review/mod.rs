//! What to say of manifests that can be read and planned: what the admission webhooks would refuse, and what is legal and
//! probably not meant.

mod advice;
mod refusals;

use std::collections::HashMap;

use keda_core::engine::ObjectKey;
use keda_core::manifest::{Loaded, Object};
use keda_core::problem::Problem;

use crate::plan::Plan;

/// Problems of all documents, each with the document's index. `plans` are those of the ScaledObjects that have one.
pub fn review(loaded: &Loaded, plans: &[Plan]) -> Vec<(usize, Problem)> {
    let plans: HashMap<&ObjectKey, &Plan> = plans.iter().map(|plan| (&plan.definition.key, plan)).collect();
    let mut problems = refusals::of_targets(loaded);
    for (index, document) in loaded.documents.iter().enumerate() {
        let found = match &document.object {
            Object::ScaledObject(object) => {
                let plan = plans.get(&crate::plan::key(object)).copied();
                [refusals::of_scaled_object(object), advice::of_scaled_object(object, plan)].concat()
            }
            object => refusals::of_others(object),
        };
        problems.extend(found.into_iter().map(|problem| (index, problem)));
    }
    problems
}

#[cfg(test)]
mod tests;
