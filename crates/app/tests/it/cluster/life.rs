//! From nothing to something and back, with what people see of it.

use serde_json::{Value, json};

use super::world::{World, shared, until};
use crate::servers::redis::Redis;

#[tokio::test(flavor = "multi_thread")]
async fn work_wakes_a_deployment_the_hpa_takes_over_and_the_end_puts_it_to_rest() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "life", 0).await;
    world.scale(&json!({ "maxReplicaCount": 7 })).await;
    assert_eq!(world.replicas().await, 0);
    world.source.set(23.0);
    world.wait_for_replicas(5).await;
    assert_eq!(world.condition("Active").await, ("True".into(), "ScalerActive".into()));
    world.wait_for_event("Normal", "KEDAScaleTargetActivated", "from 0 to 1, triggered by s0-metric-api-value").await;
    world.source.set(100.0);
    world.wait_for_replicas(7).await;
    world.source.set(5.0);
    world.wait_for_replicas(1).await;
    world.source.set(0.0);
    world.wait_for_replicas(0).await;
    world.wait_for_event("Normal", "KEDAScaleTargetDeactivated", "from 1 to 0").await;
    for (reason, note) in [
        ("KEDAScalersStarted", "Started scalers watch"),
        ("KEDAScalersStarted", "Scaler metrics-api is built"),
        ("ScaledObjectReady", "ScaledObject is ready for scaling"),
    ] {
        world.wait_for_event("Normal", reason, note).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hpa_and_the_status_are_as_keda_writes_them() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "fields", 2).await;
    let mut object = world.scaled_object(&json!({
        "minReplicaCount": 2, "maxReplicaCount": 9,
        "advanced": { "horizontalPodAutoscalerConfig": { "behavior": { "scaleDown": { "stabilizationWindowSeconds": 3 } } } },
    }));
    object["metadata"]["labels"] = json!({ "team": "shop" });
    object["metadata"]["annotations"] = json!({ "note": "x" });
    shared.bed.apply(&object).await;
    world.wait_for("Ready", "True").await;
    let hpa = world.hpa().await;
    let uid = world.object().await["metadata"]["uid"].clone();
    assert_eq!(
        hpa["metadata"]["ownerReferences"],
        json!([{ "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "web", "uid": uid,
                 "controller": true, "blockOwnerDeletion": true }])
    );
    let labels = &hpa["metadata"]["labels"];
    assert_eq!(labels["scaledobject.keda.sh/name"], "web");
    assert_eq!(labels["app.kubernetes.io/managed-by"], "keda-operator");
    assert_eq!(
        (&labels["app.kubernetes.io/name"], &labels["app.kubernetes.io/part-of"]),
        (&json!("keda-hpa-web"), &json!("web"))
    );
    assert_eq!(labels["team"], "shop");
    assert_eq!(hpa["metadata"]["annotations"], json!({ "note": "x" }));
    let spec = &hpa["spec"];
    assert_eq!((&spec["minReplicas"], &spec["maxReplicas"]), (&json!(2), &json!(9)));
    assert_eq!(spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"], 3);
    assert_eq!(
        spec["metrics"],
        json!([{ "type": "External", "external": {
            "metric": { "name": "s0-metric-api-value",
                        "selector": { "matchLabels": { "scaledobject.keda.sh/name": "web" } } },
            "target": { "type": "AverageValue", "averageValue": "5" } } }])
    );
    let object = world.object().await;
    assert_eq!(object["metadata"]["finalizers"], json!(["finalizer.keda.sh"]));
    assert_eq!(object["metadata"]["labels"]["scaledobject.keda.sh/name"], "web");
    let status = &object["status"];
    assert_eq!(status["scaleTargetKind"], "apps/v1.Deployment");
    assert_eq!(
        status["scaleTargetGVKR"],
        json!({ "group": "apps", "version": "v1", "kind": "Deployment", "resource": "deployments" })
    );
    assert_eq!((&status["originalReplicaCount"], &status["hpaName"]), (&json!(2), &json!("keda-hpa-web")));
    assert_eq!(
        (&status["externalMetricNames"], &status["triggersTypes"]),
        (&json!(["s0-metric-api-value"]), &json!("metrics-api"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_hpa_is_made_again_and_a_changed_one_put_right() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "repair", 1).await;
    world.scale(&json!({ "minReplicaCount": 1 })).await;
    let path = world.path("autoscaling/v2", "horizontalpodautoscalers", "keda-hpa-web");
    let first = world.hpa().await["metadata"]["uid"].clone();
    shared.bed.cluster.delete(&path).await.unwrap();
    let again = || async { !world.hpa().await.is_null() && world.hpa().await["metadata"]["uid"] != first };
    assert!(until(20, again).await, "the HPA is not made again");
    shared.bed.cluster.merge::<Value>(&path, &json!({ "spec": { "maxReplicas": 3 } })).await.unwrap();
    assert!(until(20, || async { world.hpa().await["spec"]["maxReplicas"] == 100 }).await, "the HPA is not put right");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_hpa_takes_the_place_of_the_former() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "rename", 1).await;
    world.scale(&json!({ "minReplicaCount": 1 })).await;
    world.patch(&json!({ "spec": { "advanced": { "horizontalPodAutoscalerConfig": { "name": "other" } } } })).await;
    let renamed = || async {
        let other = world.get("autoscaling/v2", "horizontalpodautoscalers", "other").await;
        !other.is_null() && world.hpa().await.is_null() && world.object().await["status"]["hpaName"] == "other"
    };
    assert!(until(20, renamed).await, "{:#}", world.object().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hpa_of_somebody_else_is_taken_over_by_its_name() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "transfer", 2).await;
    let theirs = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": "theirs", "namespace": world.namespace },
        "spec": { "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" }, "maxReplicas": 4 },
    });
    shared.bed.apply(&theirs).await;
    let before = world.get("autoscaling/v2", "horizontalpodautoscalers", "theirs").await["metadata"]["uid"].clone();
    let mut object = world.scaled_object(&json!({
        "minReplicaCount": 1, "advanced": { "horizontalPodAutoscalerConfig": { "name": "theirs" } },
    }));
    object["metadata"]["annotations"] = json!({ "scaledobject.keda.sh/transfer-hpa-ownership": "true" });
    shared.bed.apply(&object).await;
    world.wait_for("Ready", "True").await;
    let hpa = world.get("autoscaling/v2", "horizontalpodautoscalers", "theirs").await;
    assert_eq!(hpa["metadata"]["uid"], before, "it is the same object");
    assert_eq!(hpa["metadata"]["ownerReferences"][0]["name"], "web");
    assert_eq!(hpa["spec"]["metrics"][0]["external"]["metric"]["name"], "s0-metric-api-value");
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_gives_back_the_first_replicas_only_where_that_is_wanted() {
    let Some(shared) = shared().await else { return };
    for (restore, expected) in [(true, 4), (false, 0)] {
        let world = World::new(&shared.bed, "delete", 4).await;
        world.scale(&json!({ "advanced": { "restoreToOriginalReplicaCount": restore } })).await;
        world.wait_for_replicas(0).await;
        shared.bed.cluster.delete(&world.path("keda.sh/v1alpha1", "scaledobjects", "web")).await.unwrap();
        assert!(until(20, || async { world.object().await.is_null() }).await, "the object does not go");
        world.wait_for_replicas(expected).await;
        assert!(until(20, || async { world.hpa().await.is_null() }).await, "the HPA does not go");
        world.wait_for_event("Warning", "ScaledObjectDeleted", "ScaledObject was deleted").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_kedas_columns() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "columns", 1).await;
    world.scale(&json!({ "minReplicaCount": 1, "maxReplicaCount": 3 })).await;
    world.wait_for("Active", "False").await;
    let request = http::Request::get(world.path("keda.sh/v1alpha1", "scaledobjects", "web"))
        .header("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())
        .unwrap();
    let table: Value = shared.bed.cluster.client().request(request).await.unwrap();
    let columns = table["columnDefinitions"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap());
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    let shown: Vec<String> =
        columns.zip(cells).map(|(name, cell)| format!("{name}={}", cell.to_string().trim_matches('"'))).collect();
    for expected in [
        "ScaleTargetKind=apps/v1.Deployment",
        "ScaleTargetName=web",
        "Min=1",
        "Max=3",
        "Ready=True",
        "Active=False",
        "Fallback=False",
        "Paused=False",
        "Triggers=metrics-api",
    ] {
        assert!(shown.iter().any(|known| known == expected), "{expected} in {shown:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_redis_scales_from_nothing_and_back() {
    let (Some(shared), Some(server)) = (shared().await, Redis::start()) else { return };
    let world = World::new(&shared.bed, "redis", 0).await;
    let trigger = json!([{ "type": "redis", "metadata": {
        "address": format!("127.0.0.1:{}", server.port), "listName": "jobs", "listLength": "5",
        "passwordFromEnv": "PASSWORD",
    } }]);
    let container = json!([{ "name": "main", "image": "worker", "env": [
        { "name": "PASSWORD", "valueFrom": { "secretKeyRef": { "name": "redis", "key": "password" } } },
    ] }]);
    shared
        .bed
        .apply(&json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "redis", "namespace": world.namespace },
            "stringData": { "password": crate::servers::redis::PASSWORD } }))
        .await;
    let path = world.path("apps/v1", "deployments", "web");
    let template = json!({ "spec": { "template": { "spec": { "containers": container } } } });
    shared.bed.cluster.merge::<Value>(&path, &template).await.unwrap();
    world.scale(&json!({ "triggers": trigger })).await;
    let mut jobs = server.connect().await;
    redis::cmd("RPUSH").arg("jobs").arg(vec!["job"; 17]).exec_async(&mut jobs).await.unwrap();
    world.wait_for_replicas(4).await;
    redis::cmd("DEL").arg("jobs").exec_async(&mut jobs).await.unwrap();
    world.wait_for_replicas(0).await;
}
