//! `keda validate`: everything that is wrong with manifests, found without a cluster.

use keda_core::resolve::Lenience;
use serde::Serialize;

use crate::cli::{FindingFormat, Validate};
use crate::findings::Report;
use crate::project::Project;
use crate::{FINDINGS, FINE, report};

pub(crate) fn run(arguments: &Validate) -> anyhow::Result<u8> {
    let manifests = &arguments.manifests;
    // What is not among the manifests may be in the cluster, and nobody is asked for what secret stores hold.
    let lenience = Lenience { targets: arguments.allow_missing_target, references: true, stores: true };
    let mut project = Project::read(manifests, lenience)?;
    project.review();
    match arguments.output {
        FindingFormat::Text => {
            report::print(&project.loaded);
            if project.loaded.findings.is_empty() {
                super::print(&format!("{} objects, no problems\n", project.loaded.documents.len()))?;
            }
        }
        FindingFormat::Json => print_json(&Report::of(&project.loaded))?,
        FindingFormat::Sarif => print_json(&Report::of(&project.loaded).sarif())?,
    }
    Ok(if project.is_broken(manifests.strict) { FINDINGS } else { FINE })
}

fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    super::print(&(serde_json::to_string_pretty(value)? + "\n"))
}
