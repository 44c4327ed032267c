//! `keda render`: the objects that manifests lead to: HorizontalPodAutoscalers and Jobs.

use keda_core::manifest::Object;
use keda_core::resolve::Lenience;
use keda_scalers::plan::Plan;
use serde_json::Value;

use crate::cli::Render;
use crate::deploy::least;
use crate::project::Project;
use crate::{FINE, UNUSABLE, report};

/// Any error means: nothing on standard output, exit code 2.
pub(crate) fn run(arguments: &Render) -> anyhow::Result<u8> {
    let manifests = &arguments.manifests;
    let lenience = Lenience { targets: arguments.allow_missing_target, references: false, stores: true };
    let project = Project::read(manifests, lenience)?;
    report::print(&project.loaded);
    if project.is_broken(manifests.strict) {
        return Ok(UNUSABLE);
    }
    if arguments.rbac {
        super::print_objects(&roles(&project, &arguments.operator_namespace), arguments.output)?;
        return Ok(FINE);
    }
    for plan in project.plans.iter().filter(|plan| !plan.undescribed.is_empty()) {
        super::complain(&unknown_metrics(plan));
    }
    super::print_objects(&objects(project)?, arguments.output)?;
    Ok(FINE)
}

/// In the order of the input. Without errors each object has its plan.
fn objects(project: Project) -> serde_json::Result<Vec<Value>> {
    let Project { loaded, plans, jobs, .. } = project;
    let (mut plans, mut jobs) = (plans.into_iter(), jobs.into_iter());
    let made = loaded.documents.iter().filter_map(|document| match &document.object {
        Object::ScaledObject(_) => plans.next()?.hpa.map(serde_json::to_value),
        Object::ScaledJob(_) => jobs.next().map(|plan| Ok(plan.job)),
        _ => None,
    });
    made.collect()
}

fn roles(project: &Project, operator_namespace: &str) -> Vec<Value> {
    let jobs = project.loaded.documents.iter().filter_map(|document| match &document.object {
        Object::ScaledJob(job) => Some(&**job),
        _ => None,
    });
    let objects = project.plans.iter().map(|plan| &plan.object);
    least::roles(objects, jobs, &project.references, operator_namespace)
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
