//! From a request to its answer.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::HeaderValue;
use http::request::Parts;
use http::{Method, StatusCode};
use jiff::Timestamp;
use keda_core::quantity::Quantity;
use kube::Client;
use serde::{Serialize, Serializer};
use tokio::net::TcpListener;
use tokio::time::Instant;
use url::form_urlencoded;

use super::attributes::{Attributes, Resource};
use super::authentication::Authenticator;
use super::authorization::{Authorizer, Decision};
use super::discovery::{Discovery, accepts_json};
use super::selector::{NAME_LABEL, Selector};
use super::settings::MetricsApiSettings;
use super::source::{ExternalMetricValue, MetricError, MetricSource};
use super::status::{Status, TEXT, json, respond};
use super::{GROUP, VERSION};
use crate::exposition::Metrics;
use crate::tls::{ClientCertificates, IdentityWatch, Peer, Shutdown, TlsVersions, serve, server_configs};

/// The metrics API, ready to be served.
pub struct MetricsApi {
    authenticator: Authenticator,
    authorizer: Authorizer,
    discovery: Discovery,
    source: Arc<dyn MetricSource>,
    metrics: Metrics,
    timeout: Duration,
}

impl MetricsApi {
    /// Puts the API in front of a source; `metrics` are told what it serves, and shown at `/metrics`. Starts to follow
    /// whom to believe, so it must be called within a runtime.
    pub fn new(settings: MetricsApiSettings, client: Client, source: Arc<dyn MetricSource>, metrics: Metrics) -> Self {
        MetricsApi {
            authenticator: Authenticator::new(client.clone(), settings.authentication),
            authorizer: Authorizer::new(client, settings.authorization),
            discovery: Discovery::new(&settings.version),
            source,
            metrics,
            timeout: settings.request_timeout,
        }
    }

    /// Serves until the shutdown, each new connection with the newest identity.
    pub async fn serve(
        self,
        listener: TcpListener,
        identity: IdentityWatch,
        versions: TlsVersions,
        shutdown: Shutdown,
    ) {
        let configs = server_configs(identity, ClientCertificates::Requested, versions);
        serve(listener, configs, self.into_router(), shutdown).await;
    }

    fn into_router(self) -> Router {
        Router::new().fallback(handle).with_state(Arc::new(self))
    }

    async fn answer(&self, request: &Parts, deadline: Instant) -> Result<Response, Status> {
        let attributes = Attributes::of(&request.method, request.uri.path());
        if self.authorizer.is_open(&attributes) {
            return self.page(request);
        }
        let peer = request.extensions.get::<Arc<Peer>>().ok_or_else(Status::unauthorized)?;
        let user = self.authenticator.authenticate(peer, &request.headers).await.ok_or_else(Status::unauthorized)?;
        match self.authorizer.authorize(&user, &attributes).await.map_err(Status::internal)? {
            Decision::Allowed => {}
            Decision::Denied(reason) => return Err(forbidden(&attributes, &user.name, &reason)),
        }
        if let Attributes::Resource(asked) = &attributes
            && is_read(asked)
        {
            check_method(&request.method)?;
            return self.read(request, asked, deadline).await;
        }
        self.page(request)
    }

    /// What lies at a path that is no metric.
    fn page(&self, request: &Parts) -> Result<Response, Status> {
        let answer = match request.uri.path() {
            "/metrics" => Some(respond(StatusCode::OK, METRICS_TYPE, self.metrics.render())),
            path => self.discovery.answer(path, &request.headers).or_else(|| self.health(path)),
        };
        let answer = answer.ok_or_else(Status::not_found)?;
        check_method(&request.method).map(|()| answer)
    }

    fn health(&self, path: &str) -> Option<Response> {
        match path {
            "/healthz" | "/livez" => Some(respond(StatusCode::OK, TEXT, "ok")),
            "/readyz" if self.authenticator.is_ready() => Some(respond(StatusCode::OK, TEXT, "ok")),
            "/readyz" => {
                let text =
                    "[-]authentication failed: not yet known whose certificates to believe\nreadyz check failed\n";
                Some(respond(StatusCode::INTERNAL_SERVER_ERROR, TEXT, text))
            }
            _ => None,
        }
    }

    async fn read(&self, request: &Parts, asked: &Resource<'_>, deadline: Instant) -> Result<Response, Status> {
        if !accepts_json(&request.headers) {
            return Err(Status::not_acceptable());
        }
        let selector = list_options(request.uri.query().unwrap_or_default())?;
        let ready = tokio::time::timeout_at(deadline, self.source.ready()).await;
        ready.map_err(|_| Status::unknown(MetricError::NotConnected.to_string()))?;
        let name = selector.value(NAME_LABEL).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Status::unknown("scaledObject name is not specified".to_owned()))?;
        let values = self.source.external_metric(&asked.namespace, name, &asked.resource);
        let values = tokio::time::timeout_at(deadline, values).await.map_err(|_| Status::timeout())?;
        let values = values.map_err(|error| Status::unknown(error.to_string()))?;
        let now = keda_scalers::sampler::wall_clock();
        for value in &values {
            // The clock of whoever read it may be ahead.
            let age = now.duration_since(value.timestamp).try_into().unwrap_or_default();
            self.metrics.metric_served(age);
        }
        Ok(json(StatusCode::OK, &ValueList::new(&values)))
    }
}

impl std::fmt::Debug for MetricsApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricsApi").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

const METRICS_TYPE: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

async fn handle(State(api): State<Arc<MetricsApi>>, request: Request) -> Response {
    let deadline = Instant::now() + api.timeout;
    // Bodies are of no use here, and connections cope with one that is not read.
    let (request, _) = request.into_parts();
    let is_head = request.method == Method::HEAD;
    let answer = tokio::time::timeout_at(deadline + DEADLINE_GRACE, api.answer(&request, deadline)).await;
    let response = answer.unwrap_or_else(|_| Err(Status::timeout())).unwrap_or_else(|status| status.respond());
    if is_head { response.map(|_| axum::body::Body::empty()) } else { response }
}

/// What waits for the source ends at the deadline with words of its own; everything else ends a little later.
const DEADLINE_GRACE: Duration = Duration::from_millis(100);

/// One metric in one namespace; there are no others, neither by name nor across namespaces.
fn is_read(asked: &Resource<'_>) -> bool {
    asked.group == GROUP && asked.version == VERSION && !asked.namespace.is_empty() && asked.name.is_empty()
}

fn check_method(method: &Method) -> Result<(), Status> {
    if matches!(*method, Method::GET | Method::HEAD) { Ok(()) } else { Err(Status::method_not_allowed()) }
}

fn forbidden(attributes: &Attributes<'_>, user: &str, reason: &str) -> Status {
    let message = attributes.refusal(user, reason);
    match attributes {
        Attributes::Path { .. } => Status::forbidden("", "", "", message),
        Attributes::Resource(asked) => Status::forbidden(&asked.group, &asked.resource, &asked.name, message),
    }
}

/// The label selector among the options of a list; the numbers among them must be numbers.
fn list_options(query: &str) -> Result<Selector, Status> {
    let mut selector = None;
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "labelSelector" if selector.is_none() => selector = Some(Selector::parse(&value)?),
            "limit" | "timeoutSeconds" if value.parse::<i64>().is_err() => {
                let message = format!("strconv.ParseInt: parsing {:?}: invalid syntax", &*value);
                return Err(Status::bad_request(message));
            }
            _ => {}
        }
    }
    Ok(selector.unwrap_or_default())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ValueList<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: Empty,
    items: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    metric_name: &'a str,
    metric_labels: Option<()>,
    #[serde(serialize_with = "seconds")]
    timestamp: Timestamp,
    value: &'a Quantity,
}

impl<'a> ValueList<'a> {
    fn new(values: &'a [ExternalMetricValue]) -> Self {
        let item = |value: &'a ExternalMetricValue| Item {
            metric_name: &value.metric_name,
            metric_labels: None,
            timestamp: value.timestamp,
            value: &value.value,
        };
        ValueList {
            kind: "ExternalMetricValueList",
            api_version: "external.metrics.k8s.io/v1beta1",
            metadata: Empty {},
            items: values.iter().map(item).collect(),
        }
    }
}

/// RFC 3339 without fractions of a second, as Kubernetes writes times.
fn seconds<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    let whole = Timestamp::from_second(time.as_second()).unwrap_or(*time);
    serializer.collect_str(&whole)
}
