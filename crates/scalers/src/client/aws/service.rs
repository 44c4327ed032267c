//! Signed requests to one service of AWS, and what its answers mean.

use std::fmt;
use std::sync::Arc;

use keda_core::sample::{ErrorKind, SourceError};
use reqwest::{Client, StatusCode, Url};
use roxmltree::Document;
use serde_json::Value;

use super::encoded;
use super::login::AwsLogin;
use super::signature::Signer;
use crate::client::tls::TlsOptions;
use crate::client::{Sources, http};
use crate::format::xml;

/// The longest message of AWS that is told, in characters.
const LONGEST_MESSAGE: usize = 400;

/// A service of AWS in a region, as one login.
pub struct Service {
    endpoint: Url,
    client: Arc<Client>,
    signer: Signer,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Service({} at {})", self.signer.service(), http::presentable(&self.endpoint))
    }
}

/// The header of a form.
pub(super) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

impl Service {
    pub(super) fn new(
        service: &'static str,
        endpoint: &str,
        region: &str,
        login: AwsLogin,
        sources: &Sources,
    ) -> Result<Self, SourceError> {
        let endpoint = http::address(endpoint, "awsEndpoint")?;
        Ok(Service {
            endpoint,
            client: sources.http.client(&sources.tls, &TlsOptions::default())?,
            signer: Signer::new(service, region, login, sources)?,
        })
    }

    /// Calls an operation by AWS's JSON protocol of a version, `1.0` or `1.1`.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] for a login that is wrong or may not, [`ErrorKind::Throttled`],
    /// [`ErrorKind::Configuration`] for what the service refuses otherwise, [`ErrorKind::Unreachable`],
    /// [`ErrorKind::Malformed`].
    pub async fn json(&self, version: &str, operation: &str, body: &Value) -> Result<Value, SourceError> {
        let content_type = format!("application/x-amz-json-{version}");
        let headers = [("content-type", content_type.as_str()), ("x-amz-target", operation)];
        let answer = self.call(&headers, body.to_string()).await?;
        serde_json::from_str(&answer).map_err(|_| SourceError::malformed("the answer is not JSON"))
    }

    /// Calls an operation by AWS's query protocol: a form, and XML for an answer.
    ///
    /// # Errors
    /// As for [`Service::json`].
    pub async fn form(&self, fields: &[(impl AsRef<str>, impl AsRef<str>)]) -> Result<String, SourceError> {
        self.call(&[FORM], encoded(fields)).await
    }

    async fn call(&self, headers: &[(&str, &str)], body: String) -> Result<String, SourceError> {
        let request = self.client.post(self.endpoint.clone()).body(body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = self.signer.send(request).await?;
        if answer.status.is_success() { Ok(answer.body) } else { Err(refusal(answer.status, &answer.body)) }
    }
}

/// What an answer without success means. The name of the error decides where there is one, as AWS answers most with 400.
pub(super) fn refusal(status: StatusCode, body: &str) -> SourceError {
    let (name, message) = named_error(body).unwrap_or_default();
    let kind = match name.as_str() {
        name if DENIED.iter().any(|word| name.contains(word)) => ErrorKind::Denied,
        name if THROTTLED.iter().any(|word| name.contains(word)) => ErrorKind::Throttled,
        _ => http::status_kind(status),
    };
    let mut text = format!("AWS answered with status {}", status.as_u16());
    if !name.is_empty() {
        text.push_str(&format!(", {name}"));
    }
    // Of a wrong signature the message repeats the request, with its token.
    if !message.is_empty() && !name.contains("Signature") {
        text.push_str(&format!(": {}", message.chars().take(LONGEST_MESSAGE).collect::<String>()));
    }
    SourceError::new(kind, text)
}

/// Parts of the names of errors about the login.
const DENIED: [&str; 10] = [
    "AccessDenied",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidIdentityToken",
    "MissingAuthenticationToken",
    "NotAuthorized",
    "OptInRequired",
    "Signature",
    "UnrecognizedClient",
];

/// Parts of the names of errors about too many requests.
const THROTTLED: [&str; 6] = [
    "Throttl",
    "RequestLimitExceeded",
    "LimitExceededException",
    "ProvisionedThroughputExceeded",
    "TooManyRequests",
    "SlowDown",
];

/// Name and message of an error, in JSON or in XML.
fn named_error(body: &str) -> Option<(String, String)> {
    if let Ok(json) = serde_json::from_str::<Value>(body) {
        let text = |key: &str| json.get(key).and_then(Value::as_str);
        let name = text("__type").or_else(|| text("code"))?;
        let name = name.rsplit('#').next().unwrap_or(name);
        let message = text("message").or_else(|| text("Message")).unwrap_or_default();
        return Some((name.to_string(), message.to_string()));
    }
    let document = Document::parse(body).ok()?;
    let text = |name: &str| xml::below(document.root(), name)?.text().map(str::to_string);
    Some((text("Code")?, text("Message").unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_error_says_what_kind_it_is() {
        let json = |name: &str| format!(r#"{{"__type":"com.amazonaws.sqs#{name}","message":"m"}}"#);
        let xml = |name: &str| {
            format!("<ErrorResponse><Error><Code>{name}</Code><Message>m</Message></Error></ErrorResponse>")
        };
        for (name, kind) in [
            ("UnrecognizedClientException", ErrorKind::Denied),
            ("AccessDeniedException", ErrorKind::Denied),
            ("ExpiredToken", ErrorKind::Denied),
            ("InvalidIdentityToken", ErrorKind::Denied),
            ("ThrottlingException", ErrorKind::Throttled),
            ("ProvisionedThroughputExceededException", ErrorKind::Throttled),
            ("QueueDoesNotExist", ErrorKind::Configuration),
        ] {
            for body in [json(name), xml(name)] {
                let error = refusal(StatusCode::BAD_REQUEST, &body);
                assert_eq!(error.kind, kind, "{name}");
                assert_eq!(error.message, format!("AWS answered with status 400, {name}: m"));
            }
        }
        assert_eq!(refusal(StatusCode::SERVICE_UNAVAILABLE, "<html>").kind, ErrorKind::Unreachable);
    }

    #[test]
    fn a_wrong_signature_does_not_repeat_the_request() {
        let body = r#"{"__type":"InvalidSignatureException","message":"x-amz-security-token:hunter2"}"#;
        assert_eq!(
            refusal(StatusCode::FORBIDDEN, body).message,
            "AWS answered with status 403, InvalidSignatureException"
        );
    }
}
