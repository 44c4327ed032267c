//! Pauses, fallbacks and mistakes: each with its conditions and events.

use serde_json::{Value, json};

use super::world::{World, shared, stays, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_takes_the_hpa_away_and_freezes_the_replicas_until_it_ends() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "pause", 2).await;
    world.source.set(10.0);
    world.scale(&json!({ "minReplicaCount": 2 })).await;
    world.annotate(&json!({ "autoscaling.keda.sh/paused": "true" })).await;
    world.wait_for("Paused", "True").await;
    assert!(until(20, || async { world.hpa().await.is_null() }).await, "the HPA stays");
    world.source.set(100.0);
    assert!(stays(3, || async { world.replicas().await == 2 }).await, "a paused target is scaled");
    assert_eq!(world.condition("Ready").await, ("True".into(), "ScaledObjectReady".into()));
    world.wait_for_event("Normal", "ScaledObjectPaused", "ScaledObject is paused").await;
    world.wait_for_event("Normal", "KEDAScalersStopped", "Stopped scalers watch").await;
    world.annotate(&json!({ "autoscaling.keda.sh/paused": null })).await;
    world.wait_for_reason("Paused", "ScaledObjectUnpaused").await;
    assert!(until(20, || async { !world.hpa().await.is_null() }).await, "the HPA does not come back");
    world.wait_for_event("Normal", "ScaledObjectUnpaused", "pause annotation removed for ScaledObject").await;
    world.wait_for_replicas(20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_at_a_number_of_replicas_scales_to_it() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "paused-at", 1).await;
    world.scale(&json!({ "minReplicaCount": 1 })).await;
    world.annotate(&json!({ "autoscaling.keda.sh/paused-replicas": "3" })).await;
    world.wait_for_replicas(3).await;
    world.wait_for("Paused", "True").await;
    assert!(until(20, || async { world.object().await["status"]["pausedReplicaCount"] == 3 }).await);
    world.annotate(&json!({ "autoscaling.keda.sh/paused-replicas": "many" })).await;
    world.wait_for("Ready", "False").await;
    world.annotate(&json!({ "autoscaling.keda.sh/paused-replicas": null })).await;
    world.wait_for("Ready", "True").await;
    assert!(until(20, || async { world.object().await["status"]["pausedReplicaCount"].is_null() }).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn pauses_in_one_direction_keep_the_hpa() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "partly", 1).await;
    world.source.set(5.0);
    world.scale(&json!({})).await;
    world.wait_for("Active", "True").await;
    world.annotate(&json!({ "autoscaling.keda.sh/paused-scale-in": "true" })).await;
    world.wait_for("Paused", "True").await;
    let disabled = |direction: &'static str| {
        let world = &world;
        async move { world.hpa().await["spec"]["behavior"][direction]["selectPolicy"] == "Disabled" }
    };
    assert!(until(20, || disabled("scaleDown")).await, "{:#}", world.hpa().await["spec"]);
    world.source.set(0.0);
    assert!(stays(4, || async { world.replicas().await == 1 }).await, "it is scaled in");
    world
        .annotate(
            &json!({ "autoscaling.keda.sh/paused-scale-in": null, "autoscaling.keda.sh/paused-scale-out": "true" }),
        )
        .await;
    world.wait_for_replicas(0).await;
    assert!(until(20, || disabled("scaleUp")).await, "{:#}", world.hpa().await["spec"]);
    world.source.set(50.0);
    assert!(stays(4, || async { world.replicas().await == 0 }).await, "it is scaled out");
    world.annotate(&json!({ "autoscaling.keda.sh/paused-scale-out": null })).await;
    world.wait_for_replicas(10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_replicas_are_below_the_minimum() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "idle", 3).await;
    world.scale(&json!({ "idleReplicaCount": 0, "minReplicaCount": 2 })).await;
    world.wait_for_replicas(0).await;
    world.source.set(1.0);
    world.wait_for_replicas(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_source_never_scales_and_the_fallback_takes_over() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "failing", 2).await;
    world.source.set(10.0);
    world.scale(&json!({})).await;
    world.wait_for("Active", "True").await;
    world.source.fail();
    world.wait_for_reason("Ready", "TriggerError").await;
    assert!(stays(5, || async { world.replicas().await == 2 }).await, "a failing source scales");
    world.wait_for_event("Warning", "KEDAScalerFailed", "").await;
    world.patch(&json!({ "spec": { "fallback": { "failureThreshold": 2, "replicas": 6 } } })).await;
    world.wait_for("Fallback", "True").await;
    world.wait_for_replicas(6).await;
    world.wait_for_event("Normal", "ScaledObjectFallbackActivated", "ScaledObject fallback is active").await;
    let health = || async { world.object().await["status"]["health"]["s0-metric-api-value"]["status"] == "Failing" };
    assert!(until(10, health).await);
    world.source.set(10.0);
    world.wait_for("Fallback", "False").await;
    world.wait_for_replicas(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_formula_makes_one_metric_of_several() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "formula", 1).await;
    world.source.set(4.0);
    let trigger = |name: &str| {
        json!({ "type": "metrics-api", "name": name, "metadata": {
            "url": world.source.url, "valueLocation": "value", "targetValue": "5" } })
    };
    world
        .scale(&json!({
            "minReplicaCount": 1,
            "triggers": [trigger("one"), trigger("two")],
            "advanced": { "scalingModifiers": { "formula": "one + two", "target": "2" } },
        }))
        .await;
    world.wait_for_replicas(4).await;
    let hpa = world.hpa().await;
    assert_eq!(hpa["spec"]["metrics"].as_array().map(Vec::len), Some(1));
    assert_eq!(hpa["spec"]["metrics"][0]["external"]["metric"]["name"], "composite-metric");
    let status = world.object().await["status"].clone();
    assert_eq!(status["compositeScalerName"], "composite-metric");
    assert_eq!(status["externalMetricNames"].as_array().map(Vec::len), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_may_come_later() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "later", 1).await;
    shared.bed.apply(&world.scaled_object(&json!({ "scaleTargetRef": { "name": "absent" } }))).await;
    world.wait_for("Ready", "False").await;
    world.wait_for_event("Warning", "ScaledObjectCheckFailed", "Target resource doesn't exist").await;
    let object = world.object().await;
    assert!(
        object["status"].to_string().contains("ScaledObject doesn't have correct scaleTargetRef specification"),
        "{object:#}"
    );
    world.deploy("absent", 1).await;
    world.wait_for("Ready", "True").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_trigger_may_be_repaired_and_harms_nobody() {
    let Some(shared) = shared().await else { return };
    let good = World::new(&shared.bed, "good", 0).await;
    good.scale(&json!({})).await;
    let world = World::new(&shared.bed, "invalid", 0).await;
    let broken = json!({ "triggers": [{ "type": "metrics-api", "metadata": { "url": world.source.url } }] });
    shared.bed.apply(&world.scaled_object(&broken)).await;
    world.wait_for_reason("Ready", "ScaledObjectCheckFailed").await;
    world.wait_for_event("Warning", "KEDAScalerFailed", "").await;
    assert!(world.hpa().await.is_null());
    good.source.set(5.0);
    good.wait_for_replicas(1).await;
    let repaired = world.scaled_object(&json!({}));
    world.patch(&json!({ "spec": { "triggers": repaired["spec"]["triggers"] } })).await;
    world.wait_for("Ready", "True").await;
    assert!(!world.hpa().await.is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_that_contradict_each_other_are_refused_in_kedas_words() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "bounds", 1).await;
    shared.bed.apply(&world.scaled_object(&json!({ "minReplicaCount": 3, "idleReplicaCount": 3 }))).await;
    world.wait_for("Ready", "False").await;
    let message = "ScaledObject doesn't have correct Idle/Min/Max Replica Counts specification: IdleReplicaCount=3 must \
                   be less than MinReplicaCount=3";
    world.wait_for_event("Warning", "ScaledObjectCheckFailed", message).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_authentication_names_its_users_and_waits_for_nobody() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "auth", 0).await;
    let authentication = json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "TriggerAuthentication",
        "metadata": { "name": "key", "namespace": world.namespace },
        "spec": { "secretTargetRef": [{ "parameter": "apiKey", "name": "key", "key": "value" }] },
    });
    shared.bed.apply(&authentication).await;
    shared
        .bed
        .apply(
            &json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "key", "namespace": world.namespace },
            "stringData": { "value": "s3cret" } }),
        )
        .await;
    let mut object = world.scaled_object(&json!({}));
    object["spec"]["triggers"][0]["authenticationRef"] = json!({ "name": "key" });
    object["spec"]["triggers"][0]["metadata"]["authMode"] = json!("apiKey");
    shared.bed.apply(&object).await;
    world.wait_for("Ready", "True").await;
    let path = world.path("keda.sh/v1alpha1", "triggerauthentications", "key");
    let named = || async {
        let known = world.get("keda.sh/v1alpha1", "triggerauthentications", "key").await;
        known["status"]["scaledobjects"] == "web" && known["metadata"]["finalizers"] == json!(["finalizer.keda.sh"])
    };
    assert!(until(20, named).await);
    assert_eq!(world.object().await["status"]["authenticationsTypes"], "key");
    shared.bed.cluster.delete(&world.path("keda.sh/v1alpha1", "scaledobjects", "web")).await.unwrap();
    let unnamed = || async {
        let known = world.get("keda.sh/v1alpha1", "triggerauthentications", "key").await;
        known["status"]["scaledobjects"].as_str().unwrap_or_default().is_empty()
    };
    assert!(until(20, unnamed).await);
    shared.bed.cluster.delete(&path).await.unwrap();
    let gone = || async { shared.bed.cluster.get::<Value>(&path).await.is_err() };
    assert!(until(20, gone).await, "the TriggerAuthentication does not go");
    assert!(!shared.operator.output().contains("s3cret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_changed_is_read_again_once_the_old_one_is_refused() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "rotation", 0).await;
    let secret = |value: &str| {
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "key", "namespace": world.namespace },
            "stringData": { "value": value } })
    };
    world.source.require("first");
    shared.bed.apply(&secret("first")).await;
    shared
        .bed
        .apply(&json!({
            "apiVersion": "keda.sh/v1alpha1", "kind": "TriggerAuthentication",
            "metadata": { "name": "key", "namespace": world.namespace },
            "spec": { "secretTargetRef": [{ "parameter": "apiKey", "name": "key", "key": "value" }] },
        }))
        .await;
    let mut object = world.scaled_object(&json!({}));
    object["spec"]["triggers"][0]["authenticationRef"] = json!({ "name": "key" });
    object["spec"]["triggers"][0]["metadata"]["authMode"] = json!("apiKey");
    object["spec"]["triggers"][0]["metadata"]["method"] = json!("header");
    shared.bed.apply(&object).await;
    world.source.set(10.0);
    world.wait_for_replicas(2).await;
    shared.bed.apply(&secret("second")).await;
    world.source.require("second");
    world.source.set(20.0);
    world.wait_for_replicas(4).await;
    assert_eq!(world.condition("Ready").await.0, "True");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_service_account_is_shown_to_the_source() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "tokens", 0).await;
    let metadata = json!({ "name": "reader", "namespace": world.namespace });
    let rule = json!({ "apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": ["reader"],
        "verbs": ["create"] });
    let operator = json!({ "kind": "ServiceAccount", "name": "keda-operator", "namespace": "keda" });
    let role = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader" });
    for object in [
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }),
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": [rule] }),
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
            "subjects": [operator], "roleRef": role }),
        json!({ "apiVersion": "keda.sh/v1alpha1", "kind": "TriggerAuthentication", "metadata": metadata,
            "spec": { "boundServiceAccountToken": [{ "parameter": "apiKey", "serviceAccountName": "reader" }] } }),
    ] {
        shared.bed.apply(&object).await;
    }
    let mut object = world.scaled_object(&json!({}));
    object["spec"]["triggers"][0]["authenticationRef"] = json!({ "name": "reader" });
    object["spec"]["triggers"][0]["metadata"]["authMode"] = json!("apiKey");
    shared.bed.apply(&object).await;
    world.source.set(10.0);
    world.wait_for_replicas(2).await;
    let token = world.source.shown().expect("a token");
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": { "token": token } });
    let review: Value =
        shared.bed.cluster.create("/apis/authentication.k8s.io/v1/tokenreviews", &review).await.expect("a review");
    let user = format!("system:serviceaccount:{}:reader", world.namespace);
    assert_eq!(review["status"]["user"]["username"], user);
    assert!(!shared.operator.output().contains(&token));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_triggers_say_beside_that_they_work_is_told() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "announced", 1).await;
    let mut object = world.scaled_object(&json!({}));
    let metadata = json!({ "endpoint": "127.0.0.1:1", "taskQueue": "orders", "buildId": "7", "queue": "orders" });
    object["spec"]["triggers"] = json!([{ "type": "temporal", "name": "orders", "metadata": metadata }]);
    shared.bed.apply(&object).await;
    world.wait_for_event("Normal", "KEDAScalerInfo", "scaler temporal info: The 'buildId' setting is DEPRECATED").await;
    let note = "Unmatched input property queue in scaler temporal (orders)";
    world.wait_for_event("Warning", "KEDAScalerInfo", note).await;
}
