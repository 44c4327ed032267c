//! Answers: JSON, and errors as a `metav1.Status`.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(super) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// An answer with a body of the given type.
pub(super) fn respond(code: StatusCode, content_type: HeaderValue, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// An answer with JSON.
pub(super) fn json(code: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => respond(code, JSON, bytes),
        Err(error) => respond(StatusCode::INTERNAL_SERVER_ERROR, TEXT, error.to_string()),
    }
}

/// A failure as the Kubernetes API words it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    kind: &'static str,
    api_version: &'static str,
    metadata: Empty,
    status: &'static str,
    message: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Box<Details>>,
    code: u16,
}

#[derive(Debug, Serialize)]
struct Empty {}

#[derive(Debug, Default, Serialize)]
struct Details {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    kind: String,
}

impl Status {
    fn new(code: StatusCode, reason: &'static str, message: String) -> Self {
        Status {
            kind: "Status",
            api_version: "v1",
            metadata: Empty {},
            status: "Failure",
            message,
            reason,
            details: None,
            code: code.as_u16(),
        }
    }

    pub(super) fn bad_request(message: String) -> Self {
        Status::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    pub(super) fn unauthorized() -> Self {
        Status::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized".to_owned())
    }

    /// `kind` is the resource asked for.
    pub(super) fn forbidden(group: &str, kind: &str, name: &str, message: String) -> Self {
        let details = Details { name: name.to_owned(), group: group.to_owned(), kind: kind.to_owned() };
        let details = Box::new(details);
        Status { details: Some(details), ..Status::new(StatusCode::FORBIDDEN, "Forbidden", message) }
    }

    pub(super) fn not_found() -> Self {
        let message = "the server could not find the requested resource".to_owned();
        Status { details: Some(Box::default()), ..Status::new(StatusCode::NOT_FOUND, "NotFound", message) }
    }

    pub(super) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource".to_owned();
        let details = Some(Box::default());
        Status { details, ..Status::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message) }
    }

    pub(super) fn not_acceptable() -> Self {
        let message = "only the following media types are accepted: application/json".to_owned();
        Status::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    pub(super) fn timeout() -> Self {
        let message = "request did not complete within the allotted timeout".to_owned();
        Status::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message)
    }

    /// The server could not find out what it needs to know.
    pub(super) fn internal(message: String) -> Self {
        Status::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    /// An error without a reason, as generic API servers render what they know nothing of.
    pub(super) fn unknown(message: String) -> Self {
        Status::new(StatusCode::INTERNAL_SERVER_ERROR, "", message)
    }

    pub(super) fn respond(&self) -> Response {
        json(StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), self)
    }
}
