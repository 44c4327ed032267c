//! The admission webhooks over TLS, with a cluster that knows what else scales.

use std::time::Duration;

use keda_server::certificates::{CertificateFiles, generate};
use keda_server::exposition::{Build, Metrics};
use keda_server::tls::TlsVersions;
use keda_server::webhooks::{self, WebhooksSettings};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::world::{HOST, client, free_address, names};

#[tokio::test]
async fn reviews_are_answered_over_tls() {
    let cluster = Cluster::start().await;
    let target = json!({ "name": "web" });
    cluster.put(
        "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects/first",
        json!({ "metadata": { "name": "first" }, "spec": { "scaleTargetRef": target, "triggers": [] } }),
    );
    let material = generate(&names(), keda_scalers::sampler::wall_clock()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in material.data() {
        std::fs::write(directory.path().join(name), &bytes.0).unwrap();
    }
    let [secure, metrics, probes] = [(); 3].map(|()| free_address());
    let settings = WebhooksSettings {
        address: secure,
        files: CertificateFiles::in_directory(directory.path()),
        versions: TlsVersions::From13,
        metrics_address: Some(metrics),
        health_probe_address: Some(probes),
    };
    let shutdown = CancellationToken::new();
    let exposed = Metrics::new(Build::default()).unwrap();
    let running = tokio::spawn(webhooks::run(settings, cluster.client(), exposed, shutdown.clone()));
    let asker = client(secure, material.identity.authorities(), None);
    let object = json!({ "metadata": { "name": "second" },
        "spec": { "scaleTargetRef": target, "triggers": [{ "type": "cron" }] } });
    let request = json!({ "uid": "u", "operation": "CREATE", "namespace": "shop", "object": object });
    let review = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request });
    let url = format!("https://{HOST}:{}/validate-keda-sh-v1alpha1-scaledobject", secure.port());
    let mut answer = Err(String::new());
    for _ in 0..50 {
        answer = asker.post(&url).json(&review).send().await.map_err(|error| error.to_string());
        if answer.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let answer: serde_json::Value = answer.unwrap().json().await.unwrap();
    assert_eq!(
        answer["response"]["status"]["message"],
        "the workload 'web' of type 'apps/v1.Deployment' is already managed by the ScaledObject 'first'"
    );
    let plain = client(metrics, &[], None);
    let read = |url: String| async { plain.get(url).send().await.unwrap().text().await.unwrap() };
    assert!(read(format!("http://{metrics}/metrics")).await.contains("reason=\"other-scaled-object\"} 1"));
    assert_eq!(read(format!("http://{probes}/readyz")).await, "ok");
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), running).await.unwrap().unwrap().unwrap();
}
