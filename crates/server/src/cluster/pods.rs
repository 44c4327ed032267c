//! Pods, read page by page: only those that a selector takes, only the fields in use, and none of them kept.

use serde::Deserialize;

use super::client::{ApiError, Cluster};
use super::object::Trimmed;
use super::resource::PODS;

/// Pods read at a time.
const PAGE: &str = "500";

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
    let mut token = String::new();
    loop {
        let options = [("labelSelector", selector), ("limit", PAGE), ("continue", &token)];
        let path = PODS.path(Some(namespace)).query(&options);
        let page: Page = cluster.get(&path).await?;
        page.items.into_iter().for_each(&mut see);
        if page.metadata.r#continue.is_empty() {
            return Ok(());
        }
        token = page.metadata.r#continue;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing;
    use super::*;

    #[tokio::test]
    async fn a_selector_stays_one_and_pages_are_followed() {
        let (cluster, mut requests) = testing::cluster(|request| match request.ends_with("continue=a%2Fb%26c") {
            true => Some(json!({ "items": [{}] })),
            false => Some(json!({ "metadata": { "continue": "a/b&c" }, "items": [{}] })),
        });
        let mut seen = 0;
        for_each(&cluster, "mine", "app=x&limit=1#?", |_| seen += 1).await.unwrap();
        let asked = "GET /api/v1/namespaces/mine/pods?labelSelector=app%3Dx%26limit%3D1%23%3F&limit=500&continue=";
        assert_eq!((seen, requests.so_far()), (2, vec![asked.to_string(), format!("{asked}a%2Fb%26c")]));
        assert!(for_each(&cluster, "mine/../other", "", |_| {}).await.is_err());
        assert!(requests.so_far().is_empty());
    }
}
