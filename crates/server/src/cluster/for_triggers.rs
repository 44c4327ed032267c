//! What triggers ask the cluster for.

use std::collections::BTreeMap;

use async_trait::async_trait;
use keda_core::cluster::{Cluster as Questions, Pod};
use keda_core::sample::SourceError;
use keda_core::secret::Secret;

use super::client::{ApiError, Cluster};
use super::{lookup, pods};

#[async_trait]
impl Questions for Cluster {
    async fn pods(&self, namespace: &str, selector: &str) -> Result<Vec<Pod>, SourceError> {
        let mut found = Vec::new();
        let see = |pod: pods::PodView| {
            let name = pod.metadata.name.unwrap_or_default();
            found.push(Pod { name, node: pod.spec.node_name, phase: pod.status.phase });
        };
        pods::for_each(self, namespace, selector, see).await?;
        Ok(found)
    }

    async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<BTreeMap<String, String>>, SourceError> {
        if_there(lookup::config_map(self, namespace, name).await)
    }

    async fn secret(&self, namespace: &str, name: &str) -> Result<Option<BTreeMap<String, Secret>>, SourceError> {
        let data = if_there(lookup::secret(self, namespace, name).await)?;
        let hidden =
            |data: BTreeMap<String, String>| data.into_iter().map(|(key, value)| (key, Secret::new(value))).collect();
        Ok(data.map(hidden))
    }
}

/// That there is no such object is an answer.
fn if_there<T>(result: Result<T, ApiError>) -> Result<Option<T>, SourceError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}
