//! The login of a GitHub App: a token for one of its installations, shared by all who have the same key.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use keda_core::sample::SourceError;
use keda_core::secret::Secret;
use reqwest::Client;
use serde::Deserialize;
use serde_json::json;

use super::Sources;
use super::authentication::with_bearer;
use super::http;
use super::jwt::SigningKey;
use super::pool::{Pool, Slot};

/// The tokens of the process.
pub type Installations = Pool<Installation, Token>;

/// An installation of an App, and the key of the App.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Installation {
    /// Address of the API.
    pub api_url: String,
    /// Id of the App.
    pub application: i64,
    /// Id of the installation.
    pub installation: i64,
    /// PEM of the App's private key.
    pub key: Secret,
}

/// The token of an installation.
#[derive(Debug)]
pub struct Token {
    text: Secret,
    expires: Timestamp,
}

impl Token {
    /// The token itself, for the call that sends it.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }
}

/// Logs in as an App.
#[derive(Debug)]
pub struct AppLogin {
    installation: Installation,
    key: SigningKey,
    client: Arc<Client>,
    timeout: Duration,
    slot: Arc<Slot<Token>>,
}

impl AppLogin {
    /// A login that asks for a token when one is first needed.
    ///
    /// # Errors
    /// [`SourceError::configuration`] for a key that cannot be used.
    pub fn new(installation: Installation, client: Arc<Client>, sources: &Sources) -> Result<Self, SourceError> {
        let key = SigningKey::from_pem(&installation.key)
            .map_err(|why| SourceError::configuration(format!("error creating GitHub App client: appKey: {why}")))?;
        let slot = sources.github.slot(installation.clone());
        Ok(AppLogin { installation, key, client, timeout: sources.settings.long_timeout(), slot })
    }

    /// The token, a new one shortly before it expires.
    ///
    /// # Errors
    /// What GitHub says to the App.
    pub async fn token(&self, now: Timestamp) -> Result<Arc<Token>, SourceError> {
        let token = self.slot.get(|| self.fetch(now)).await?;
        if now.saturating_add(SignedDuration::from_mins(1)).is_ok_and(|soon| soon < token.expires) {
            return Ok(token);
        }
        self.slot.discard(&token).await;
        self.slot.get(|| self.fetch(now)).await
    }

    /// Forgets a token that was not accepted.
    pub async fn refused(&self, token: &Arc<Token>) {
        self.slot.discard(token).await;
    }

    async fn fetch(&self, now: Timestamp) -> Result<Token, SourceError> {
        let what = "cannot log in as GitHub App";
        let issued = now.as_second() - 30;
        let claims = json!({
            "iat": issued, "exp": issued + 120, "iss": self.installation.application.to_string(),
        });
        let login = self.key.sign(&claims, None).map_err(|why| SourceError::configuration(format!("{what}: {why}")))?;
        let installation = self.installation.installation.to_string();
        let url = http::address(&self.installation.api_url, "githubApiURL")?;
        let url = http::under(url, "githubApiURL", &["app", "installations", &installation, "access_tokens"])?;
        let request = self.client.post(url).timeout(self.timeout).header("Accept", "application/vnd.github.v3+json");
        // Without a body nothing tells its length by itself, and some servers want to know (411).
        let request = request.header("Content-Length", "0");
        let answer = http::send(with_bearer(request, ("appKey", &login))?).await?.json(what)?;
        #[derive(Deserialize)]
        struct Answer {
            token: String,
            expires_at: Timestamp,
        }
        let answer: Answer = serde_json::from_value(answer)
            .map_err(|_| SourceError::malformed(format!("{what}: there is no token in the answer")))?;
        Ok(Token { text: Secret::new(answer.token), expires: answer.expires_at })
    }
}
