//! `keda validate`: everything that is wrong with manifests, found without a cluster.

use crate::cli::Validate;
use crate::project::Project;
use crate::{FINDINGS, FINE, report};

pub(crate) fn run(arguments: &Validate) -> anyhow::Result<u8> {
    let manifests = &arguments.manifests;
    let project = Project::read(manifests, arguments.allow_missing_target)?;
    report::print(&project.loaded);
    if project.loaded.findings.is_empty() {
        super::print(&format!("{} objects, no problems\n", project.loaded.documents.len()))?;
    }
    Ok(if project.is_broken(manifests.strict) { FINDINGS } else { FINE })
}
