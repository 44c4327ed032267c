//! Where a finding's subject is documented.

use keda_core::manifest::{Finding, Loaded};
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
    let trigger = registry::find_at(document, &finding.problem.path).map(registry::TriggerType::page);
    trigger.or_else(|| Some(format!("{DOCS}{page}")))
}
