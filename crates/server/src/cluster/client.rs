//! Requests to the API server, with its errors told apart.

use std::time::Duration;

use http::{Method, Request};
use keda_core::sample::{ErrorKind, SourceError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::path::ApiPath;

/// How often a request that the server was too busy for is repeated.
const ATTEMPTS: u32 = 5;
/// The longest time a request waits because the server asked for it.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Time after which a request has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// The API server.
#[derive(Clone)]
pub struct Cluster {
    client: kube::Client,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// What kind of failure it is.
    pub kind: ApiErrorKind,
    /// The server's own words where there are any.
    pub message: String,
}

/// Kinds of failures that callers tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiErrorKind {
    /// There is no such object.
    NotFound,
    /// The object exists already.
    AlreadyExists,
    /// The object has changed since it was read.
    Conflict,
    /// The caller may not do this.
    Forbidden,
    /// The server refuses the request as it is.
    Invalid,
    /// The server was too busy at every attempt.
    Busy,
    /// The server cannot be reached, or failed.
    Unreachable,
}

impl ApiError {
    /// Whether there is no such object.
    pub fn is_not_found(&self) -> bool {
        self.kind == ApiErrorKind::NotFound
    }

    /// Whether trying again later can help although nothing else changes.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, ApiErrorKind::Unreachable | ApiErrorKind::Busy | ApiErrorKind::Conflict)
    }
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                let kind = match (status.code, status.reason.as_str()) {
                    (404, _) => ApiErrorKind::NotFound,
                    (409, "AlreadyExists") => ApiErrorKind::AlreadyExists,
                    (409, _) => ApiErrorKind::Conflict,
                    (401 | 403, _) => ApiErrorKind::Forbidden,
                    (429, _) => ApiErrorKind::Busy,
                    (500.., _) => ApiErrorKind::Unreachable,
                    _ => ApiErrorKind::Invalid,
                };
                ApiError { kind, message: status.message.clone() }
            }
            other => ApiError { kind: ApiErrorKind::Unreachable, message: chain(&other) },
        }
    }
}

impl From<ApiError> for SourceError {
    fn from(error: ApiError) -> Self {
        let kind = match error.kind {
            ApiErrorKind::NotFound | ApiErrorKind::Invalid => ErrorKind::Configuration,
            ApiErrorKind::Forbidden => ErrorKind::Denied,
            ApiErrorKind::Busy => ErrorKind::Throttled,
            _ => ErrorKind::Unreachable,
        };
        SourceError::new(kind, error.message)
    }
}

/// An error with its causes: the outermost text alone seldom says what happened.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

impl Cluster {
    /// A server behind a client.
    pub fn new(client: kube::Client) -> Self {
        Cluster { client }
    }

    /// The client, for watches.
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// Reads an object.
    ///
    /// # Errors
    /// Among others that there is no such object.
    pub async fn get<T: DeserializeOwned>(&self, path: &ApiPath) -> Result<T, ApiError> {
        self.send(Method::GET, path, "", Vec::new()).await
    }

    /// Creates an object in a collection.
    ///
    /// # Errors
    /// Among others that it exists already.
    pub async fn create<T: DeserializeOwned>(&self, path: &ApiPath, object: &impl Serialize) -> Result<T, ApiError> {
        self.send(Method::POST, path, "application/json", encode(object)?).await
    }

    /// Replaces an object.
    ///
    /// # Errors
    /// Among others that it has changed since it was read.
    pub async fn replace<T: DeserializeOwned>(&self, path: &ApiPath, object: &impl Serialize) -> Result<T, ApiError> {
        self.send(Method::PUT, path, "application/json", encode(object)?).await
    }

    /// Changes an object by a JSON merge patch.
    ///
    /// # Errors
    /// Among others that there is no such object.
    pub async fn merge<T: DeserializeOwned>(&self, path: &ApiPath, patch: &Value) -> Result<T, ApiError> {
        self.send(Method::PATCH, path, "application/merge-patch+json", encode(patch)?).await
    }

    /// Deletes an object; that it is gone already is fine.
    ///
    /// # Errors
    /// That it cannot be deleted.
    pub async fn delete(&self, path: &ApiPath) -> Result<(), ApiError> {
        let gone = self.send::<Value>(Method::DELETE, path, "", Vec::new()).await;
        match gone {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Sends a request, and again when the server asks for patience. There is no limit of our own.
    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &ApiPath,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<T, ApiError> {
        let path = path.text()?;
        let mut attempt = 1;
        loop {
            let mut request = Request::builder().method(method.clone()).uri(path);
            if !content_type.is_empty() {
                request = request.header(http::header::CONTENT_TYPE, content_type);
            }
            let request = request.body(body.clone()).map_err(|error| ApiError {
                kind: ApiErrorKind::Invalid,
                message: format!("{path} is no path of the API: {error}"),
            })?;
            let answer = tokio::time::timeout(PATIENCE, self.client.request(request)).await;
            let error = match answer {
                Ok(Ok(object)) => return Ok(object),
                Ok(Err(error)) => error,
                Err(_) => {
                    let message = format!("the API server did not answer within {} s", PATIENCE.as_secs());
                    return Err(ApiError { kind: ApiErrorKind::Unreachable, message });
                }
            };
            match patience_asked_for(&error).filter(|_| attempt < ATTEMPTS) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error.into()),
            }
            attempt += 1;
        }
    }
}

/// How long the server wants to be left alone.
fn patience_asked_for(error: &kube::Error) -> Option<Duration> {
    let kube::Error::Api(status) = error else { return None };
    let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    match (status.code, seconds) {
        (429, seconds) => Some(Duration::from_secs(u64::from(seconds.max(1))).min(LONGEST_WAIT)),
        (503 | 504, seconds @ 1..) => Some(Duration::from_secs(u64::from(seconds)).min(LONGEST_WAIT)),
        _ => None,
    }
}

fn encode(object: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(object).map_err(|error| ApiError { kind: ApiErrorKind::Invalid, message: error.to_string() })
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cluster")
    }
}
