//! What triggers ask a Kubernetes cluster for. The operator implements it; here is only the question.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;

use crate::sample::SourceError;
use crate::secret::Secret;

/// A cluster that can be asked. Its `Debug` shows no secrets.
///
/// Errors say what kept the cluster from answering: [`ErrorKind::Unreachable`], [`ErrorKind::Denied`],
/// [`ErrorKind::Throttled`]. That there is no such object is an answer.
///
/// [`ErrorKind::Unreachable`]: crate::sample::ErrorKind::Unreachable
/// [`ErrorKind::Denied`]: crate::sample::ErrorKind::Denied
/// [`ErrorKind::Throttled`]: crate::sample::ErrorKind::Throttled
#[async_trait]
pub trait Cluster: fmt::Debug + Send + Sync {
    /// The pods of a namespace that a label selector, such as `app=shop,tier in (a, b)`, takes.
    ///
    /// # Errors
    /// That the cluster does not answer.
    async fn pods(&self, namespace: &str, selector: &str) -> Result<Vec<Pod>, SourceError>;

    /// `data` of a ConfigMap; `None` when there is no such ConfigMap.
    ///
    /// # Errors
    /// That the cluster does not answer.
    async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<BTreeMap<String, String>>, SourceError>;

    /// The decoded `data` of a Secret; `None` when there is no such Secret.
    ///
    /// # Errors
    /// That the cluster does not answer.
    async fn secret(&self, namespace: &str, name: &str) -> Result<Option<BTreeMap<String, Secret>>, SourceError>;
}

/// A pod, as far as triggers look at it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// The node that it was assigned to; empty before that.
    pub node: String,
    /// `status.phase`: `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`, or empty.
    pub phase: String,
}
