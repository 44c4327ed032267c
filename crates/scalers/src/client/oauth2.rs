//! OAuth 2.0 client credentials: one token for all who have the same credentials (`scalers/COMMON.md`).
//!
//! A token is fetched when first needed and again shortly before it expires. Client and secret go into the
//! `Authorization` header first, as the standard wants; where that is refused they go into the form, and the next
//! time at once.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keda_core::metadata::{Metadata, UrlValues};
use keda_core::names::query_escape;
use keda_core::sample::{ErrorKind, SourceError};
use keda_core::secret::Secret;
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use tokio::time::Instant;

use super::authentication::with_bearer;
use super::http;
use super::pool::{Pool, Slot};

/// How long before its end a token is no longer used.
const MARGIN: Duration = Duration::from_secs(10);

/// Who we are, and for what: the parameters that triggers with OAuth 2.0 share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Metadata)]
pub struct ClientCredentials {
    /// Address of the OAuth 2.0 server that gives tokens, such as `https://login.example/oauth2/token`; needs
    /// `clientID`.
    #[meta(name = "oauthTokenURI", auth, optional)]
    pub token_uri: String,
    /// Client of the OAuth 2.0 token (client credentials grant); needs `oauthTokenURI`.
    #[meta(name = "clientID", auth, optional)]
    pub client_id: String,
    /// Secret of the OAuth 2.0 client.
    #[meta(auth, optional)]
    pub client_secret: Secret,
    /// Scopes of the OAuth 2.0 token, such as `metrics.read,metrics.list`; none when not given.
    #[meta(names("scopes", "scope"), auth, optional)]
    pub scopes: Vec<String>,
    /// More form fields of the request for a token, as a query string such as `audience=metrics&tenant=shop`.
    #[meta(auth, optional)]
    pub endpoint_params: UrlValues,
}

/// The tokens of the process.
#[derive(Default)]
pub struct Tokens {
    pool: Pool<ClientCredentials, Token>,
    /// Places that want client and secret in the form.
    in_form: Mutex<HashSet<String>>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pool.fmt(f)
    }
}

/// An access token.
#[derive(Debug)]
pub struct Token {
    text: Secret,
    /// `None` for a token that does not expire.
    expires: Option<Instant>,
}

/// Gets the token of one trigger.
#[derive(Debug)]
pub struct TokenSource {
    credentials: ClientCredentials,
    client: Arc<Client>,
    tokens: Arc<Tokens>,
    slot: Arc<Slot<Token>>,
}

impl TokenSource {
    /// A source that asks for a token when one is first needed.
    pub fn new(credentials: ClientCredentials, client: Arc<Client>, tokens: &Arc<Tokens>) -> Self {
        let slot = tokens.pool.slot(credentials.clone());
        TokenSource { credentials, client, tokens: Arc::clone(tokens), slot }
    }

    /// The token, to be handed back to [`TokenSource::refused`] if it is not accepted.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] when the client is refused, [`ErrorKind::Unreachable`], [`ErrorKind::Malformed`].
    pub async fn token(&self) -> Result<Arc<Token>, SourceError> {
        self.slot.fresh(Token::is_fresh, || self.fetch()).await
    }

    /// Forgets a token that was not accepted.
    pub async fn refused(&self, token: &Arc<Token>) {
        self.slot.discard(token).await;
    }

    async fn fetch(&self) -> Result<Token, SourceError> {
        self.ask().await.map_err(|error| error.within("cannot get an OAuth2 token"))
    }

    async fn ask(&self) -> Result<Token, SourceError> {
        let place = &self.credentials.token_uri;
        let url = http::address(place, "oauthTokenURI")?;
        let mut in_form = self.tokens.in_form.lock().unwrap_or_else(PoisonError::into_inner).contains(place);
        let mut answer = http::send(self.request(&url, in_form)).await?;
        if !answer.status.is_success() && !in_form {
            in_form = true;
            answer = http::send(self.request(&url, in_form)).await?;
        }
        if !answer.status.is_success() {
            let message = format!("{}: {}", http::presentable(&url), answer.status);
            return Err(SourceError::new(refusal_kind(answer.status), message));
        }
        if in_form {
            self.tokens.in_form.lock().unwrap_or_else(PoisonError::into_inner).insert(place.clone());
        }
        read(&answer.body)
    }

    fn request(&self, url: &Url, in_form: bool) -> RequestBuilder {
        let ClientCredentials { client_id, client_secret, scopes, endpoint_params, .. } = &self.credentials;
        let scope = scopes.iter().filter(|scope| !scope.is_empty()).cloned().collect::<Vec<_>>().join(" ");
        let mut form: Vec<(&str, &str)> = Vec::new();
        if !endpoint_params.0.iter().any(|(name, _)| name == "grant_type") {
            form.push(("grant_type", "client_credentials"));
        }
        if !scope.is_empty() {
            form.push(("scope", &scope));
        }
        form.extend(endpoint_params.0.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let request = self.client.post(url.clone());
        if in_form {
            form.extend([("client_id", client_id.as_str()), ("client_secret", client_secret.expose())]);
            return request.form(&form);
        }
        request.basic_auth(query_escape(client_id), Some(query_escape(client_secret.expose()))).form(&form)
    }
}

impl Token {
    /// The token itself, for the call that sends it.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// The request with the token, in place of another login that it has.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for a token that cannot be in a header.
    pub fn authorize(&self, request: RequestBuilder) -> Result<RequestBuilder, SourceError> {
        with_bearer(request, ("the token", &self.text))
    }

    /// Whether it is good for a while.
    pub(super) fn is_fresh(&self) -> bool {
        self.expires.is_none_or(|end| Instant::now() + MARGIN < end)
    }
}

/// What it means that a server gives no token: it says so with other statuses than those who serve something.
pub(super) fn refusal_kind(status: StatusCode) -> ErrorKind {
    match status.as_u16() {
        400..=403 => ErrorKind::Denied,
        _ => http::status_kind(status),
    }
}

/// The token in an answer of success.
///
/// # Errors
/// [`ErrorKind::Malformed`] for an answer without one.
pub(super) fn read(body: &str) -> Result<Token, SourceError> {
    token_in(body).ok_or_else(|| SourceError::malformed("there is no access_token in the answer"))
}

fn token_in(body: &str) -> Option<Token> {
    #[derive(Deserialize)]
    struct Answer {
        access_token: String,
        /// Some write it as a text.
        #[serde(default)]
        expires_in: serde_json::Value,
    }
    let answer: Answer = serde_json::from_str(body).ok()?;
    let seconds = answer.expires_in.as_u64().or_else(|| answer.expires_in.as_str()?.parse().ok()).filter(|s| *s > 0);
    let expires = seconds.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
    (!answer.access_token.is_empty()).then(|| Token { text: Secret::new(answer.access_token), expires })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tls::TlsOptions;
    use crate::client::{SourceSettings, Sources};

    #[test]
    fn parameters_may_name_another_grant() {
        let sources = Sources::new(SourceSettings::default());
        let client = sources.http.client(&sources.tls, &TlsOptions::default()).unwrap();
        let endpoint_params = UrlValues(vec![("grant_type".to_string(), "password".to_string())]);
        let credentials = ClientCredentials { endpoint_params, ..ClientCredentials::default() };
        let source = TokenSource::new(credentials, client, &sources.tokens);
        let request = source.request(&"http://h/".parse().unwrap(), true).build().unwrap();
        let body = request.body().and_then(reqwest::Body::as_bytes).unwrap();
        assert_eq!(body, b"grant_type=password&client_id=&client_secret=");
    }
}
