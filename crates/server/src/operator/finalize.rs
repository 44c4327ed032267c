//! What is done before a ScaledObject goes (`behaviour.md` §1.4). Its HPA goes by itself, as the object owns it.

use keda_core::api::ScaledObject;
use serde_json::{Value, json};

use super::reconcile::FINALIZER;
use crate::cluster::resource::{Resource, SCALED_OBJECTS};
use crate::cluster::{ApiError, ApiErrorKind, Cluster, scale};

/// How often the finalizer is taken away again because the object was changed at the same time.
const ATTEMPTS: usize = 5;

/// Gives the target its first replicas back where that is wanted, and takes the finalizer away.
pub(super) async fn finalize(cluster: &Cluster, object: &ScaledObject) -> Result<(), ApiError> {
    if object.restores_original_replica_count() {
        restore(cluster, object).await;
    }
    let path = SCALED_OBJECTS.object(Some(object.metadata.namespace()), &object.metadata.name);
    let mut metadata = object.metadata.clone();
    for _ in 0..ATTEMPTS {
        let finalizers: Vec<&String> = metadata.finalizers.iter().filter(|known| *known != FINALIZER).collect();
        if finalizers.len() == metadata.finalizers.len() {
            return Ok(());
        }
        let patch = json!({ "metadata": { "finalizers": finalizers, "resourceVersion": metadata.resource_version } });
        match cluster.merge::<Value>(&path, &patch).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) if error.kind == ApiErrorKind::Conflict => match cluster.get::<ScaledObject>(&path).await {
                Ok(object) => metadata = object.metadata,
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) => return Err(error),
            },
            Err(error) => return Err(error),
        }
    }
    Err(ApiError { kind: ApiErrorKind::Conflict, message: "the object changes too often".to_string() })
}

/// A failure keeps nobody: the object would never go.
async fn restore(cluster: &Cluster, object: &ScaledObject) {
    let Some(status) = &object.status else { return };
    let (Some(gvkr), Some(replicas)) = (&status.scale_target_gvkr, status.original_replica_count) else { return };
    let resource = Resource {
        group: gvkr.group.clone().into(),
        version: gvkr.version.clone().into(),
        kind: gvkr.kind.clone().into(),
        plural: gvkr.resource.clone().into(),
    };
    let name = &object.spec.scale_target_ref.name;
    let place = (object.metadata.namespace(), name.as_str());
    match scale::write(cluster, &resource, place, None, replicas).await {
        Ok(_) => tracing::info!(namespace = place.0, target = place.1, replicas, "gave back the original replicas"),
        Err(error) => {
            tracing::warn!(namespace = place.0, target = place.1, %error, "cannot give back the original replicas");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing;

    fn object(gvkr: &Value, target: &str) -> ScaledObject {
        let status = json!({ "scaleTargetGVKR": gvkr, "originalReplicaCount": 3 });
        let spec = json!({
            "scaleTargetRef": { "name": target }, "triggers": [], "advanced": { "restoreToOriginalReplicaCount": true },
        });
        let metadata = json!({ "name": "web", "namespace": "mine", "finalizers": [FINALIZER] });
        serde_json::from_value(json!({ "metadata": metadata, "spec": spec, "status": status })).unwrap()
    }

    #[tokio::test]
    async fn what_a_status_says_leads_to_no_other_namespace() {
        let gvkr = |version: &str, resource: &str| json!({ "group": "argoproj.io", "version": version, "kind": "Rollout", "resource": resource });
        let scale = "GET /apis/argoproj.io/v1alpha1/namespaces/mine/rollouts/web/scale";
        let mine = "PATCH /apis/keda.sh/v1alpha1/namespaces/mine/scaledobjects/web";
        for (gvkr, target, expected) in [
            (gvkr("v1alpha1", "rollouts"), "web", vec![scale, mine]),
            (gvkr("v1alpha1/namespaces/other/rollouts/victim/scale?x=", "rollouts"), "web", vec![mine]),
            (gvkr("v1alpha1", "../other/rollouts/victim/scale?"), "web", vec![mine]),
            (gvkr("v1alpha1", "rollouts"), "../../other/rollouts/victim", vec![mine]),
            (gvkr("v1alpha1", "rollouts"), "%2e%2e", vec![mine]),
        ] {
            let (cluster, mut requests) = testing::cluster(|_| None);
            finalize(&cluster, &object(&gvkr, target)).await.unwrap();
            assert_eq!(requests.so_far(), expected);
        }
    }
}
