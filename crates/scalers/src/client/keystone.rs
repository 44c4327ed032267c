//! What the triggers on OpenStack share: the login at Keystone (`scalers/openstack-metric.md`, `openstack-swift.md`).

use std::sync::Arc;
use std::time::Duration;

use keda_core::metadata::{Metadata, Reader};
use keda_core::sample::SourceError;
use keda_core::secret::Secret;
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde_json::{Value, json};

use super::Sources;
use super::authentication::with_header;
use super::http::{self, Answer};
use super::pool::{Pool, Slot};

/// A user or an application, and where it logs in.
#[derive(Debug, Clone, Default, Metadata)]
pub struct KeystoneLogin {
    /// Address of Keystone without `/v3`, such as `https://keystone.cloud.example:5000`; always needed.
    #[meta(name = "authURL", auth, optional)]
    pub auth_url: String,
    /// Id of the user, not the name; needs `password`.
    #[meta(name = "userID", auth, optional)]
    pub user_id: String,
    /// Password of the user.
    #[meta(auth, optional)]
    pub password: Secret,
    /// Id of an application credential, in place of `userID`; needs `appCredentialSecret`.
    #[meta(name = "appCredentialID", auth, optional)]
    pub app_credential_id: String,
    /// Secret of the application credential.
    #[meta(auth, optional)]
    pub app_credential_secret: Secret,
}

impl KeystoneLogin {
    /// Takes all texts again with the blanks around them, which may belong to a password.
    pub fn keep_blanks(&mut self, reader: &Reader<'_>) {
        let written = |name: &str| reader.inputs().authentication.get(name).cloned().unwrap_or_default();
        self.auth_url = written("authURL");
        self.user_id = written("userID");
        self.password = Secret::new(written("password"));
        self.app_credential_id = written("appCredentialID");
        self.app_credential_secret = Secret::new(written("appCredentialSecret"));
    }
}

/// The logins of the process.
pub type KeystonePool = Pool<Identity, Session>;

/// Who logs in, and where.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Address of Keystone, with or without `/v3`.
    pub auth_url: String,
    /// Who it is.
    pub who: Who,
}

/// A user or an application.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Who {
    /// A user, within a project.
    User {
        /// Id of the user.
        id: String,
        /// Its password.
        password: Secret,
        /// Id of the project; it may be empty.
        project: String,
    },
    /// An application credential, which has its project.
    Application {
        /// Id of the credential.
        id: String,
        /// Its secret.
        secret: Secret,
    },
}

/// A login that has succeeded.
#[derive(Debug)]
pub struct Session {
    token: Secret,
    /// The services, with their endpoints, as Keystone tells them.
    catalog: Vec<Value>,
}

impl Session {
    /// The public address of a service, in a region if one is named.
    pub fn endpoint(&self, service: &str, region: &str) -> Option<&str> {
        let text = |of: &Value, key: &str| of.get(key).and_then(Value::as_str).map(str::to_string);
        let services = self.catalog.iter().filter(|entry| text(entry, "type").as_deref() == Some(service));
        let endpoints = services.filter_map(|service| service.get("endpoints")?.as_array()).flatten();
        let is_there = |endpoint: &&Value| {
            let regions = [text(endpoint, "region"), text(endpoint, "region_id")];
            text(endpoint, "interface").as_deref() == Some("public")
                && (region.is_empty() || regions.iter().flatten().any(|name| name == region))
        };
        endpoints.into_iter().find(is_there)?.get("url")?.as_str()
    }
}

/// Asks services of OpenStack in the name of somebody who is logged in.
#[derive(Debug)]
pub struct Keystone {
    identity: Identity,
    client: Arc<Client>,
    timeout: Duration,
    slot: Arc<Slot<Session>>,
}

impl Keystone {
    /// Logs in when it is first needed. The time limit is that of each request.
    pub fn new(identity: Identity, client: Arc<Client>, timeout: Duration, sources: &Sources) -> Self {
        let slot = sources.keystone.slot(identity.clone());
        Keystone { identity, client, timeout, slot }
    }

    /// Sends what `request` makes of the login, once more with a new login where the first is no longer accepted.
    ///
    /// # Errors
    /// What the login or the request came to.
    pub async fn send(
        &self,
        request: impl Fn(&Client, &Session) -> Result<RequestBuilder, SourceError> + Send + Sync,
    ) -> Result<Answer, SourceError> {
        let session = self.slot.get(|| self.log_in()).await?;
        let answer = self.send_as(&request, &session).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        self.slot.discard(&session).await;
        let session = self.slot.get(|| self.log_in()).await?;
        self.send_as(&request, &session).await
    }

    async fn send_as(
        &self,
        request: &(impl Fn(&Client, &Session) -> Result<RequestBuilder, SourceError> + Send + Sync),
        session: &Session,
    ) -> Result<Answer, SourceError> {
        let request = request(&self.client, session)?.timeout(self.timeout);
        http::send(with_header(request, ("", "X-Auth-Token"), ("the token", &session.token))?).await
    }

    async fn log_in(&self) -> Result<Session, SourceError> {
        let what = "cannot log in at Keystone";
        let request = self.client.post(self.identity.url()?).timeout(self.timeout);
        let answer = http::send(request.json(&self.identity.question())).await?;
        let token = answer.header("X-Subject-Token").filter(|token| !token.is_empty()).map(Secret::new);
        let body = answer.success(what)?;
        let missing = || SourceError::malformed(format!("{what}: there is no token in the answer"));
        let token = token.ok_or_else(missing)?;
        let catalog = serde_json::from_str::<Value>(&body).ok();
        let catalog = catalog.and_then(|answer| answer.pointer("/token/catalog")?.as_array().cloned());
        Ok(Session { token, catalog: catalog.unwrap_or_default() })
    }
}

impl Identity {
    fn url(&self) -> Result<Url, SourceError> {
        let root = self.auth_url.trim_end_matches('/');
        let root = root.strip_suffix("/v3").unwrap_or(root);
        http::under(http::address(root, "authURL")?, "authURL", &["v3", "auth", "tokens"])
    }

    fn question(&self) -> Value {
        match &self.who {
            Who::User { id, password, project } => json!({ "auth": {
                "identity": {
                    "methods": ["password"],
                    "password": { "user": { "id": id, "password": password.expose() } },
                },
                "scope": { "project": { "id": project } },
            }}),
            Who::Application { id, secret } => json!({ "auth": { "identity": {
                "methods": ["application_credential"],
                "application_credential": { "id": id, "secret": secret.expose() },
            }}}),
        }
    }
}
