//! Objects as KEDA 2.20 leaves them once nothing changes any more: what it adds to the user's, and the statuses.

use serde_json::{Value, json};

use super::bed::{Bed, CERTIFICATES, path_of};
use super::world::World;

const API_SERVICE: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io";

/// A namespace with a ScaledObject `web` and all that belongs to it.
pub struct Settled<'a> {
    pub world: World<'a>,
    /// The paths of what is there.
    paths: Vec<String>,
}

impl<'a> Settled<'a> {
    fn new(world: World<'a>) -> Self {
        Settled { world, paths: Vec::new() }
    }

    /// Nothing to do, and no replicas.
    pub async fn resting(bed: &'a Bed) -> Self {
        let world = World::new(bed, "resting", 0).await;
        let object = marked(world.scaled_object(&json!({})));
        let status = status(&[ready(), inactive(), no_fallback(), not_paused(), disabled()], &json!({}));
        let hpa = hpa("keda-hpa-web", &object);
        Settled::new(world).with(object, status, Some((hpa, false))).await
    }

    /// Something to do, on as many replicas as that needs.
    pub async fn active(bed: &'a Bed) -> Self {
        let world = World::new(bed, "active", 3).await;
        world.source.set(12.0);
        let object = marked(world.scaled_object(&json!({})));
        let status = status(&[ready(), active(), no_fallback(), not_paused(), scaling()], &json!({}));
        let hpa = hpa("keda-hpa-web", &object);
        Settled::new(world).with(object, status, Some((hpa, true))).await
    }

    /// A fallback that is not needed.
    pub async fn with_fallback(bed: &'a Bed) -> Self {
        let world = World::new(bed, "fallback", 2).await;
        world.source.set(7.0);
        let object = marked(world.scaled_object(&json!({ "fallback": { "failureThreshold": 2, "replicas": 4 } })));
        let health = json!({ "health": { "s0-metric-api-value": { "numberOfFailures": 0, "status": "Happy" } } });
        let status = status(&[ready(), active(), no_fallback(), not_paused(), scaling()], &health);
        let hpa = hpa("keda-hpa-web", &object);
        Settled::new(world).with(object, status, Some((hpa, true))).await
    }

    /// An HPA with a name and a behavior of the user's, labels and annotations to be copied, a formula, and a
    /// TriggerAuthentication.
    pub async fn with_everything(bed: &'a Bed) -> Self {
        let world = World::new(bed, "everything", 4).await;
        world.source.set(4.0);
        world.source.require("secret");
        let namespace = world.namespace.as_str();
        let behavior = json!({ "scaleDown": {
            "stabilizationWindowSeconds": 3, "policies": [{ "type": "Percent", "value": 100, "periodSeconds": 15 }],
        } });
        let trigger = |name: &str| {
            json!({
                "type": "metrics-api", "name": name, "authenticationRef": { "name": "auth" },
                "metadata": {
                    "url": world.source.url, "valueLocation": "value", "targetValue": "5", "authMode": "apiKey",
                },
            })
        };
        let mut object = marked(world.scaled_object(&json!({
            "minReplicaCount": 1, "maxReplicaCount": 9,
            "triggers": [trigger("one"), trigger("two")],
            "advanced": {
                "horizontalPodAutoscalerConfig": { "name": "custom", "behavior": behavior },
                "scalingModifiers": { "formula": "one + two", "target": "2" },
            },
        })));
        object["metadata"]["annotations"] =
            json!({ "note": "x", "scaledobject.keda.sh/hpa-excluded-labels": "hidden" });
        for (label, value) in [("team", "shop"), ("app.kubernetes.io/managed-by", "helm"), ("hidden", "x")] {
            object["metadata"]["labels"][label] = json!(value);
        }
        let mut hpa = hpa("custom", &object);
        if let Some(labels) = hpa["metadata"]["labels"].as_object_mut() {
            labels.remove("hidden");
        }
        hpa["spec"]["maxReplicas"] = json!(9);
        hpa["spec"]["behavior"] = behavior;
        hpa["spec"]["metrics"][0]["external"]["metric"]["name"] = json!("composite-metric");
        hpa["spec"]["metrics"][0]["external"]["target"]["averageValue"] = json!("2");
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "stringData": { "key": "secret" },
            "metadata": { "name": "key", "namespace": namespace } });
        bed.apply(&secret).await;
        let authentication = json!({
            "apiVersion": "keda.sh/v1alpha1", "kind": "TriggerAuthentication",
            "metadata": { "name": "auth", "namespace": namespace, "finalizers": ["finalizer.keda.sh"] },
            "spec": { "secretTargetRef": [{ "parameter": "apiKey", "name": "key", "key": "key" }] },
        });
        // With a formula, only what comes of it is active.
        let further = json!({
            "authenticationsTypes": "auth", "hpaName": "custom", "compositeScalerName": "composite-metric",
            "externalMetricNames": ["s0-metric-api-value", "s1-metric-api-value"],
            "triggersActivity": {
                "s0-metric-api-value": { "isActive": false }, "s1-metric-api-value": { "isActive": false },
            },
        });
        let status = status(&[ready(), active(), no_fallback(), not_paused(), scaling()], &further);
        let mut settled = Settled::new(world);
        settled.put(authentication, Some(json!({ "scaledobjects": "web" }))).await;
        settled.with(object, status, Some((hpa, true))).await
    }

    /// Paused since it was made: KEDA has neither labelled it nor looked at its target.
    pub async fn paused(bed: &'a Bed) -> Self {
        let world = World::new(bed, "paused", 1).await;
        world.source.set(50.0);
        let mut object = world.scaled_object(&json!({}));
        object["metadata"]["finalizers"] = json!(["finalizer.keda.sh"]);
        object["metadata"]["annotations"] = json!({ "autoscaling.keda.sh/paused": "true" });
        let conditions =
            [ready_in_a_pause(), json!({ "type": "Active", "status": "Unknown" }), no_fallback(), paused()];
        let status = json!({ "conditions": conditions });
        Settled::new(world).with(object, status, None).await
    }

    /// Paused while it was active: what was known is still said, but there is no HPA.
    pub async fn paused_later(bed: &'a Bed) -> Self {
        let world = World::new(bed, "paused-later", 2).await;
        world.source.set(50.0);
        let mut object = marked(world.scaled_object(&json!({ "fallback": { "failureThreshold": 2, "replicas": 4 } })));
        object["metadata"]["annotations"] = json!({ "autoscaling.keda.sh/paused": "true" });
        let health = json!({ "health": { "s0-metric-api-value": { "numberOfFailures": 0, "status": "Happy" } } });
        let status = status(&[ready_in_a_pause(), active(), no_fallback(), paused(), scaling()], &health);
        Settled::new(world).with(object, status, None).await
    }

    /// Everything as the API server has it, with its versions.
    pub async fn objects(&self) -> Vec<Value> {
        let mut objects = Vec::new();
        for path in self.paths.iter().map(String::as_str).chain([CERTIFICATES, API_SERVICE]) {
            objects.push(self.world.bed.cluster.get(path).await.expect("it is still there"));
        }
        objects
    }

    /// Creates the ScaledObject, and the HPA that it owns; `true` if that one is at work.
    async fn with(mut self, object: Value, mut status: Value, hpa: Option<(Value, bool)>) -> Self {
        let path = path_of(&object);
        self.world.bed.apply(&object).await;
        let created: Value = self.world.bed.cluster.get(&path).await.expect("it is there");
        if status["conditions"][1]["status"] == "True" {
            status["lastActiveTime"] = created["metadata"]["creationTimestamp"].clone();
        }
        self.put(object, Some(status)).await;
        if let Some((mut hpa, works)) = hpa {
            hpa["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "web",
                "uid": created["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
            }]);
            self.put(hpa, Some(hpa_status(works))).await;
        }
        let deployment = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web", "namespace": self.world.namespace } });
        self.paths.push(path_of(&deployment));
        self
    }

    async fn put(&mut self, object: Value, status: Option<Value>) {
        let path = path_of(&object);
        self.world.bed.apply(&object).await;
        if let Some(status) = status {
            let patch = json!({ "status": status });
            let written = self.world.bed.cluster.merge::<Value>(&format!("{path}/status"), &patch).await;
            written.unwrap_or_else(|error| panic!("{path}: {error}"));
        }
        self.paths.push(path);
    }
}

/// With KEDA's finalizer and label.
fn marked(mut object: Value) -> Value {
    object["metadata"]["finalizers"] = json!(["finalizer.keda.sh"]);
    object["metadata"]["labels"] = json!({ "scaledobject.keda.sh/name": "web" });
    object
}

/// The HPA of a ScaledObject, all of whose labels and annotations it takes over.
fn hpa(name: &str, object: &Value) -> Value {
    let mut labels = json!({
        "app.kubernetes.io/name": name, "app.kubernetes.io/version": "2.20.2",
        "app.kubernetes.io/part-of": "web", "app.kubernetes.io/managed-by": "keda-operator",
    });
    for (key, value) in object["metadata"]["labels"].as_object().into_iter().flatten() {
        labels[key] = value.clone();
    }
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "name": name, "namespace": object["metadata"]["namespace"], "labels": labels,
            "annotations": object["metadata"]["annotations"],
        },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
            "minReplicas": 1, "maxReplicas": 100,
            "metrics": [{ "type": "External", "external": {
                "metric": {
                    "name": "s0-metric-api-value",
                    "selector": { "matchLabels": { "scaledobject.keda.sh/name": "web" } },
                },
                "target": { "type": "AverageValue", "averageValue": "5" },
            } }],
        },
    })
}

/// What the controller says of an HPA that works, or of one whose target has no replicas.
fn hpa_status(works: bool) -> Value {
    let (status, reason, message) = match works {
        true => ("True", "ValidMetricFound", "the HPA was able to successfully calculate a replica count"),
        false => ("False", "ScalingDisabled", "scaling is disabled since the replica count of the target is zero"),
    };
    json!({ "currentReplicas": 0, "desiredReplicas": 0, "conditions": [condition("ScalingActive", status, reason, message)] })
}

/// The status of a ScaledObject with one trigger; its second condition says whether that is active.
fn status(conditions: &[Value], further: &Value) -> Value {
    let is_active = conditions[1]["status"] == "True";
    let mut status = json!({
        "authenticationsTypes": "",
        "conditions": conditions,
        "externalMetricNames": ["s0-metric-api-value"],
        "hpaName": "keda-hpa-web",
        "originalReplicaCount": 1,
        "scaleTargetGVKR": { "group": "apps", "version": "v1", "kind": "Deployment", "resource": "deployments" },
        "scaleTargetKind": "apps/v1.Deployment",
        "triggersActivity": { "s0-metric-api-value": { "isActive": is_active } },
        "triggersTypes": "metrics-api",
    });
    for (key, value) in further.as_object().into_iter().flatten() {
        status[key] = value.clone();
    }
    status
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({ "type": kind, "status": status, "reason": reason, "message": message })
}

fn ready() -> Value {
    let message = "ScaledObject is defined correctly and is ready for scaling";
    condition("Ready", "True", "ScaledObjectReady", message)
}

fn active() -> Value {
    condition("Active", "True", "ScalerActive", "Scaling is performed because triggers are active")
}

fn inactive() -> Value {
    condition("Active", "False", "ScalerNotActive", "Scaling is not performed because triggers are not active")
}

fn no_fallback() -> Value {
    condition("Fallback", "False", "NoFallbackFound", "No fallbacks are active on this scaled object")
}

fn not_paused() -> Value {
    json!({ "type": "Paused", "status": "False" })
}

fn ready_in_a_pause() -> Value {
    condition("Ready", "True", "ScaledObjectReady", "ScaledObject is paused")
}

fn paused() -> Value {
    condition("Paused", "True", "ScaledObjectPaused", "ScaledObject is paused")
}

fn scaling() -> Value {
    condition("HPAActive", "True", "HPAActive", "HPA is actively scaling")
}

fn disabled() -> Value {
    let message = "scaling is disabled since the replica count of the target is zero";
    condition("HPAActive", "True", "ScalingDisabled", message)
}
