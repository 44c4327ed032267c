//! Pods, read page by page: only those that a selector takes, only the fields in use, and none of them kept.

use serde::Deserialize;

use super::client::{ApiError, Cluster};
use super::object::Trimmed;
use super::resource::PODS;

/// Pods read at a time.
const PAGE: usize = 500;

/// A pod as it is read.
pub(crate) type PodView = Trimmed<PodSpecView, PodStatusView>;

/// Where a pod runs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodSpecView {
    pub(crate) node_name: String,
}

/// How a pod is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PodStatusView {
    pub(crate) phase: String,
    conditions: Vec<PodCondition>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct PodCondition {
    r#type: String,
    status: String,
}

impl PodStatusView {
    /// Whether the pod runs and is ready.
    pub(crate) fn is_ready(&self) -> bool {
        let mut conditions = self.conditions.iter();
        self.phase == "Running" && conditions.any(|known| known.r#type == "Ready" && known.status == "True")
    }
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(default)]
    items: Vec<PodView>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(default)]
    r#continue: String,
}

/// Hands each pod of a namespace that a selector takes to `see`.
pub(crate) async fn for_each(
    cluster: &Cluster,
    namespace: &str,
    selector: &str,
    mut see: impl FnMut(PodView),
) -> Result<(), ApiError> {
    let selector = keda_core::names::query_escape(selector);
    let mut token = String::new();
    loop {
        let after = keda_core::names::query_escape(&token);
        let path = format!("{}?labelSelector={selector}&limit={PAGE}&continue={after}", PODS.path(Some(namespace)));
        let page: Page = cluster.get(&path).await?;
        page.items.into_iter().for_each(&mut see);
        if page.metadata.r#continue.is_empty() {
            return Ok(());
        }
        token = page.metadata.r#continue;
    }
}
