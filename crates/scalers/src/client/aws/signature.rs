//! Signatures of requests (AWS Signature Version 4), and who makes them.

use std::fmt;
use std::time::SystemTime;

use aws_credential_types::Credentials as SigningKeys;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use keda_core::sample::{ErrorKind, SourceError};
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Body, Request, RequestBuilder};

use super::credentials::{CredentialSource, Credentials};
use super::login::AwsLogin;
use super::service::refusal;
use crate::client::Sources;
use crate::client::http::{self, Answer};

/// What a signature is good for.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    /// The name of the service, as it signs.
    pub(super) service: &'static str,
    pub(super) region: String,
}

/// Signs requests to one service of AWS in a region, as one login.
pub struct Signer {
    scope: Scope,
    credentials: CredentialSource,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({} in {})", self.scope.service, self.scope.region)
    }
}

impl Signer {
    /// Asks nobody yet. `service` is what is signed for.
    ///
    /// # Errors
    /// TLS that cannot be set up, or a region that cannot be part of an address.
    pub fn new(service: &'static str, region: &str, login: AwsLogin, sources: &Sources) -> Result<Self, SourceError> {
        let credentials = CredentialSource::new(login, region, sources)?;
        Ok(Signer { scope: Scope { service, region: region.to_string() }, credentials })
    }

    /// The name of the service, as it signs.
    pub(super) fn service(&self) -> &'static str {
        self.scope.service
    }

    /// Sends a request with its signature, and forgets keys that are refused. Its body, if it has one, is a text.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] where there is no login, and as [`http::send`].
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, SourceError> {
        let credentials = self.credentials.get().await?;
        let request = signed(request, &self.scope, &credentials, crate::sampler::wall_clock().into())?;
        let answer = http::send(request).await?;
        if !answer.status.is_success() && refusal(answer.status, &answer.body).kind == ErrorKind::Denied {
            self.credentials.refused(&credentials).await;
        }
        Ok(answer)
    }
}

/// The request, signed at `now`.
pub(super) fn signed(
    request: RequestBuilder,
    scope: &Scope,
    credentials: &Credentials,
    now: SystemTime,
) -> Result<RequestBuilder, SourceError> {
    let (client, request) = request.build_split();
    let mut request = request.map_err(|_| SourceError::configuration("the request cannot be built"))?;
    // A blank of the query is signed as this, and AWS might take a plus for itself.
    if let Some(query) = request.url().query().filter(|query| query.contains('+')) {
        let query = query.replace('+', "%20");
        request.url_mut().set_query(Some(&query));
    }
    for (name, value) in signature(&request, scope, credentials, now)? {
        request.headers_mut().insert(name, value);
    }
    Ok(RequestBuilder::from_parts(client, request))
}

/// The headers that are a request's signature.
fn signature(
    request: &Request,
    scope: &Scope,
    credentials: &Credentials,
    now: SystemTime,
) -> Result<Vec<(HeaderName, HeaderValue)>, SourceError> {
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
    let headers = request.headers().iter().map(|(name, value)| Ok((name.as_str(), value.to_str()?)));
    let headers =
        headers.collect::<Result<Vec<_>, _>>().map_err(|error: reqwest::header::ToStrError| cannot(&error))?;
    let body = SignableBody::Bytes(request.body().and_then(Body::as_bytes).unwrap_or_default());
    let (method, url) = (request.method().as_str(), request.url().as_str());
    let signable = SignableRequest::new(method, url, headers.into_iter(), body).map_err(|error| cannot(&error))?;
    let (instructions, _) = sign(signable, &parameters).map_err(|error| cannot(&error))?.into_parts();
    let headers = instructions.headers().map(|(name, value)| {
        let value = HeaderValue::from_str(value).map_err(|error| cannot(&error))?;
        Ok((name.parse().map_err(|_| cannot(&"a header that is none"))?, value))
    });
    headers.collect()
}
