//! Who may read metrics, and what the operator tells of itself.

use serde_json::{Value, json};

use super::reads::path_of;
use super::world::{World, shared, until};

/// A client that takes the operator's certificate as it is.
fn careless() -> reqwest::Client {
    reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build().expect("a client")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_who_are_known_and_allowed_read_metrics() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "readers", 0).await;
    world.scale(&json!({})).await;
    let path = path_of(&world);
    let readable = || async { shared.bed.cluster.get::<Value>(&path).await.is_ok() };
    assert!(until(30, readable).await, "{:?}", shared.bed.cluster.get::<Value>(&path).await);
    let url = format!("https://localhost:{}{path}", shared.operator.ports.secure);
    let anonymous = careless().get(&url).send().await.expect("an answer");
    assert_eq!(anonymous.status(), 401);
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": { "name": "nobody", "namespace": world.namespace } });
    shared.bed.apply(&account).await;
    let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
    let token = format!("/api/v1/namespaces/{}/serviceaccounts/nobody/token", world.namespace);
    let token: Value = shared.bed.cluster.create(&token, &request).await.expect("a token");
    let token = token["status"]["token"].as_str().expect("a token");
    let refused = careless().get(&url).bearer_auth(token).send().await.expect("an answer");
    assert_eq!(refused.status(), 403);
    let forged = careless().get(&url).header("X-Remote-User", "system:admin").send().await.expect("an answer");
    assert_eq!(forged.status(), 401, "only the API server may say who somebody is");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_that_do_not_exist_are_errors_in_kedas_words() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "unknown", 0).await;
    world.scale(&json!({})).await;
    let path = path_of(&world).replace("s0-metric-api-value", "s9-other");
    let error = shared.bed.cluster.get::<Value>(&path).await.expect_err("there is no such metric");
    assert!(error.message.contains("no matching metrics found for s9-other"), "{error}");
    let path = path.split('?').next().unwrap_or_default().to_string();
    let error = shared.bed.cluster.get::<Value>(&path).await.expect_err("no object is named");
    assert!(error.message.contains("scaledObject name is not specified"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_finds_kedas_families() {
    let Some(shared) = shared().await else { return };
    let world = World::new(&shared.bed, "families", 0).await;
    world.source.set(3.0);
    world.scale(&json!({})).await;
    let url = format!("http://127.0.0.1:{}/metrics", shared.operator.ports.metrics);
    let read = || async { reqwest::get(&url).await.expect("an answer").text().await.expect("text") };
    let series = format!(
        "keda_scaler_metrics_value{{metric=\"s0-metric-api-value\",namespace=\"{}\",scaledObject=\"web\",\
         scaler=\"metricsAPIScaler\",triggerIndex=\"0\",type=\"scaledobject\"}} 3",
        world.namespace
    );
    let told = until(20, || async { read().await.contains(&series) }).await;
    let text = read().await;
    assert!(told, "no {series} in\n{text}");
    for family in [
        "keda_build_info gauge",
        "keda_scaler_active gauge",
        "keda_scaler_metrics_value gauge",
        "keda_scaler_metrics_latency_seconds gauge",
        "keda_scaler_detail_errors_total counter",
        "keda_scaled_object_errors_total counter",
        "keda_scaled_object_paused gauge",
        "keda_trigger_registered_total gauge",
        "keda_resource_registered_total gauge",
        "keda_internal_scale_loop_latency_seconds gauge",
    ] {
        assert!(text.contains(&format!("# TYPE {family}\n")), "no {family} in\n{text}");
    }
}
