//! A cluster for tests: a few objects in every namespace.

use std::collections::BTreeMap;

use async_trait::async_trait;
use keda_core::cluster::{Cluster, Pod};
use keda_core::sample::SourceError;
use keda_core::secret::Secret;

/// Has these objects, or fails.
#[derive(Debug, Default)]
pub(crate) struct FakeCluster {
    pub(crate) pods: Vec<Pod>,
    pub(crate) config_maps: BTreeMap<&'static str, BTreeMap<String, String>>,
    pub(crate) secrets: BTreeMap<&'static str, BTreeMap<String, Secret>>,
    pub(crate) failure: Option<SourceError>,
}

impl FakeCluster {
    fn answer<T>(&self, answer: T) -> Result<T, SourceError> {
        self.failure.clone().map_or(Ok(answer), Err)
    }
}

#[async_trait]
impl Cluster for FakeCluster {
    async fn pods(&self, _: &str, _: &str) -> Result<Vec<Pod>, SourceError> {
        self.answer(self.pods.clone())
    }

    async fn config_map(&self, _: &str, name: &str) -> Result<Option<BTreeMap<String, String>>, SourceError> {
        self.answer(self.config_maps.get(name).cloned())
    }

    async fn secret(&self, _: &str, name: &str) -> Result<Option<BTreeMap<String, Secret>>, SourceError> {
        self.answer(self.secrets.get(name).cloned())
    }
}
