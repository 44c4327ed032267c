//! The kinds of Kubernetes beside KEDA's: workloads, ConfigMaps, ServiceAccounts and LimitRanges.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{LocalReference, ObjectMeta, PodTemplate};

/// A Deployment, StatefulSet, Job or any other object that may hold a pod template.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Workload {
    /// API version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Metadata.
    pub metadata: ObjectMeta,
    /// What the user wants.
    pub spec: WorkloadSpec,
}

/// What workloads have in common.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkloadSpec {
    /// Replicas; one when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// The pods' template; none for workloads of another shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<PodTemplate>,
}

impl Workload {
    /// The replicas it asks for.
    pub fn replicas(&self) -> i32 {
        self.spec.replicas.unwrap_or(1)
    }
}

/// A ServiceAccount; its annotations name cloud identities.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceAccount {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Secrets that its pods may use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<LocalReference>,
}

/// A ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigMap {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Texts by key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
}

/// A LimitRange: default requests of containers in a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitRange {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// The limits.
    pub spec: LimitRangeSpec,
}

/// The limits of a LimitRange.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitRangeSpec {
    /// One entry per type.
    pub limits: Vec<LimitRangeItem>,
}

/// Limits for one type of thing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LimitRangeItem {
    /// `Container`, `Pod` or `PersistentVolumeClaim`.
    pub r#type: String,
    /// Default limits.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub default: BTreeMap<String, Value>,
    /// Default requests.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub default_request: BTreeMap<String, Value>,
}
