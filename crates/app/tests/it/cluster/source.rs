//! A source whose value the tests set: JSON over HTTP, read by `metrics-api`.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;

/// A server that answers `{"value": …}`, or fails.
#[derive(Clone)]
pub struct Source {
    value: Arc<Mutex<Option<f64>>>,
    /// The key that those who ask must show.
    key: Arc<Mutex<Option<String>>>,
    /// The key that was shown last.
    shown: Arc<Mutex<Option<String>>>,
    pub url: String,
}

impl Source {
    /// Starts with a value.
    pub async fn start(value: f64) -> Self {
        let value = Arc::new(Mutex::new(Some(value)));
        let key: Arc<Mutex<Option<String>>> = Arc::default();
        let last: Arc<Mutex<Option<String>>> = Arc::default();
        let (known, wanted, told) = (Arc::clone(&value), Arc::clone(&key), Arc::clone(&last));
        let answer = move |headers: HeaderMap| {
            let (known, wanted, told) = (Arc::clone(&known), Arc::clone(&wanted), Arc::clone(&told));
            async move {
                let known = *known.lock().expect("a value");
                let wanted = wanted.lock().expect("a key").clone();
                let shown = headers.get("X-API-KEY").and_then(|value| value.to_str().ok()).map(str::to_string);
                told.lock().expect("a key").clone_from(&shown);
                match known {
                    _ if wanted.is_some() && wanted != shown => (StatusCode::UNAUTHORIZED, "who are you?".to_string()),
                    Some(value) => (StatusCode::OK, format!("{{\"value\": {value}}}")),
                    None => (StatusCode::INTERNAL_SERVER_ERROR, "out of order".to_string()),
                }
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/", get(answer))).await });
        Source { value, key, shown: last, url }
    }

    /// Answers with a value from now on.
    pub fn set(&self, value: f64) {
        *self.value.lock().expect("a value") = Some(value);
    }

    /// Answers only those who show a key from now on.
    pub fn require(&self, key: &str) {
        *self.key.lock().expect("a key") = Some(key.to_string());
    }

    /// The key that was shown last.
    pub fn shown(&self) -> Option<String> {
        self.shown.lock().expect("a key").clone()
    }

    /// Fails from now on.
    pub fn fail(&self) {
        *self.value.lock().expect("a value") = None;
    }
}
