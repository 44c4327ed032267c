//! `keda render`: the HorizontalPodAutoscalers that manifests lead to.

use crate::cli::Render;
use crate::project::Project;
use crate::{FINE, UNUSABLE, report};

/// Any error means: nothing on standard output, exit code 2.
pub(crate) fn run(arguments: &Render) -> anyhow::Result<u8> {
    let manifests = &arguments.manifests;
    let project = Project::read(manifests, arguments.allow_missing_target)?;
    report::print(&project.loaded);
    if project.is_broken(manifests.strict) {
        return Ok(UNUSABLE);
    }
    let autoscalers: Vec<_> = project.plans.iter().filter_map(|plan| plan.hpa.as_ref()).collect();
    super::print_objects(&autoscalers, arguments.output)?;
    Ok(FINE)
}
