//! What cannot be done at once: it is told, tried again, and harms nothing that runs.

use serde_json::json;

use super::world::{World, shared, stays, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_of_the_cpu_trigger_comes_back_from_nothing() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "cpu", 2).await;
    let mut object = world.scaled_object(&json!({}));
    object["spec"]["triggers"] = json!([{ "type": "cpu", "metricType": "AverageValue", "metadata": { "value": "1" } }]);
    shared.bed.apply(&object).await;
    world.wait_for("Active", "True").await;
    // There is no metrics server, as the HPA finds out after the object was looked at first.
    world.wait_for("HPAActive", "False").await;
    let path = world.path("apps/v1", "deployments", "web");
    shared.bed.cluster.merge::<serde_json::Value>(&path, &json!({ "spec": { "replicas": 0 } })).await.unwrap();
    world.wait_for_replicas(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_at_a_number_waits_for_its_target() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "early-pause", 1).await;
    let mut object = world.scaled_object(&json!({ "scaleTargetRef": { "name": "absent" } }));
    object["metadata"]["annotations"] = json!({ "autoscaling.keda.sh/paused-replicas": "2" });
    shared.bed.apply(&object).await;
    world.wait_for_event("Warning", "ScaledObjectCheckFailed", "failed to scale target to paused replica count").await;
    world.deploy("absent", 5).await;
    world.wait_for("Ready", "True").await;
    let replicas = || async { world.get("apps/v1", "deployments", "absent").await["spec"]["replicas"] == 2 };
    assert!(until(20, replicas).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hpa_that_cannot_be_changed_goes_on_as_it_is() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "refused", 0).await;
    world.source.set(10.0);
    world.scale(&json!({})).await;
    world.wait_for_replicas(2).await;
    // The API server takes no such period in an HPA.
    let policy = json!({ "type": "Pods", "value": 1, "periodSeconds": 3600 });
    let behavior = json!({ "scaleDown": { "policies": [policy] } });
    world
        .patch(&json!({ "spec": { "advanced": { "horizontalPodAutoscalerConfig": { "behavior": behavior } } } }))
        .await;
    let note = "failed to ensure HPA is correctly created for ScaledObject";
    world.wait_for_event("Warning", "ScaledObjectCheckFailed", note).await;
    world.source.set(0.0);
    world.wait_for_replicas(0).await;
    world.source.set(20.0);
    world.wait_for_replicas(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_that_contradict_each_other_stop_nothing_that_runs() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "contradiction", 0).await;
    world.source.set(10.0);
    world.scale(&json!({})).await;
    world.wait_for_replicas(2).await;
    world.patch(&json!({ "spec": { "idleReplicaCount": 5 } })).await;
    let note = "ScaledObject doesn't have correct Idle/Min/Max Replica Counts specification";
    world.wait_for_event("Warning", "ScaledObjectCheckFailed", note).await;
    world.wait_for("Ready", "False").await;
    world.source.set(20.0);
    world.wait_for_replicas(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_cannot_name_the_target_of_another() {
    let Some(shared) = shared().await else { return };
    let victim = World::new(&shared.bed, "victim", 3).await;
    let world = World::new(&shared.bed, "tenant", 1).await;
    let hostile = format!("apps/v1/namespaces/{}/deployments/web/scale?x=", victim.namespace);
    for (name, reference) in [
        ("web", json!({ "apiVersion": hostile, "kind": "Deployment", "name": "web" })),
        ("name", json!({ "name": format!("../../{}/deployments/web", victim.namespace) })),
    ] {
        let mut object = world.scaled_object(&json!({ "scaleTargetRef": reference }));
        object["metadata"]["name"] = json!(name);
        object["metadata"]["annotations"] = json!({ "autoscaling.keda.sh/paused-replicas": "0" });
        shared.bed.apply(&object).await;
    }
    world.wait_for("Ready", "False").await;
    let untouched = || async { victim.replicas().await == 3 };
    assert!(stays(5, untouched).await, "the target of another namespace was scaled");
}
