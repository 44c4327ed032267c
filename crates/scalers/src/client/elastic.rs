//! Where an Elasticsearch is and how to log in: what its triggers have in common (`scalers/elasticsearch.md`).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keda_core::metadata::Metadata;
use keda_core::sample::SourceError;
use keda_core::secret::Secret;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, RequestBuilder};
use serde_json::Value;

use super::Sources;
use super::http::status_kind;
use super::servers::{Server, Servers};
use super::tls::TlsOptions;

/// Where KEDA's client looks for a server when there is only a login.
const OWN_MACHINE: &str = "http://localhost:9200";

/// Addresses with a user, or a deployment in Elastic's cloud with a key. Which of them must be given is a matter of the
/// trigger.
#[derive(Debug, Clone, Default, Metadata)]
pub struct ElasticServer {
    /// Addresses of the servers as URLs, such as `https://elasticsearch.shop.svc:9200`, with commas between them. Needs
    /// `username` and `password`; excludes `cloudID` and `apiKey`.
    #[meta(auth, trigger, optional)]
    pub addresses: Vec<String>,
    /// Whether to take any certificate of the server.
    #[meta(trigger, default = "false")]
    pub unsafe_ssl: bool,
    /// User to log in as at the servers of `addresses`.
    #[meta(auth, trigger, optional)]
    pub username: String,
    /// Password of the user.
    #[meta(auth, env, trigger, optional)]
    pub password: Secret,
    /// Identifier of a deployment in Elastic's cloud, as its console shows it, in place of `addresses`. Needs `apiKey`.
    #[meta(name = "cloudID", auth, trigger, optional)]
    pub cloud_id: String,
    /// Key to log in with at the deployment in Elastic's cloud. Needs `cloudID`.
    #[meta(auth, trigger, optional)]
    pub api_key: Secret,
}

impl ElasticServer {
    /// Whether anything of a deployment in Elastic's cloud is given.
    pub fn is_in_cloud(&self) -> bool {
        !self.cloud_id.is_empty() || !self.api_key.is_empty()
    }

    /// Whether only one of the deployment's identifier and key is given.
    pub fn is_half_in_cloud(&self) -> bool {
        self.cloud_id.is_empty() != self.api_key.is_empty()
    }

    /// Whether there are addresses.
    pub fn has_addresses(&self) -> bool {
        !self.addresses.is_empty()
    }

    /// Whether user or password are given.
    pub fn has_any_login(&self) -> bool {
        !self.username.is_empty() || !self.password.is_empty()
    }

    /// Whether user and password are given.
    pub fn has_whole_login(&self) -> bool {
        !self.username.is_empty() && !self.password.is_empty()
    }

    /// A client that dials when first asked.
    ///
    /// # Errors
    /// [`keda_core::sample::ErrorKind::Configuration`] for addresses, a `cloudID` or a key that cannot be used.
    pub fn connect(&self, sources: &Sources) -> Result<Elastic, SourceError> {
        let addresses = if !self.cloud_id.is_empty() {
            vec![address_in_cloud(&self.cloud_id)?]
        } else if self.has_addresses() {
            self.addresses.clone()
        } else {
            vec![OWN_MACHINE.to_string()]
        };
        let login = if self.cloud_id.is_empty() {
            Login::Basic(self.username.clone(), self.password.clone())
        } else {
            Login::Key(key_header(&self.api_key)?)
        };
        let tls = TlsOptions { insecure: self.unsafe_ssl, ..TlsOptions::default() };
        let client = sources.http.client(&sources.tls, &tls)?;
        let servers = Servers::parse("addresses", &addresses)?;
        let patience = servers.patience(&sources.settings);
        Ok(Elastic { client, servers, patience, login })
    }
}

/// The address of a deployment: behind the colon stand its host and its own name, encoded.
fn address_in_cloud(cloud_id: &str) -> Result<String, SourceError> {
    let decoded = || {
        let (_, encoded) = cloud_id.split_once(':')?;
        let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
        let mut parts = decoded.split('$');
        let (host, deployment) = (parts.next()?, parts.next()?);
        Some(format!("https://{deployment}.{host}"))
    };
    decoded().ok_or_else(|| SourceError::configuration("cloudID is not as Elastic's console shows it: name:text"))
}

fn key_header(key: &Secret) -> Result<HeaderValue, SourceError> {
    let mut header = HeaderValue::from_str(&format!("APIKey {}", key.expose()))
        .map_err(|_| SourceError::configuration("apiKey has characters that no key has"))?;
    header.set_sensitive(true);
    Ok(header)
}

/// A client for the questions of one trigger.
#[derive(Debug)]
pub struct Elastic {
    client: Arc<Client>,
    servers: Servers,
    /// Time for a request to one server.
    patience: Duration,
    login: Login,
}

enum Login {
    Basic(String, Secret),
    Key(HeaderValue),
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login")
    }
}

impl Elastic {
    /// The JSON of the answer to a question in JSON.
    ///
    /// # Errors
    /// [`keda_core::sample::ErrorKind::Denied`] with KEDA's words for 401 and 403, [`keda_core::sample::ErrorKind::Malformed`] for what is not JSON, and what
    /// any other status means.
    pub async fn post(&self, path: &str, body: &str) -> Result<Value, SourceError> {
        let answer = self.servers.ask(|server| Ok(self.request(server, path, body))).await?;
        if answer.status.is_success() {
            return answer.json("elasticsearch");
        }
        let message = match answer.status.as_u16() {
            401 => "elasticsearch authentication failed (HTTP 401): check username/password or apiKey".to_string(),
            403 => "elasticsearch authorization failed (HTTP 403): user has insufficient permissions".to_string(),
            status => format!("elasticsearch returned HTTP {status}"),
        };
        Err(SourceError::new(status_kind(answer.status), message))
    }

    fn request(&self, server: &Server, path: &str, body: &str) -> RequestBuilder {
        let request = self.client.post(server.at(path)).timeout(self.patience);
        let request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        match (server.login(), &self.login) {
            (Some((user, password)), _) => request.basic_auth(user, Some(password.expose())),
            (None, Login::Basic(user, password)) => request.basic_auth(user, Some(password.expose())),
            (None, Login::Key(key)) => request.header(AUTHORIZATION, key.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identifier_of_a_deployment_holds_its_address() {
        let id = format!("shop:{}", STANDARD.encode("eu.example.com:9243$0a1b$2c3d"));
        assert_eq!(address_in_cloud(&id).unwrap(), "https://0a1b.eu.example.com:9243");
        for wrong in ["shop", "shop:%%", "shop:aG9zdA=="] {
            assert!(address_in_cloud(wrong).is_err(), "{wrong}");
        }
    }
}
