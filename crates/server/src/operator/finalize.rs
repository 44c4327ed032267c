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
        Ok(()) => tracing::info!(namespace = place.0, target = place.1, replicas, "gave back the original replicas"),
        Err(error) => {
            tracing::warn!(namespace = place.0, target = place.1, %error, "cannot give back the original replicas");
        }
    }
}
