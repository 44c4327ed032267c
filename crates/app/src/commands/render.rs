//! `keda render`: the HorizontalPodAutoscalers that manifests lead to.

use keda_scalers::plan::Plan;

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
    for plan in project.plans.iter().filter(|plan| !plan.undescribed.is_empty()) {
        super::complain(&unknown_metrics(plan));
    }
    let autoscalers: Vec<_> = project.plans.iter().filter_map(|plan| plan.hpa.as_ref()).collect();
    super::print_objects(&autoscalers, arguments.output)?;
    Ok(FINE)
}

/// What is missing of an object's HPA, as only its sources know it.
fn unknown_metrics(plan: &Plan) -> String {
    let Plan { definition, undescribed, .. } = plan;
    let named = undescribed.iter().filter_map(|index| Some((index, definition.triggers.get(*index)?)));
    let named: Vec<String> = named.map(|(index, trigger)| format!("{index} ({})", trigger.trigger_type)).collect();
    let what = match plan.hpa {
        Some(_) => "they are not shown",
        None => "it has no other, so no HorizontalPodAutoscaler is shown",
    };
    let key = &definition.key;
    format!("note: ScaledObject {key}: only the source knows the metrics of trigger {}; {what}", named.join(", "))
}
