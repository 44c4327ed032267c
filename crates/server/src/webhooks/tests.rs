//! Reviews in, verdicts out; the cluster is one that cannot be reached.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::exposition::Build;

fn checks() -> Checks {
    let nowhere = "http://127.0.0.1:1".parse().unwrap();
    let client = kube::Client::try_from(kube::Config::new(nowhere)).unwrap();
    Checks { cluster: Cluster::new(client), metrics: Metrics::new(Build::default()).unwrap() }
}

async fn ask(router: &Router, path: &str, body: String) -> (StatusCode, Value) {
    let answer = router.clone().oneshot(Request::post(path).body(Body::from(body)).unwrap()).await.unwrap();
    let status = answer.status();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

fn of(operation: &str, object: &Value, old: &Value) -> String {
    let request =
        json!({ "uid": "u", "operation": operation, "namespace": "shop", "object": object, "oldObject": old });
    json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request }).to_string()
}

fn scaled_object(minimum: i32, finalizers: &[&str]) -> Value {
    json!({
        "metadata": { "name": "web", "finalizers": finalizers },
        "spec": {
            "scaleTargetRef": { "name": "web" }, "minReplicaCount": minimum, "maxReplicaCount": 4, "cooldownPeriod": 9,
            "triggers": [{ "type": "cron" }],
        },
    })
}

const SCALED_OBJECT: &str = "/validate-keda-sh-v1alpha1-scaledobject";

#[tokio::test]
async fn each_operation_has_its_verdict_although_the_cluster_is_away() {
    let checks = checks();
    let (metrics, router) = (checks.metrics.clone(), router(checks));
    let (good, bad) = (scaled_object(1, &[]), scaled_object(5, &[]));
    let kept = scaled_object(5, &["finalizer.keda.sh"]);
    let other = scaled_object(6, &["finalizer.keda.sh"]);
    let table = [
        ("CREATE", &good, &Value::Null, true),
        ("CREATE", &bad, &Value::Null, false),
        ("UPDATE", &bad, &good, false),
        ("UPDATE", &bad, &kept, true),
        ("UPDATE", &bad, &other, false),
        ("DELETE", &Value::Null, &bad, true),
    ];
    for (operation, object, old, allowed) in table {
        let (status, answer) = ask(&router, SCALED_OBJECT, of(operation, object, old)).await;
        assert_eq!((status, &answer["response"]["uid"]), (StatusCode::OK, &json!("u")));
        assert_eq!(answer["response"]["allowed"], json!(allowed), "{operation} {object}: {answer}");
    }
    let (_, answer) = ask(&router, SCALED_OBJECT, of("CREATE", &bad, &Value::Null)).await;
    let expected = json!({ "code": 403, "reason": "Forbidden",
        "message": "MinReplicaCount=5 must be less than MaxReplicaCount=4" });
    assert_eq!(answer["response"]["status"], expected);
    let (_, answer) = ask(&router, SCALED_OBJECT, of("CREATE", &good, &Value::Null)).await;
    assert!(answer["response"]["warnings"][0].as_str().unwrap().starts_with("CooldownPeriod"), "{answer}");
    let text = metrics.render();
    let total = "keda_webhook_scaled_object_validations_total{action=\"create\",namespace=\"shop\"} 4";
    let errors = "keda_webhook_scaled_object_validation_errors_total{action=\"update\",namespace=\"shop\",reason=\"incorrect-replicas\"} 2";
    assert!(text.contains(total) && text.contains(errors), "{text}");
}

#[tokio::test]
async fn every_path_checks_its_kind() {
    let router = router(checks());
    let object = |spec: Value| json!({ "metadata": { "name": "x" }, "spec": spec });
    let job = object(json!({ "jobTargetRef": {}, "triggers": [] }));
    let authentication = object(json!({ "podIdentity": { "provider": "aws", "externalID": "x" } }));
    let subscription = json!({ "includedEventTypes": ["a"], "excludedEventTypes": ["b"] });
    let source = object(json!({ "destination": { "http": { "uri": "http://x" } }, "eventSubscription": subscription }));
    let objects = [&scaled_object(5, &[]), &job, &authentication, &authentication, &source, &source];
    for ((path, _), object) in PATHS.iter().zip(objects) {
        let (status, answer) = ask(&router, path, of("CREATE", object, &Value::Null)).await;
        assert_eq!((status, &answer["response"]["status"]["code"]), (StatusCode::OK, &json!(403)), "{path} {answer}");
        let (_, answer) = ask(&router, path, of("CREATE", &json!({ "spec": 3 }), &Value::Null)).await;
        assert_eq!(answer["response"]["status"]["code"], 400, "{path} {answer}");
    }
}

#[tokio::test]
async fn what_is_no_review_is_a_bad_request() {
    let router = router(checks());
    let other_version = of("CREATE", &Value::Null, &Value::Null).replace("k8s.io/v1", "k8s.io/v1beta1");
    for body in ["", "{}", "[", r#"{"kind":"AdmissionReview"}"#, &other_version] {
        assert_eq!(ask(&router, SCALED_OBJECT, body.to_string()).await.0, StatusCode::BAD_REQUEST, "{body}");
    }
}
