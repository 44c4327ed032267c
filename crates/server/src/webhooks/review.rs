//! AdmissionReview (`admission.k8s.io/v1`): what the API server asks, and the answer.

use serde::Deserialize;
use serde_json::{Value, json};

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// A question of the API server.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Review {
    api_version: String,
    kind: String,
    pub(super) request: Request,
}

/// What is to be done with an object.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    uid: String,
    pub(super) operation: Operation,
    #[serde(default)]
    pub(super) namespace: String,
    /// The object as it shall be; null when it is deleted.
    #[serde(default)]
    pub(super) object: Value,
    /// The object as it is; null when it is created.
    #[serde(default)]
    pub(super) old_object: Value,
    #[serde(default)]
    pub(super) dry_run: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

/// The answer to a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// With what the user should know.
    Allowed(Vec<&'static str>),
    /// With a code of HTTP and a text.
    Denied(u16, String),
}

impl Review {
    /// Reads a request's body.
    ///
    /// # Errors
    /// That it is no review.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let review: Review = serde_json::from_slice(body).map_err(|error| format!("no {KIND}: {error}"))?;
        if review.api_version != API_VERSION || review.kind != KIND {
            return Err(format!("expected {KIND} of {API_VERSION}, found {} of {}", review.kind, review.api_version));
        }
        Ok(review)
    }

    /// The body of the answer.
    pub(super) fn answer(&self, verdict: Verdict) -> Value {
        let mut response = json!({ "uid": self.request.uid });
        match verdict {
            Verdict::Allowed(warnings) => {
                response["allowed"] = json!(true);
                if !warnings.is_empty() {
                    response["warnings"] = json!(warnings);
                }
            }
            Verdict::Denied(code, message) => {
                let reason = if code == 403 { "Forbidden" } else { "BadRequest" };
                response["allowed"] = json!(false);
                response["status"] = json!({ "code": code, "reason": reason, "message": message });
            }
        }
        json!({ "apiVersion": API_VERSION, "kind": KIND, "response": response })
    }
}

impl Request {
    /// Whether only finalizers are taken away: for a ScaledObject any of them, for others the only one.
    pub(super) fn only_removes_finalizers(&self, any: bool) -> bool {
        let count = |object: &Value| object["metadata"]["finalizers"].as_array().map_or(0, Vec::len);
        let (before, after) = (count(&self.old_object), count(&self.object));
        let removes = if any { after < before } else { before == 1 && after == 0 };
        self.operation == Operation::Update && removes && self.object["spec"] == self.old_object["spec"]
    }
}
