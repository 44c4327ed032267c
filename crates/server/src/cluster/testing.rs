//! An API server for tests that answers by a function and keeps what it was asked.

use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Cluster;

/// The requests that were sent, as `METHOD /path?query`.
pub(crate) struct Requests(mpsc::UnboundedReceiver<String>);

impl Requests {
    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> String {
        self.0.recv().await.unwrap()
    }

    /// Those that arrived so far.
    pub(crate) fn so_far(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}

/// A cluster; `answer` gives what is there, by `METHOD /path?query`, or a `Status` that says why it cannot be had.
pub(crate) fn cluster(answer: impl Fn(&str) -> Option<Value> + Send + 'static) -> (Cluster, Requests) {
    let (asked, requests) = mpsc::unbounded_channel();
    let server = tower::service_fn(move |request: Request<Body>| {
        let asking = format!("{} {}", request.method(), request.uri());
        let (status, body) = match answer(&asking) {
            Some(body) => (body["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(200), body),
            None => (404, json!({ "kind": "Status", "code": 404, "reason": "NotFound", "message": "not found" })),
        };
        asked.send(asking).unwrap();
        let answer = Response::builder().status(status).body(Body::from(body.to_string().into_bytes()));
        async { answer }
    });
    (Cluster::new(kube::Client::new(server, "default")), Requests(requests))
}
