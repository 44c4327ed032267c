//! From a kind to the resource that it is served under.

use std::collections::HashMap;
use std::sync::Mutex;

use serde::Deserialize;

use super::client::{ApiError, ApiErrorKind, Cluster};
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
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        if let Some(resource) = Resource::well_known(group, version, kind) {
            return Ok(resource);
        }
        let key = (api_version.to_string(), kind.to_string());
        if let Some(resource) = self.known.lock().ok().and_then(|known| known.get(&key).cloned()) {
            return Ok(resource);
        }
        let path = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let unknown = || ApiError {
            kind: ApiErrorKind::NotFound,
            message: format!("no matches for kind {kind:?} in version {api_version:?}"),
        };
        let list: ResourceList = match cluster.get(&path).await {
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
