//! Access tokens of Google: for a service account by its key, or for whoever the process is.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use keda_core::sample::SourceError;
use keda_core::secret::Secret;
use reqwest::{Client, RequestBuilder};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::login::GcpLogin;
use crate::client::Sources;
use crate::client::http::{self, Answer};
use crate::client::jwt::SigningKey;
use crate::client::oauth2::{self, Token};
use crate::client::pool::{Pool, Slot};
use crate::client::secret_file;
use crate::client::tls::TlsOptions;

/// Where a machine of Google's says who it is.
const METADATA_HOST: &str = "metadata.google.internal";

/// How long a proof of who we are is good, in seconds.
const LIFETIME: i64 = 3600;

/// How far our clock may be ahead of Google's, in seconds.
const AHEAD: i64 = 10;

/// What the environment of the process says about Google Cloud, read once by the binary.
#[derive(Debug, Clone, Default)]
pub struct GcpEnvironment {
    /// `GOOGLE_APPLICATION_CREDENTIALS`: a file with the key of a service account.
    pub key_file: Option<PathBuf>,
    /// `CLOUDSDK_CORE_PROJECT`.
    pub project: Option<String>,
    /// `GCE_METADATA_HOST`.
    pub metadata_host: Option<String>,
    /// `STORAGE_EMULATOR_HOST`, which is asked without a login.
    pub storage_emulator: Option<String>,
}

impl GcpEnvironment {
    /// What the variables say.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let text = |name: &str| variable(name).filter(|text| !text.is_empty());
        GcpEnvironment {
            key_file: text("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from),
            project: text("CLOUDSDK_CORE_PROJECT"),
            metadata_host: text("GCE_METADATA_HOST"),
            storage_emulator: text("STORAGE_EMULATOR_HOST"),
        }
    }
}

/// The tokens of the process, by who they are for and what they allow.
#[derive(Default)]
pub struct TokenPool(Pool<(GcpLogin, &'static str), Token>);

impl fmt::Debug for TokenPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Gets the tokens of one trigger.
pub struct GcpTokens {
    login: GcpLogin,
    scope: &'static str,
    client: Arc<Client>,
    /// Time for a request with a token.
    timeout: Duration,
    environment: GcpEnvironment,
    project: OnceCell<String>,
    slot: Arc<Slot<Token>>,
}

impl fmt::Debug for GcpTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GcpTokens")
    }
}

/// The key of a service account, as Google's console writes it.
#[derive(Deserialize)]
struct Key {
    r#type: String,
    #[serde(default)]
    project_id: String,
    #[serde(default)]
    private_key_id: String,
    private_key: String,
    client_email: String,
    token_uri: String,
}

/// What a service account claims of itself.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

impl GcpTokens {
    /// Tokens that allow `scope`.
    ///
    /// # Errors
    /// TLS that cannot be set up.
    pub fn new(login: GcpLogin, scope: &'static str, sources: &Sources) -> Result<Self, SourceError> {
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        let slot = sources.gcp.0.slot((login.clone(), scope));
        let (timeout, environment) = (sources.settings.long_timeout(), sources.settings.gcp.clone());
        Ok(GcpTokens { login, scope, client, timeout, environment, project: OnceCell::new(), slot })
    }

    /// With another time limit for a request.
    #[must_use]
    pub fn within(self, timeout: Duration) -> Self {
        GcpTokens { timeout, ..self }
    }

    /// Sends a request with a token, and forgets a token that is refused. Google may take its time over the answer.
    ///
    /// # Errors
    /// [`Denied`](keda_core::sample::ErrorKind::Denied) when the login is refused, [`Configuration`](keda_core::sample::ErrorKind::Configuration) for a key that is none, and as
    /// [`http::send`].
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, SourceError> {
        let token = self.slot.fresh(Token::is_fresh, || self.fetch()).await?;
        let answer = http::send(token.authorize(request.timeout(self.timeout))?).await?;
        if answer.status.as_u16() == 401 {
            self.slot.discard(&token).await;
        }
        Ok(answer)
    }

    /// The project of the login, found out once.
    ///
    /// # Errors
    /// A key that is none, or a machine that does not say.
    pub async fn project(&self) -> Result<&str, SourceError> {
        self.project.get_or_try_init(|| self.find_project()).await.map(String::as_str)
    }

    async fn find_project(&self) -> Result<String, SourceError> {
        if let (GcpLogin::Process, Some(project)) = (&self.login, &self.environment.project) {
            return Ok(project.clone());
        }
        match self.key().await? {
            Some(key) => Ok(key.project_id),
            None => self.metadata("project/project-id").await.map(|text| text.trim().to_string()),
        }
    }

    async fn fetch(&self) -> Result<Token, SourceError> {
        self.ask().await.map_err(|error| error.within("cannot get a token of Google"))
    }

    async fn ask(&self) -> Result<Token, SourceError> {
        let body = match self.key().await? {
            Some(key) => self.exchange(&key).await?,
            None => self.metadata(&format!("instance/service-accounts/default/token?scopes={}", self.scope)).await?,
        };
        oauth2::read(&body)
    }

    /// The key of the service account, unless the process is whoever its machine is.
    async fn key(&self) -> Result<Option<Key>, SourceError> {
        let text = match (&self.login, &self.environment.key_file) {
            (GcpLogin::Key(key), _) => key.clone(),
            (GcpLogin::KeyFile(path), _) => secret_file::read("key", path.as_ref()).await?,
            (GcpLogin::Process, Some(path)) => secret_file::read("key", path).await?,
            (GcpLogin::Process, None) => return Ok(None),
        };
        let wrong = "the key of the service account is not what Google's console writes: a JSON object of the type \
                     service_account";
        let key: Key = serde_json::from_str(text.expose()).map_err(|_| SourceError::configuration(wrong))?;
        match key.r#type.as_str() {
            "service_account" => Ok(Some(key)),
            _ => Err(SourceError::configuration(wrong)),
        }
    }

    /// Exchanges a signed claim for a token.
    async fn exchange(&self, key: &Key) -> Result<String, SourceError> {
        let now = crate::sampler::wall_clock().as_second() - AHEAD;
        let claims =
            Claims { iss: &key.client_email, scope: self.scope, aud: &key.token_uri, iat: now, exp: now + LIFETIME };
        let wrong = |message| SourceError::configuration(format!("the private key of the service account: {message}"));
        let private_key = SigningKey::from_pem(&Secret::new(key.private_key.as_str())).map_err(wrong)?;
        let key_id = Some(key.private_key_id.as_str()).filter(|id| !id.is_empty());
        let assertion = private_key.sign(&claims, key_id).map_err(wrong)?;
        let assertion = assertion.expose();
        let form = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion)];
        let answer = http::send(self.client.post(&key.token_uri).form(&form)).await?;
        if answer.status.is_success() {
            return Ok(answer.body);
        }
        let message = format!("the service account is refused with status {}", answer.status.as_u16());
        Err(SourceError::new(oauth2::refusal_kind(answer.status), message))
    }

    /// What the machine says of itself.
    async fn metadata(&self, path: &str) -> Result<String, SourceError> {
        let host = self.environment.metadata_host.as_deref().unwrap_or(METADATA_HOST);
        let request = self.client.get(format!("http://{host}/computeMetadata/v1/{path}"));
        let answer = http::send(request.header("metadata-flavor", "Google")).await?;
        answer.success("the machine does not say who it is")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::SourceSettings;

    #[tokio::test]
    async fn the_project_of_the_process_is_what_its_environment_says() {
        let gcp = GcpEnvironment {
            project: Some("shop".to_string()),
            key_file: Some("/nowhere/key.json".into()),
            ..GcpEnvironment::default()
        };
        let sources = Sources::new(SourceSettings { gcp, ..SourceSettings::default() });
        let project = |login| {
            let tokens = GcpTokens::new(login, "scope", &sources).unwrap();
            async move { tokens.project().await.map(str::to_string) }
        };
        assert_eq!(project(GcpLogin::Process).await, Ok("shop".to_string()));
        let key = r#"{"type":"service_account","project_id":"own","private_key":"","client_email":"","token_uri":""}"#;
        assert_eq!(project(GcpLogin::Key(Secret::new(key))).await, Ok("own".to_string()));
    }
}
