//! The objects of the measurement, and how they get to the API server.

use std::pin::pin;
use std::time::Duration;

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher::{self, Event};
use kube::{Api, runtime};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::api::Cluster;
use crate::bed::{Bed, until};
use crate::source::Source;

/// The namespace of all objects.
pub(crate) const NAMESPACE: &str = "bench";
/// Connections that create objects.
const CONNECTIONS: usize = 8;

/// Name of an object and of its Deployment.
pub(crate) fn name(object: usize) -> String {
    format!("object-{object}")
}

/// A Deployment without replicas.
pub(crate) fn deployment(object: usize) -> Value {
    let labels = json!({ "app": name(object) });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name(object), "namespace": NAMESPACE },
        "spec": {
            "replicas": 0,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "main", "image": "worker" }] },
            },
        },
    })
}

/// A ScaledObject with a path of its own at the source.
pub(crate) fn scaled_object(object: usize, source: &Source) -> Value {
    json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
        "metadata": { "name": name(object), "namespace": NAMESPACE },
        "spec": {
            "scaleTargetRef": { "name": name(object) },
            "pollingInterval": 30,
            "triggers": [{ "type": "metrics-api", "metadata": {
                "url": format!("{}{object}", source.url), "valueLocation": "value", "targetValue": "5",
            } }],
        },
    })
}

/// Makes the namespace and the Deployments, and waits until their controller has seen them.
pub(crate) async fn prepare(bed: &Bed, count: usize) -> anyhow::Result<()> {
    namespace(bed, NAMESPACE).await?;
    let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments");
    create_all(&bed.cluster, &path, CONNECTIONS, (0..count).map(deployment)).await?;
    let seen = async || {
        let list: Value = bed.cluster.get(&path).await.unwrap_or_default();
        let items = list["items"].as_array().map_or(&[][..], Vec::as_slice);
        items.iter().all(|item| item["status"]["observedGeneration"].is_number())
    };
    until(Duration::from_secs(120), seen).await.context("the Deployments are not taken care of")
}

/// Makes a namespace.
pub(crate) async fn namespace(bed: &Bed, name: &str) -> anyhow::Result<()> {
    bed.apply(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })).await
}

/// Creates objects as fast as the API server takes them.
pub(crate) async fn create_all(
    cluster: &Cluster,
    path: &str,
    connections: usize,
    objects: impl Iterator<Item = Value>,
) -> anyhow::Result<()> {
    let creations = objects.map(|object| async move { cluster.create::<Value>(path, &object).await.map(|_| ()) });
    stream::iter(creations).buffer_unordered(connections).try_collect::<()>().await.context("cannot create an object")
}

/// Creates all ScaledObjects. Says how long the creation took, and how long after it the last HPA was there.
pub(crate) async fn scale_all(bed: &Bed, source: &Source, count: usize) -> anyhow::Result<(Duration, Duration)> {
    let (complete, completed) = oneshot::channel();
    let hpas = hpas(bed);
    tokio::spawn(async move {
        let _ = complete.send(wait_for(hpas, count).await);
    });
    let path = format!("/apis/keda.sh/v1alpha1/namespaces/{NAMESPACE}/scaledobjects");
    let begun = Instant::now();
    let objects = (0..count).map(|object| scaled_object(object, source));
    create_all(&bed.cluster, &path, CONNECTIONS, objects).await?;
    let created = Instant::now();
    let completed = tokio::time::timeout(Duration::from_secs(600), completed).await;
    let last = completed.context("after 10 minutes there are not all HPAs")?.context("the watch ended")??;
    Ok((created - begun, last.saturating_duration_since(created)))
}

fn hpas(bed: &Bed) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("autoscaling", "v2", "HorizontalPodAutoscaler");
    Api::namespaced_with(bed.cluster.client(), NAMESPACE, &ApiResource::from_gvk(&kind))
}

/// When so many objects were seen.
async fn wait_for(api: Api<DynamicObject>, count: usize) -> anyhow::Result<Instant> {
    let mut events = pin!(runtime::watcher(api, watcher::Config::default()));
    let mut seen = std::collections::HashSet::new();
    while let Some(event) = events.next().await {
        if let Event::Apply(object) | Event::InitApply(object) = event? {
            seen.insert(object.metadata.name);
        }
        if seen.len() >= count {
            return Ok(Instant::now());
        }
    }
    anyhow::bail!("the watch ended")
}

/// Waits until a Deployment is to have a replica.
pub(crate) async fn wait_for_replica(bed: &Bed, object: usize) -> anyhow::Result<Instant> {
    let kind = GroupVersionKind::gvk("apps", "v1", "Deployment");
    let api: Api<DynamicObject> = Api::namespaced_with(bed.cluster.client(), NAMESPACE, &ApiResource::from_gvk(&kind));
    let has_one = |deployment: Option<&DynamicObject>| {
        deployment.is_some_and(|deployment| deployment.data["spec"]["replicas"].as_i64() >= Some(1))
    };
    runtime::wait::await_condition(api, &name(object), has_one).await?;
    Ok(Instant::now())
}
