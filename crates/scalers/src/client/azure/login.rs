//! Tokens of Microsoft Entra ID: for a client with a secret, or for the workload identity of the process.

use std::path::PathBuf;
use std::sync::Arc;

use keda_core::metadata::Context;
use keda_core::sample::SourceError;
use keda_core::secret::Secret;
use reqwest::{Client, RequestBuilder};

use super::clouds::Cloud;
use crate::client::Sources;
use crate::client::http::{self, Answer};
use crate::client::oauth2::{self, Token};
use crate::client::pool::{Pool, Slot};
use crate::client::secret_file;
use crate::client::tls::TlsOptions;

/// What the environment of the process says about Azure, read once by the binary.
#[derive(Debug, Clone, Default)]
pub struct AzureEnvironment {
    /// `AZURE_AUTHORITY_HOST`: where tokens are given, in place of the public cloud's.
    pub authority: Option<String>,
    /// `AZURE_CLIENT_ID` of the workload identity.
    pub client_id: Option<String>,
    /// `AZURE_TENANT_ID` of the workload identity.
    pub tenant_id: Option<String>,
    /// `AZURE_FEDERATED_TOKEN_FILE`, the proof of the workload identity.
    pub token_file: Option<PathBuf>,
}

impl AzureEnvironment {
    /// What the variables say.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let text = |name: &str| variable(name).filter(|text| !text.is_empty());
        AzureEnvironment {
            authority: text("AZURE_AUTHORITY_HOST"),
            client_id: text("AZURE_CLIENT_ID"),
            tenant_id: text("AZURE_TENANT_ID"),
            token_file: text("AZURE_FEDERATED_TOKEN_FILE").map(PathBuf::from),
        }
    }
}

/// Who a trigger is at Azure.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AzureLogin {
    /// A client with a secret.
    Client {
        /// Its tenant.
        tenant_id: String,
        /// Its id.
        client_id: String,
        /// Its secret.
        secret: Secret,
    },
    /// The workload identity of the process, or another one that trusts the same proof.
    Workload {
        /// Another client than that of the environment; empty for that.
        client_id: String,
        /// Another tenant than that of the environment; empty for that.
        tenant_id: String,
        /// Where tokens are given, if not where the environment says; empty for that.
        authority: String,
    },
}

impl AzureLogin {
    /// The workload identity of a trigger that has one, else a client with a secret.
    pub fn new(context: &Context, tenant_id: &str, client_id: &str, secret: &Secret) -> Self {
        AzureLogin::workload(context).unwrap_or_else(|| AzureLogin::Client {
            tenant_id: tenant_id.to_string(),
            client_id: client_id.to_string(),
            secret: secret.clone(),
        })
    }

    /// The workload identity of a trigger that has one.
    pub fn workload(context: &Context) -> Option<Self> {
        let identity =
            context.pod_identity.as_ref().filter(|identity| identity.provider == super::WORKLOAD_IDENTITY)?;
        Some(AzureLogin::Workload {
            client_id: identity.identity_id.clone().unwrap_or_default(),
            tenant_id: identity.identity_tenant_id.clone().unwrap_or_default(),
            authority: identity.identity_authority_host.clone().unwrap_or_default(),
        })
    }
}

/// What tells one token from another.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    login: AzureLogin,
    authority: String,
    scope: String,
}

/// The tokens of the process.
#[derive(Default)]
pub struct TokenPool(Pool<Key, Token>);

impl std::fmt::Debug for TokenPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Gets the tokens of one trigger, for one service.
pub struct AzureTokens {
    key: Key,
    client: Arc<Client>,
    environment: AzureEnvironment,
    pool: Arc<TokenPool>,
    slot: Arc<Slot<Token>>,
}

impl std::fmt::Debug for AzureTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AzureTokens")
    }
}

impl AzureTokens {
    /// Tokens for `resource`, such as `https://storage.azure.com/`, from where the environment says. A client with a
    /// secret logs in at `authority`, if there is one; a workload identity at its own.
    ///
    /// # Errors
    /// TLS that cannot be set up.
    pub fn new(
        login: AzureLogin,
        authority: Option<&str>,
        resource: &str,
        sources: &Sources,
    ) -> Result<Self, SourceError> {
        let environment = sources.settings.azure.clone();
        let own = match &login {
            AzureLogin::Workload { authority, .. } => Some(authority.as_str()).filter(|own| !own.is_empty()),
            AzureLogin::Client { .. } => authority,
        };
        let authority = own.map(str::to_string).or_else(|| environment.authority.clone());
        let authority = authority.unwrap_or_else(|| Cloud::Public.active_directory_endpoint().to_string());
        let key = Key { login, authority, scope: scope(resource) };
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        let pool = Arc::clone(&sources.azure);
        Ok(AzureTokens { slot: pool.0.slot(key.clone()), key, client, environment, pool })
    }

    /// The same for another service.
    pub fn for_resource(&self, resource: &str) -> Self {
        let key = Key { scope: scope(resource), ..self.key.clone() };
        AzureTokens {
            slot: self.pool.0.slot(key.clone()),
            key,
            client: Arc::clone(&self.client),
            environment: self.environment.clone(),
            pool: Arc::clone(&self.pool),
        }
    }

    /// The token.
    ///
    /// # Errors
    /// [`Denied`](keda_core::sample::ErrorKind::Denied) when the login is refused, [`Configuration`](keda_core::sample::ErrorKind::Configuration) where there is none,
    /// [`Unreachable`](keda_core::sample::ErrorKind::Unreachable), [`Malformed`](keda_core::sample::ErrorKind::Malformed).
    async fn token(&self) -> Result<Arc<Token>, SourceError> {
        self.slot.fresh(Token::is_fresh, || self.fetch()).await
    }

    /// Sends a request with the token, and forgets a token that is refused.
    ///
    /// # Errors
    /// As [`AzureTokens::token`] and [`http::send`].
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, SourceError> {
        let token = self.token().await?;
        let answer = http::send(token.authorize(request)?).await?;
        if answer.status.as_u16() == 401 {
            self.slot.discard(&token).await;
        }
        Ok(answer)
    }

    async fn fetch(&self) -> Result<Token, SourceError> {
        self.ask().await.map_err(|error| error.within("cannot get a token of Microsoft Entra ID"))
    }

    async fn ask(&self) -> Result<Token, SourceError> {
        let (tenant, form) = self.form().await?;
        let url = format!("{}/{tenant}/oauth2/v2.0/token", self.key.authority.trim_end_matches('/'));
        let url = http::address(&url, &url)?;
        let answer = http::send(self.client.post(url.clone()).form(&form)).await?;
        if !answer.status.is_success() {
            let message = format!("{}: status {}", http::presentable(&url), answer.status.as_u16());
            return Err(SourceError::new(oauth2::refusal_kind(answer.status), message));
        }
        oauth2::read(&answer.body)
    }

    /// The tenant, and the fields of a request for a token.
    async fn form(&self) -> Result<(String, Vec<(&'static str, String)>), SourceError> {
        let mut form = vec![("grant_type", "client_credentials".to_string()), ("scope", self.key.scope.clone())];
        match &self.key.login {
            AzureLogin::Client { tenant_id, client_id, secret } => {
                form.extend([("client_id", client_id.clone()), ("client_secret", secret.expose().to_string())]);
                Ok((tenant_id.clone(), form))
            }
            AzureLogin::Workload { client_id, tenant_id, .. } => {
                let of = |own: &str, environment: &Option<String>, name: &str| match own {
                    "" => environment.clone().ok_or_else(|| no_identity(name)),
                    own => Ok(own.to_string()),
                };
                let client_id = of(client_id, &self.environment.client_id, "AZURE_CLIENT_ID")?;
                let tenant_id = of(tenant_id, &self.environment.tenant_id, "AZURE_TENANT_ID")?;
                let file = self.environment.token_file.as_ref();
                let file = file.ok_or_else(|| no_identity("AZURE_FEDERATED_TOKEN_FILE"))?;
                let proof = secret_file::read("token", file).await?;
                form.extend([
                    ("client_id", client_id),
                    ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_string()),
                    ("client_assertion", proof.expose().to_string()),
                ]);
                Ok((tenant_id, form))
            }
        }
    }
}

fn no_identity(variable: &str) -> SourceError {
    SourceError::configuration(format!("the process has no workload identity of Azure: {variable} is not set"))
}

fn scope(resource: &str) -> String {
    format!("{resource}/.default")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::SourceSettings;

    #[test]
    fn the_cloud_of_a_trigger_does_not_move_a_workload_identity() {
        let azure = AzureEnvironment { authority: Some("https://environment/".into()), ..AzureEnvironment::default() };
        let sources = Sources::new(SourceSettings { azure, ..SourceSettings::default() });
        let workload = |authority: &str| AzureLogin::Workload {
            client_id: String::new(),
            tenant_id: String::new(),
            authority: authority.to_string(),
        };
        let client = AzureLogin::Client {
            tenant_id: "tenant".to_string(),
            client_id: "client".to_string(),
            secret: Secret::new("hunter2"),
        };
        for (login, authority, expected) in [
            (workload(""), Some("https://trigger/"), "https://environment/"),
            (workload("https://own/"), Some("https://trigger/"), "https://own/"),
            (client.clone(), Some("https://trigger/"), "https://trigger/"),
            (client, None, "https://environment/"),
        ] {
            let tokens = AzureTokens::new(login, authority, "https://resource", &sources).unwrap();
            assert_eq!(tokens.key.authority, expected);
        }
    }
}
