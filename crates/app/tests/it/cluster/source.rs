//! A source whose value the tests set: JSON over HTTP, read by `metrics-api`.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;

/// A server that answers `{"value": …}`, or fails.
#[derive(Clone)]
pub struct Source {
    value: Arc<Mutex<Option<f64>>>,
    pub url: String,
}

impl Source {
    /// Starts with a value.
    pub async fn start(value: f64) -> Self {
        let value = Arc::new(Mutex::new(Some(value)));
        let known = Arc::clone(&value);
        let answer = move || {
            let known = Arc::clone(&known);
            async move {
                let known = *known.lock().expect("a value");
                match known {
                    Some(value) => (StatusCode::OK, format!("{{\"value\": {value}}}")),
                    None => (StatusCode::INTERNAL_SERVER_ERROR, "out of order".to_string()),
                }
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/", get(answer))).await });
        Source { value, url }
    }

    /// Answers with a value from now on.
    pub fn set(&self, value: f64) {
        *self.value.lock().expect("a value") = Some(value);
    }

    /// Fails from now on.
    pub fn fail(&self) {
        *self.value.lock().expect("a value") = None;
    }
}
