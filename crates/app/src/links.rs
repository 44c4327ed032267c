//! Where a finding's subject is documented.

use keda_core::manifest::{Document, Finding, Loaded};
use keda_core::problem::Step;
use keda_scalers::registry;

/// KEDA's documentation.
const DOCS: &str = "https://keda.sh/docs/latest/";

/// The page about what a finding is about: the trigger's type, or the kind of the object; `None` for other objects.
pub(crate) fn of(loaded: &Loaded, finding: &Finding) -> Option<String> {
    let document = loaded.documents.get(finding.document?)?;
    let page = match document.kind.as_str() {
        "ScaledObject" => "reference/scaledobject-spec/",
        "ScaledJob" => "reference/scaledjob-spec/",
        "TriggerAuthentication" | "ClusterTriggerAuthentication" => "concepts/authentication/",
        "CloudEventSource" | "ClusterCloudEventSource" => "operate/cloud-events/",
        _ => return None,
    };
    trigger_page(document, &finding.problem.path.0).or_else(|| Some(format!("{DOCS}{page}")))
}

/// The page of the trigger that the path leads into.
fn trigger_page(document: &Document, steps: &[Step]) -> Option<String> {
    let [Step::Key(spec), Step::Key(triggers), Step::Index(index), ..] = steps else { return None };
    if spec != "spec" || triggers != "triggers" {
        return None;
    }
    let trigger = document.node.get(spec)?.get(triggers)?.items().get(*index)?;
    registry::find(trigger.text_at(&["type"])?).map(registry::TriggerType::page)
}
