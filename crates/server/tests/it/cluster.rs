//! A stand-in for the API server: objects with list, watch and patches, and reviews that are counted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;

type Policy = Box<dyn Fn(&Value) -> bool + Send + Sync>;

#[derive(Default)]
struct Inner {
    objects: BTreeMap<String, Value>,
    /// Each with its version, the collection and the event.
    events: Vec<(u64, String, Value)>,
    access_reviews: Vec<Value>,
    token_reviews: u32,
    patches: Vec<(String, Value)>,
    policy: Option<Policy>,
    down: bool,
}

#[derive(Clone)]
pub(crate) struct Cluster {
    inner: Arc<Mutex<Inner>>,
    version: Arc<watch::Sender<u64>>,
    address: SocketAddr,
}

pub(crate) const SECRET: &str = "/api/v1/namespaces/keda/secrets/kedaorg-certs";
pub(crate) const API_SERVICE: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io";
pub(crate) const WEBHOOKS: &str =
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/keda-admission";
pub(crate) const CONFIG_MAP: &str = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";

impl Cluster {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cluster = Cluster { inner: Arc::default(), version: Arc::new(watch::channel(1).0), address };
        let router = Router::new().fallback(answer).with_state(cluster.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        cluster
    }

    pub(crate) fn client(&self) -> kube::Client {
        let url = format!("http://{}", self.address).parse().unwrap();
        kube::Client::try_from(kube::Config::new(url)).unwrap()
    }

    /// Answers access reviews by their specs; without a policy everything is allowed.
    pub(crate) fn allow(&self, policy: impl Fn(&Value) -> bool + Send + Sync + 'static) {
        self.inner.lock().unwrap().policy = Some(Box::new(policy));
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.inner.lock().unwrap().down = down;
    }

    pub(crate) fn access_reviews(&self) -> Vec<Value> {
        self.inner.lock().unwrap().access_reviews.clone()
    }

    pub(crate) fn token_reviews(&self) -> u32 {
        self.inner.lock().unwrap().token_reviews
    }

    /// Paths and bodies of all patches.
    pub(crate) fn patches(&self) -> Vec<(String, Value)> {
        self.inner.lock().unwrap().patches.clone()
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.inner.lock().unwrap().objects.get(path).cloned()
    }

    pub(crate) fn put(&self, path: &str, mut object: Value) -> Value {
        let mut inner = self.inner.lock().unwrap();
        let version = *self.version.borrow() + 1;
        let (collection, name) = path.rsplit_once('/').unwrap();
        object["metadata"]["name"] = name.into();
        object["metadata"]["resourceVersion"] = version.to_string().into();
        let kind = if inner.objects.contains_key(path) { "MODIFIED" } else { "ADDED" };
        inner.objects.insert(path.to_owned(), object.clone());
        inner.events.push((version, collection.to_owned(), json!({"type": kind, "object": object})));
        drop(inner);
        self.version.send_replace(version);
        object
    }

    pub(crate) fn delete(&self, path: &str) {
        let mut inner = self.inner.lock().unwrap();
        let Some(object) = inner.objects.remove(path) else { return };
        let version = *self.version.borrow() + 1;
        let (collection, _) = path.rsplit_once('/').unwrap();
        inner.events.push((version, collection.to_owned(), json!({"type": "DELETED", "object": object})));
        drop(inner);
        self.version.send_replace(version);
    }

    fn review(&self, path: &str, review: &Value) -> Value {
        let mut inner = self.inner.lock().unwrap();
        let spec = review["spec"].clone();
        let status = if path.ends_with("tokenreviews") {
            inner.token_reviews += 1;
            let user = json!({"username": "system:serviceaccount:shop:reader", "groups": ["system:serviceaccounts"]});
            match spec["token"].as_str() {
                Some("good") => json!({"authenticated": true, "user": user}),
                _ => json!({"authenticated": false, "error": "unknown"}),
            }
        } else {
            let allowed = inner.policy.as_ref().is_none_or(|policy| policy(&spec));
            inner.access_reviews.push(spec.clone());
            json!({"allowed": allowed})
        };
        let mut review = review.clone();
        review["status"] = status;
        review
    }

    fn list(&self, collection: &str, name: Option<&str>) -> Value {
        let inner = self.inner.lock().unwrap();
        let prefix = format!("{collection}/");
        let objects = inner.objects.iter().filter_map(|(path, object)| {
            let found = path.strip_prefix(&prefix)?;
            name.is_none_or(|name| name == found).then(|| object.clone())
        });
        let items = objects.collect::<Vec<_>>();
        json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": self.version.borrow().to_string()}, "items": items})
    }

    fn watch(&self, collection: String, name: Option<String>, since: u64) -> Response {
        let start = (self.clone(), self.version.subscribe(), since);
        let stream = futures::stream::unfold(start, move |(cluster, mut version, since)| {
            let (collection, name) = (collection.clone(), name.clone());
            async move {
                let latest = *version.wait_for(|version| *version > since).await.ok()?;
                let inner = cluster.inner.lock().unwrap();
                let mut text = String::new();
                for (at, place, event) in &inner.events {
                    let is_asked = name.as_ref().is_none_or(|name| event["object"]["metadata"]["name"] == **name);
                    if *at > since && *at <= latest && *place == collection && is_asked {
                        text.push_str(&format!("{event}\n"));
                    }
                }
                drop(inner);
                Some((Ok::<_, std::io::Error>(text), (cluster, version, latest)))
            }
        });
        Body::from_stream(stream).into_response()
    }

    fn patch(&self, path: &str, patch: &Value) -> Response {
        self.inner.lock().unwrap().patches.push((path.to_owned(), patch.clone()));
        let Some(mut object) = self.get(path) else { return failure(StatusCode::NOT_FOUND, "NotFound") };
        merge(&mut object, patch);
        axum::Json(self.put(path, object)).into_response()
    }

    fn replace(&self, path: &str, object: Value) -> Response {
        let known = self.get(path);
        if known.is_none_or(|known| known["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"]) {
            return failure(StatusCode::CONFLICT, "Conflict");
        }
        axum::Json(self.put(path, object)).into_response()
    }

    fn create(&self, collection: &str, object: Value) -> Response {
        let path = format!("{collection}/{}", object["metadata"]["name"].as_str().unwrap());
        if self.get(&path).is_some() {
            return failure(StatusCode::CONFLICT, "AlreadyExists");
        }
        axum::Json(self.put(&path, object)).into_response()
    }
}

/// A merge patch; lists of objects with names are merged by name.
fn merge(object: &mut Value, patch: &Value) {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(object.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(items), Value::Array(patches)) => {
            for patch in patches {
                let same = items.iter_mut().find(|item| item["name"] == patch["name"]);
                merge(same.expect("an item of that name"), patch);
            }
        }
        (object, patch) => *object = patch.clone(),
    }
}

fn failure(code: StatusCode, reason: &str) -> Response {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": reason, "code": code.as_u16()});
    (code, axum::Json(status)).into_response()
}

async fn answer(
    State(cluster): State<Cluster>,
    Query(query): Query<BTreeMap<String, String>>,
    request: Request,
) -> Response {
    if cluster.inner.lock().unwrap().down {
        return failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
    }
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let path = parts.uri.path();
    let name = query.get("fieldSelector").and_then(|selector| selector.strip_prefix("metadata.name="));
    match parts.method {
        Method::POST if path.ends_with("reviews") => axum::Json(cluster.review(path, &body)).into_response(),
        Method::POST => cluster.create(path, body),
        Method::PUT => cluster.replace(path, body),
        Method::PATCH => cluster.patch(path, &body),
        Method::GET if query.get("watch").is_some_and(|watch| watch == "true") => {
            let since = query.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
            cluster.watch(path.to_owned(), name.map(str::to_owned), since)
        }
        Method::GET => axum::Json(cluster.list(path, name)).into_response(),
        _ => failure(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
    }
}
