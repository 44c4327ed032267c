//! Signatures of requests (AWS Signature Version 4).

use std::fmt;
use std::time::SystemTime;

use aws_credential_types::Credentials as SigningKeys;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use keda_core::sample::SourceError;
use reqwest::{Client, RequestBuilder, Url};

use super::credentials::Credentials;

/// What a signature is good for.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    /// The name of the service, as it signs.
    pub(super) service: &'static str,
    pub(super) region: String,
}

/// A request to be sent with POST.
#[derive(Debug)]
pub(super) struct Post<'a> {
    pub(super) url: &'a Url,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a str,
}

impl Post<'_> {
    /// The request, signed at `now`.
    pub(super) fn signed(
        &self,
        client: &Client,
        scope: &Scope,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Result<RequestBuilder, SourceError> {
        let cannot = |error: &dyn fmt::Display| SourceError::configuration(format!("cannot sign a request: {error}"));
        let token = Some(credentials.session_token.expose()).filter(|token| !token.is_empty());
        let keys = SigningKeys::new(
            credentials.access_key_id.expose(),
            credentials.secret_access_key.expose(),
            token.map(str::to_string),
            None,
            "keda",
        );
        let identity = keys.into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(&scope.region)
            .name(scope.service)
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| cannot(&error))?
            .into();
        let body = SignableBody::Bytes(self.body.as_bytes());
        let signable = SignableRequest::new("POST", self.url.as_str(), self.headers.iter().copied(), body)
            .map_err(|error| cannot(&error))?;
        let (signature, _) = sign(signable, &parameters).map_err(|error| cannot(&error))?.into_parts();
        let headers = self.headers.iter().copied().chain(signature.headers());
        Ok(headers.fold(self.unsigned(client), |request, (name, value)| request.header(name, value)))
    }

    fn unsigned(&self, client: &Client) -> RequestBuilder {
        client.post(self.url.clone()).body(self.body.to_string())
    }
}
