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

/// Sets the replicas of a target to `to`, and says how many are wanted then. With `from` given, only while it still has
/// so many: somebody else may have scaled it since it was looked at, and a decision that was made for other replicas is
/// not carried out.
pub(crate) async fn write(
    cluster: &Cluster,
    resource: &Resource,
    (namespace, name): (&str, &str),
    from: Option<i32>,
    to: i32,
) -> Result<i32, ApiError> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let mut scale = read(cluster, resource, namespace, name).await?;
        let current = scale.spec.replicas;
        if current == to || from.is_some_and(|from| from != current) {
            return Ok(current);
        }
        scale.spec.replicas = to;
        match cluster.replace::<Value>(&path(resource, namespace, name), &scale).await {
            Ok(_) => return Ok(to),
            Err(error) if error.kind == ApiErrorKind::Conflict => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| ApiError { kind: ApiErrorKind::Conflict, message: "it changes too often".to_string() }))
}

fn path(resource: &Resource, namespace: &str, name: &str) -> ApiPath {
    resource.object(Some(namespace), name).below("scale")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::resource::DEPLOYMENTS;
    use super::super::testing::cluster;
    use super::*;

    #[tokio::test]
    async fn a_decision_for_other_replicas_is_not_carried_out() {
        let place = ("shop", "web");
        for (from, to, expected, method) in
            [(Some(3), 0, 0, "PUT"), (Some(2), 0, 3, "GET"), (None, 5, 5, "PUT"), (Some(0), 3, 3, "GET")]
        {
            let (cluster, mut requests) = cluster(|_| Some(json!({ "spec": { "replicas": 3 } })));
            assert_eq!(write(&cluster, &DEPLOYMENTS, place, from, to).await.unwrap(), expected, "{from:?} {to}");
            let last = requests.so_far().pop().unwrap();
            assert_eq!(last, format!("{method} /apis/apps/v1/namespaces/shop/deployments/web/scale"));
        }
    }
}
