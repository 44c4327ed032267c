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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing;

    #[tokio::test]
    async fn a_name_leads_to_no_other_namespace() {
        let (cluster, mut requests) = testing::cluster(|_| None);
        for name in ["../../other/secrets/victim", "victim/", "..", "", "..%2F..%2Fother"] {
            assert!(cluster.secret("mine", name).await.unwrap().is_none(), "{name}");
            assert!(cluster.config_map("mine", name).await.unwrap().is_none(), "{name}");
        }
        assert_eq!(requests.so_far(), Vec::<String>::new());
        assert!(cluster.secret("mine", "victim?x=").await.unwrap().is_none());
        assert_eq!(requests.so_far(), ["GET /api/v1/namespaces/mine/secrets/victim%3Fx%3D"]);
    }
}
