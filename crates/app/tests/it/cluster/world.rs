//! A namespace with a Deployment that is scaled, and looks at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::bed::{Bed, BedProcess};
use super::operator::{Operator, Settings};
use super::source::Source;

/// What most tests share: a control plane and one operator on it.
pub struct Shared {
    pub bed: Bed,
    pub operator: &'static Operator,
}

/// The shared one, with a client of the caller's own; `None` where it cannot be built.
pub async fn shared() -> Option<Shared> {
    static SHARED: OnceCell<Option<(Arc<BedProcess>, Operator)>> = OnceCell::const_new();
    let start = || async {
        let window = "--controller-manager-arg=--horizontal-pod-autoscaler-downscale-stabilization=1s";
        let bed = Bed::start(&[window]).await?;
        let operator = Operator::start(&bed, &Settings::default()).await;
        Some((bed.process(), operator))
    };
    let (process, operator) = SHARED.get_or_init(start).await.as_ref()?;
    Some(Shared { bed: Bed::connect(process).await, operator })
}

/// A namespace of one test, with a Deployment `web` and a source.
pub struct World<'a> {
    pub bed: &'a Bed,
    pub namespace: String,
    pub source: Source,
}

impl<'a> World<'a> {
    /// A new namespace whose Deployment has `replicas`.
    pub async fn new(bed: &'a Bed, name: &str, replicas: i32) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let namespace = format!("{name}-{}", COUNT.fetch_add(1, Ordering::SeqCst));
        let world = World { bed, namespace, source: Source::start(0.0).await };
        bed.apply(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": world.namespace } })).await;
        world.deploy("web", replicas).await;
        world
    }

    /// Makes a Deployment.
    pub async fn deploy(&self, name: &str, replicas: i32) {
        let labels = json!({ "app": name });
        self.bed
            .apply(&json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": { "name": name, "namespace": self.namespace },
                "spec": {
                    "replicas": replicas,
                    "selector": { "matchLabels": labels },
                    "template": {
                        "metadata": { "labels": labels },
                        "spec": { "containers": [{ "name": "main", "image": "worker" }] },
                    },
                },
            }))
            .await;
    }

    /// A ScaledObject `web` on the source, with further fields of `spec`.
    pub fn scaled_object(&self, extra: &Value) -> Value {
        let mut object = json!({
            "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
            "metadata": { "name": "web", "namespace": self.namespace },
            "spec": {
                "scaleTargetRef": { "name": "web" },
                "pollingInterval": 1,
                "cooldownPeriod": 2,
                "triggers": [{ "type": "metrics-api", "metadata": {
                    "url": self.source.url, "valueLocation": "value", "targetValue": "5",
                } }],
            },
        });
        merge(&mut object["spec"], extra);
        object
    }

    /// Applies the ScaledObject with further fields of `spec`, and waits until it is ready.
    pub async fn scale(&self, extra: &Value) {
        self.bed.apply(&self.scaled_object(extra)).await;
        self.wait_for("Ready", "True").await;
    }

    /// Changes the ScaledObject.
    pub async fn patch(&self, patch: &Value) {
        let path = self.path("keda.sh/v1alpha1", "scaledobjects", "web");
        self.bed.cluster.merge::<Value>(&path, patch).await.expect("the ScaledObject can be changed");
    }

    /// Sets annotations of the ScaledObject; null takes one away.
    pub async fn annotate(&self, annotations: &Value) {
        self.patch(&json!({ "metadata": { "annotations": annotations } })).await;
    }

    /// An object of the namespace, or null.
    pub async fn get(&self, version: &str, plural: &str, name: &str) -> Value {
        self.bed.cluster.get(&self.path(version, plural, name)).await.unwrap_or_default()
    }

    pub fn path(&self, version: &str, plural: &str, name: &str) -> String {
        format!("/apis/{version}/namespaces/{}/{plural}/{name}", self.namespace)
    }

    pub async fn object(&self) -> Value {
        self.get("keda.sh/v1alpha1", "scaledobjects", "web").await
    }

    pub async fn hpa(&self) -> Value {
        self.get("autoscaling/v2", "horizontalpodautoscalers", "keda-hpa-web").await
    }

    pub async fn replicas(&self) -> i64 {
        self.get("apps/v1", "deployments", "web").await["spec"]["replicas"].as_i64().unwrap_or(-1)
    }

    /// Waits until the Deployment has so many replicas.
    pub async fn wait_for_replicas(&self, replicas: i64) {
        let reached = until(40, || async { self.replicas().await == replicas }).await;
        if !reached {
            panic!("{} replicas instead of {replicas}: {:#}", self.replicas().await, self.object().await["status"]);
        }
    }

    /// Status and reason of a condition of the ScaledObject.
    pub async fn condition(&self, kind: &str) -> (String, String) {
        let object = self.object().await;
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let condition = conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        (text(&condition["status"]), text(&condition["reason"]))
    }

    /// Waits until a condition has a status.
    pub async fn wait_for(&self, kind: &str, status: &str) {
        let reached = until(40, || async { self.condition(kind).await.0 == status }).await;
        if !reached {
            panic!("{kind} is not {status}: {:#}", self.object().await["status"]);
        }
    }

    /// Waits until the reason of a condition is this.
    pub async fn wait_for_reason(&self, kind: &str, reason: &str) {
        let reached = until(40, || async { self.condition(kind).await.1 == reason }).await;
        if !reached {
            panic!("the reason of {kind} is not {reason}: {:#}", self.object().await["status"]);
        }
    }

    /// Events of the namespace, as type, reason and note.
    pub async fn events(&self) -> Vec<(String, String, String)> {
        let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", self.namespace);
        let list: Value = self.bed.cluster.get(&path).await.unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let items = list["items"].as_array().cloned().unwrap_or_default();
        items.iter().map(|event| (text(&event["type"]), text(&event["reason"]), text(&event["note"]))).collect()
    }

    /// Waits for an event.
    pub async fn wait_for_event(&self, kind: &str, reason: &str, note: &str) {
        let there = || async {
            let events = self.events().await;
            events.iter().any(|event| event.0 == kind && event.1 == reason && event.2.contains(note))
        };
        if !until(20, there).await {
            panic!("no {kind} event {reason} {note:?} among {:#?}", self.events().await);
        }
    }
}

/// Puts the fields of one object into another, deeply.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// Looks again and again; whether it came true in time.
pub async fn until<F: Future<Output = bool>>(seconds: u64, mut condition: impl FnMut() -> F) -> bool {
    for _ in 0..seconds * 10 {
        if condition().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    condition().await
}

/// Whether it stays true for so long.
pub async fn stays<F: Future<Output = bool>>(seconds: u64, mut condition: impl FnMut() -> F) -> bool {
    !until(seconds, || {
        let holds = condition();
        async { !holds.await }
    })
    .await
}
