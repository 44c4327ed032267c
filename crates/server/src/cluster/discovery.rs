//! From a kind to the resource that it is served under.

use std::collections::HashMap;
use std::sync::Mutex;

use serde::Deserialize;

use super::client::{ApiError, ApiErrorKind, Cluster};
use super::path::ApiPath;
use super::resource::Resource;

/// Remembers what was discovered. What was not found is asked for again: its definition may come later.
#[derive(Debug, Default)]
pub(crate) struct Discovery {
    known: Mutex<HashMap<(String, String), Resource>>,
}

#[derive(Deserialize)]
struct ResourceList {
    #[serde(default)]
    resources: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    kind: String,
}

impl Discovery {
    /// The resource of a kind.
    ///
    /// # Errors
    /// That the API has no such kind, in the words of Kubernetes' own clients, or that it cannot be asked.
    pub(crate) async fn resource(
        &self,
        cluster: &Cluster,
        api_version: &str,
        kind: &str,
    ) -> Result<Resource, ApiError> {
        if let Some(resource) = Resource::workload(api_version, kind) {
            return Ok(resource.clone());
        }
        let (group, version) = group_version(api_version)?;
        let key = (api_version.to_string(), kind.to_string());
        if let Some(resource) = self.known.lock().ok().and_then(|known| known.get(&key).cloned()) {
            return Ok(resource);
        }
        let unknown = || ApiError {
            kind: ApiErrorKind::NotFound,
            message: format!("no matches for kind {kind:?} in version {api_version:?}"),
        };
        let list: ResourceList = match cluster.get(&ApiPath::version(group, version)).await {
            Ok(list) => list,
            Err(error) if error.is_not_found() => return Err(unknown()),
            Err(error) => return Err(error),
        };
        // Subresources are listed as `plural/subresource`, often with the kind of the subresource.
        let entry = list.resources.into_iter().find(|entry| entry.kind == kind && !entry.name.contains('/'));
        let entry = entry.ok_or_else(unknown)?;
        let resource = Resource {
            group: group.to_string().into(),
            version: version.to_string().into(),
            kind: kind.to_string().into(),
            plural: entry.name.into(),
        };
        if let Ok(mut known) = self.known.lock() {
            known.insert(key, resource.clone());
        }
        Ok(resource)
    }
}

/// The parts of `group/version`; the core group has only a version.
fn group_version(api_version: &str) -> Result<(&str, &str), ApiError> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    if version.contains('/') {
        let message = format!("unexpected GroupVersion string: {api_version}");
        return Err(ApiError { kind: ApiErrorKind::Invalid, message });
    }
    Ok((group, version))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::cluster;
    use super::*;

    /// Asks for a kind, and gives the answer with the requests that were sent.
    async fn ask(api_version: &str, kind: &str) -> (Result<Resource, ApiError>, Vec<String>) {
        let (cluster, mut requests) = cluster(|request| match request {
            "GET /apis/argoproj.io/v1alpha1" => {
                Some(json!({ "resources": [{ "name": "rollouts", "kind": "Rollout" }] }))
            }
            "GET /api/v1" => Some(json!({ "resources": [{ "name": "pods", "kind": "Pod" }] })),
            _ => None,
        });
        let answer = Discovery::default().resource(&cluster, api_version, kind).await;
        (answer, requests.so_far())
    }

    #[tokio::test]
    async fn kinds_are_found_and_workloads_need_not_be_looked_for() {
        let (rollouts, requests) = ask("argoproj.io/v1alpha1", "Rollout").await;
        assert_eq!((&*rollouts.unwrap().plural, requests.len()), ("rollouts", 1));
        assert_eq!(ask("v1", "Pod").await.0.unwrap().plural, "pods");
        let (deployments, requests) = ask("apps/v1", "Deployment").await;
        assert_eq!((&*deployments.unwrap().plural, requests.len()), ("deployments", 0));
    }

    #[tokio::test]
    async fn a_version_leads_nowhere_but_to_its_list() {
        for hostile in
            ["argoproj.io/v1alpha1/namespaces/other/rollouts/victim/scale?x=", "apps/v1/namespaces/other", "a//b"]
        {
            let (answer, requests) = ask(hostile, "Deployment").await;
            let error = answer.unwrap_err();
            assert_eq!(error.kind, ApiErrorKind::Invalid);
            assert_eq!(error.message, format!("unexpected GroupVersion string: {hostile}"));
            assert!(requests.is_empty(), "{requests:?}");
        }
        for (hostile, expected) in [
            ("apps/v1?x=", vec!["GET /apis/apps/v1%3Fx%3D"]),
            ("v1#", vec!["GET /api/v1%23"]),
            ("apps/..", vec![]),
            ("apps/", vec![]),
            ("/", vec![]),
            ("apps/v1beta1", vec!["GET /apis/apps/v1beta1"]),
        ] {
            let (answer, requests) = ask(hostile, "Deployment").await;
            let message = format!("no matches for kind \"Deployment\" in version {hostile:?}");
            assert_eq!(answer.unwrap_err().message, message);
            assert_eq!(requests, expected, "{hostile}");
        }
    }
}
