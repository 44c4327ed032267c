//! A set of manifests: loaded, checked and planned. What `up`, `render` and `validate` have in common.

use std::collections::BTreeMap;
use std::sync::Arc;

use keda_core::api::ScaledObject;
use keda_core::manifest::{Kind, Loaded, Object, Source, load};
use keda_core::problem::{Path, Problem, Severity};
use keda_core::resolve::References;
use keda_scalers::plan::{Descriptions, Plan, plan};

use crate::cli::Manifests;
use crate::files::{Reader, Unreadable};

/// Loaded manifests and what follows from them.
#[derive(Debug)]
pub(crate) struct Project {
    /// The documents and everything that was found wrong with them.
    pub(crate) loaded: Loaded,
    /// What the objects refer to.
    pub(crate) references: References,
    /// The plans of the ScaledObjects that have one, in the order of the input.
    pub(crate) plans: Vec<Plan>,
}

impl Project {
    /// Reads, loads and plans.
    pub(crate) fn read(manifests: &Manifests, allow_missing_targets: bool) -> Result<Self, Unreadable> {
        let sources = Reader::default().read(&manifests.paths, manifests.recursive)?;
        Ok(Project::new(&sources, allow_missing_targets))
    }

    /// Loads and plans.
    pub(crate) fn new(sources: &[Source], allow_missing_targets: bool) -> Self {
        let mut loaded = load(sources);
        let references = References::new(&loaded).allowing_missing_targets(allow_missing_targets);
        let objects: Vec<(usize, Arc<ScaledObject>)> = loaded
            .documents
            .iter()
            .enumerate()
            .filter_map(|(index, document)| match &document.object {
                Object::ScaledObject(object) => Some((index, Arc::new((**object).clone()))),
                _ => None,
            })
            .collect();
        let mut plans = Vec::new();
        for (index, object) in objects {
            let (plan, problems) = plan(&object, &references, &Descriptions::new());
            loaded.report(index, problems);
            plans.extend(plan);
        }
        loaded.findings.sort_by_key(|finding| (finding.location.source, finding.location.start));
        Project { loaded, references, plans }
    }

    /// Reports what the admission webhooks would refuse, and what is legal and probably not meant.
    pub(crate) fn review(&mut self) {
        for (index, problem) in keda_scalers::review::review(&self.loaded, &self.plans) {
            self.loaded.report(index, [problem]);
        }
        self.loaded.findings.sort_by_key(|finding| (finding.location.source, finding.location.start));
    }

    /// Reports what `keda up` cannot run: ScaledJobs, and workloads that two ScaledObjects pull at.
    pub(crate) fn report_what_cannot_run(&mut self) {
        let mut taken: BTreeMap<(String, String), String> = BTreeMap::new();
        let mut conflicts = Vec::new();
        for plan in &self.plans {
            let definition = &plan.definition;
            let target = (definition.key.namespace.clone(), definition.target_name.clone());
            match taken.get(&target) {
                Some(owner) => conflicts.push((
                    definition.key.clone(),
                    format!(
                        "the workload '{}' of type '{}' is already managed by the ScaledObject '{owner}'",
                        definition.target_name, definition.target_kind
                    ),
                )),
                None => _ = taken.insert(target, definition.key.name.clone()),
            }
        }
        for (key, message) in conflicts {
            let path = Path::root().key("spec").key("scaleTargetRef").key("name");
            let found = self.loaded.documents.iter().position(|document| {
                document.known == Kind::ScaledObject
                    && document.name == key.name
                    && document.namespace.as_deref() == Some(&key.namespace)
            });
            if let Some(index) = found {
                self.loaded.report(index, [Problem::error("target-taken", path, message)]);
            }
        }
        for index in 0..self.loaded.documents.len() {
            let is_job = self.loaded.documents.get(index).is_some_and(|document| document.known == Kind::ScaledJob);
            if is_job {
                let message = "a ScaledJob is not run by `keda up` yet";
                let problem = Problem::warning("not-run", Path::root().key("kind"), message);
                self.loaded.report(index, [problem]);
            }
        }
        self.loaded.findings.sort_by_key(|finding| (finding.location.source, finding.location.start));
    }

    /// Whether the manifests cannot be used; with `strict` a warning is enough.
    pub(crate) fn is_broken(&self, strict: bool) -> bool {
        self.loaded.findings.iter().any(|finding| strict || finding.problem.severity == Severity::Error)
    }
}
