//! The rights that `keda render --rbac` prints are enough, which only their use can show.

use serde_json::{Value, json};

use super::bed::Bed;
use super::operator::{Operator, Settings};
use super::world::World;

/// Takes all rights away from the operator, which must not run, and gives it the least.
pub async fn the_least_role_is_enough(bed: &Bed) {
    let world = World::new(bed, "least", 0).await;
    let metadata = |name: &str| json!({ "name": name, "namespace": world.namespace });
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata("login"),
        "stringData": { "key": "hunter2" } });
    let authentication = json!({ "apiVersion": "keda.sh/v1alpha1", "kind": "TriggerAuthentication",
        "metadata": metadata("login"),
        "spec": { "secretTargetRef": [{ "parameter": "apiKey", "name": "login", "key": "key" }],
            "boundServiceAccountToken": [{ "parameter": "token", "serviceAccountName": "reader" }] } });
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata("reader") });
    let mut object = world.scaled_object(&json!({}));
    object["spec"]["triggers"][0]["metadata"]["authMode"] = json!("apiKey");
    object["spec"]["triggers"][0]["authenticationRef"] = json!({ "name": "login" });
    let deployment = world.get("apps/v1", "deployments", "web").await;
    // In place of the rights to everything that `keda manifests` gives.
    let all = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/keda-operator";
    bed.cluster.delete(all).await.expect("the rights can be taken away");
    for role in roles(&[&secret, &authentication, &object, &deployment]) {
        bed.apply(&role).await;
    }
    let environment = vec![("WATCH_NAMESPACE".to_string(), world.namespace.clone())];
    let operator = Operator::start(bed, &Settings { environment, ..Settings::default() }).await;
    for one in [&account, &secret, &authentication, &object] {
        bed.apply(one).await;
    }
    world.wait_for("Ready", "True").await;
    world.source.set(12.0);
    world.wait_for_replicas(3).await;
    world.source.set(0.0);
    world.wait_for_replicas(0).await;
    let path = world.path("keda.sh/v1alpha1", "scaledobjects", "web");
    bed.cluster.delete(&path).await.expect("it can be deleted");
    let is_gone = || async { bed.cluster.get::<Value>(&path).await.is_err_and(|error| error.is_not_found()) };
    assert!(super::world::until(20, is_gone).await, "its finalizer stays");
    let output = operator.output();
    assert!(!output.contains("is forbidden") && !output.contains("no token of ServiceAccount"), "{output}");
}

/// What `keda render --rbac` prints for these objects.
fn roles(objects: &[&Value]) -> Vec<Value> {
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
    let arguments = ["render", "--rbac", "-o", "json", "-f", "-"];
    let output = crate::program::keda_with(&arguments, &list.to_string());
    let list: Value = serde_json::from_slice(&output.stdout).expect("a list");
    list["items"].as_array().expect("items").clone()
}
