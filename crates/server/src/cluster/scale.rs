//! The scale subresource, through which any kind of target is scaled.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client::{ApiError, ApiErrorKind, Cluster};
use super::path::ApiPath;
use super::resource::Resource;

/// How often a scaling is tried again because the target was changed at the same time.
const ATTEMPTS: usize = 5;

/// A target's `/scale`, as far as it is used here; the rest is sent back as it came.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Scale {
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
    #[serde(default)]
    spec: ScaleSpec,
    #[serde(default)]
    pub(crate) status: ScaleStatus,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct ScaleSpec {
    #[serde(default)]
    replicas: i32,
}

/// What a target says of its pods.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct ScaleStatus {
    #[serde(default)]
    replicas: i32,
    /// Selects the target's pods.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) selector: String,
}

impl Scale {
    /// The replicas that are wanted.
    pub(crate) fn replicas(&self) -> i32 {
        self.spec.replicas
    }
}

/// Reads the scale of a target.
pub(crate) async fn read(
    cluster: &Cluster,
    resource: &Resource,
    namespace: &str,
    name: &str,
) -> Result<Scale, ApiError> {
    cluster.get(&path(resource, namespace, name)).await
}

/// Sets the replicas of a target to `to`. With `from` given, only while it still has so many: somebody else may have
/// scaled it since it was looked at, and a decision that was made for other replicas is not carried out.
pub(crate) async fn write(
    cluster: &Cluster,
    resource: &Resource,
    (namespace, name): (&str, &str),
    from: Option<i32>,
    to: i32,
) -> Result<(), ApiError> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let mut scale = read(cluster, resource, namespace, name).await?;
        if scale.spec.replicas == to {
            return Ok(());
        }
        if let Some(from) = from.filter(|from| *from != scale.spec.replicas) {
            let message = format!("it has {} replicas by now, not {from}", scale.spec.replicas);
            return Err(ApiError { kind: ApiErrorKind::Conflict, message });
        }
        scale.spec.replicas = to;
        match cluster.replace::<Value>(&path(resource, namespace, name), &scale).await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind == ApiErrorKind::Conflict => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| ApiError { kind: ApiErrorKind::Conflict, message: "it changes too often".to_string() }))
}

fn path(resource: &Resource, namespace: &str, name: &str) -> ApiPath {
    resource.object(Some(namespace), name).below("scale")
}
