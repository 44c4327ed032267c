//! Manifests: everything that `keda validate` does with the bytes of a file.

use std::io;
use std::path::Path;
use std::sync::Arc;

use keda_core::manifest::{Finding, Loaded, Object, Source, load};
use keda_core::problem::has_errors;
use keda_core::resolve::{Lenience, References};
use keda_scalers::plan::{Descriptions, Plan, plan, plan_job};
use keda_scalers::review::review;
use proptest::strategy::{BoxedStrategy, Strategy};

use crate::corpus::{Corpus, changed, files};
use crate::dictionary::Vocabulary;
use crate::runner::Target;

/// A line between two sources.
const ANOTHER_SOURCE: &str = "\n# Another source\n";

pub(crate) struct Manifest(Arc<Corpus>);

impl Manifest {
    pub(crate) fn new(corpus: &Path) -> io::Result<Self> {
        let texts = files(&corpus.join(Self::NAME))?;
        Ok(Manifest(Arc::new(Corpus { texts, vocabulary: Vocabulary::of_manifests() })))
    }
}

impl Target for Manifest {
    type Input = Vec<u8>;

    const NAME: &'static str = "manifest";

    fn corpus(&self) -> Vec<Vec<u8>> {
        self.0.texts.clone()
    }

    fn mutated(&self) -> BoxedStrategy<Vec<u8>> {
        changed(&self.0).boxed()
    }

    fn read(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        vec![bytes.to_vec()]
    }

    fn written(&self, input: &Vec<u8>) -> Vec<u8> {
        input.clone()
    }

    fn run(&self, input: &Vec<u8>) -> Result<bool, String> {
        let mut loaded = load(&sources(input));
        // Something that depends on the input alone, and differs among inputs.
        let [targets, references, stores] = [1, 2, 4].map(|bit| input.len() & bit != 0);
        let references = References::new(&loaded).with_lenience(Lenience { targets, references, stores });
        let (plans, is_planned) = plan_all(&mut loaded, &references)?;
        for (index, problem) in review(&loaded, &plans, &references) {
            loaded.report(index, [problem]);
        }
        loaded.findings.iter().try_for_each(|finding| check_place(&loaded, finding))?;
        Ok(is_planned)
    }
}

fn sources(input: &[u8]) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut rest = input;
    let marker = ANOTHER_SOURCE.as_bytes();
    while let Some(at) = rest.windows(marker.len()).position(|window| window == marker) {
        let (first, others) = rest.split_at(at + 1);
        sources.push(Source::new("first.yaml", first));
        rest = others.get(marker.len() - 1..).unwrap_or_default();
    }
    sources.push(Source::new("last.yaml", rest));
    sources
}

/// The plans of the ScaledObjects, and whether anything was planned.
fn plan_all(loaded: &mut Loaded, references: &References) -> Result<(Vec<Plan>, bool), String> {
    let (mut plans, mut found, mut any) = (Vec::new(), Vec::new(), false);
    for (index, document) in loaded.documents.iter().enumerate() {
        let (is_planned, problems) = match &document.object {
            Object::ScaledObject(object) => {
                let (plan, problems) = plan(&Arc::new((**object).clone()), references, &Descriptions::new());
                let is_planned = plan.is_some();
                if let Some(hpa) = plan.as_ref().and_then(|plan| plan.hpa.as_ref()) {
                    serde_json::to_string(hpa).map_err(|error| format!("the HPA cannot be written: {error}"))?;
                }
                plans.extend(plan);
                (is_planned, problems)
            }
            Object::ScaledJob(object) => {
                let (plan, problems) = plan_job(object, references);
                (plan.is_some(), problems)
            }
            _ => continue,
        };
        if is_planned == has_errors(&problems) {
            return Err(format!("there must be a plan or an error, and not both: {problems:?}"));
        }
        any |= is_planned;
        found.push((index, problems));
    }
    for (index, problems) in found {
        loaded.report(index, problems);
    }
    Ok((plans, any))
}

/// A finding must stand in its source, on characters as a whole.
fn check_place(loaded: &Loaded, finding: &Finding) -> Result<(), String> {
    let location = finding.location;
    let text = loaded.sources.get(location.source).ok_or("a finding has no source")?;
    let is_inside = text.text().get(location.start..location.end).is_some();
    let is_on_its_line = location.column <= text.line(location.line).chars().count() + 1;
    let has_document = finding.document.is_none_or(|index| index < loaded.documents.len());
    // As the path is shown.
    let path = finding.problem.path.to_string();
    match is_inside && is_on_its_line && has_document {
        true => Ok(()),
        false => Err(format!("a finding at {path:?} has no place: {finding:?}")),
    }
}
