//! A set of manifests: loaded, checked and planned. What `up`, `render` and `validate` have in common.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use keda_core::manifest::{Kind, Loaded, Object, Source, load};
use keda_core::problem::{Path, Problem, Severity};
use keda_core::resolve::{Lenience, References};
use keda_core::rule::{self, Rule};
use keda_scalers::plan::{Descriptions, JobPlan, Plan, plan, plan_job};

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
    /// The plans of the ScaledJobs that have one, in the order of the input.
    pub(crate) jobs: Vec<JobPlan>,
    /// The places of mistakes that the manifests themselves show, before any plan.
    broken: HashSet<Place>,
}

impl Project {
    /// Reads, loads and plans.
    pub(crate) fn read(manifests: &Manifests, lenience: Lenience) -> Result<Self, Unreadable> {
        let sources = Reader::default().read(&manifests.paths, manifests.recursive)?;
        Ok(Project::new(&sources, lenience))
    }

    /// Loads and plans.
    pub(crate) fn new(sources: &[Source], lenience: Lenience) -> Self {
        let mut loaded = load(sources);
        let references = References::new(&loaded).with_lenience(lenience);
        let broken = broken_places(&loaded);
        let (mut plans, mut jobs, mut found) = (Vec::new(), Vec::new(), Vec::new());
        for (index, document) in loaded.documents.iter().enumerate() {
            let problems = match &document.object {
                Object::ScaledObject(object) => {
                    let (plan, problems) = plan(&Arc::new((**object).clone()), &references, &Descriptions::new());
                    plans.extend(plan);
                    problems
                }
                Object::ScaledJob(object) => {
                    let (plan, problems) = plan_job(object, &references);
                    jobs.extend(plan);
                    problems
                }
                _ => continue,
            };
            found.extend(problems.into_iter().map(|problem| (index, problem)));
        }
        report(&mut loaded, &broken, found);
        Project { loaded, references, plans, jobs, broken }
    }

    /// Reports what the admission webhooks would refuse, and what is legal and probably not meant.
    pub(crate) fn review(&mut self) {
        keda_scalers::review::explain_misplaced(&mut self.loaded);
        let found = keda_scalers::review::review(&self.loaded, &self.plans, &self.references);
        report(&mut self.loaded, &self.broken, found);
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
                self.loaded.report(index, [Problem::error(rule::TARGET_TAKEN, path, message)]);
            }
        }
        for index in 0..self.loaded.documents.len() {
            let is_job = self.loaded.documents.get(index).is_some_and(|document| document.known == Kind::ScaledJob);
            if is_job {
                let message = "a ScaledJob is not run by `keda up` yet";
                let problem = Problem::warning(rule::NOT_RUN, Path::root().key("kind"), message);
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

/// A path in a document.
type Place = (usize, Path);

/// Reports problems of documents, in the order of their places. What was said of a place already is not said again, nor what
/// follows from a `broken` one.
fn report(loaded: &mut Loaded, broken: &HashSet<Place>, found: Vec<(usize, Problem)>) {
    let said = loaded.findings.iter().filter_map(|finding| {
        let problem = &finding.problem;
        Some(((finding.document?, problem.path.clone()), problem.rule))
    });
    let mut said: HashSet<(Place, Rule)> = said.collect();
    for (index, problem) in found {
        let place = (index, problem.path.clone());
        if !broken.contains(&place) && said.insert((place, problem.rule)) {
            loaded.report(index, [problem]);
        }
    }
    loaded.findings.sort_by_key(|finding| (finding.location.source, finding.location.start));
}

/// The places of errors. What follows from a value that cannot be used is no further mistake.
fn broken_places(loaded: &Loaded) -> HashSet<Place> {
    let errors = loaded.findings.iter().filter(|finding| finding.problem.severity == Severity::Error);
    errors.filter_map(|finding| Some((finding.document?, finding.problem.path.clone()))).collect()
}
