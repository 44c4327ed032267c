//! `opensearch`: a number in the answer to a search (`scalers/opensearch.md`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::sample::{ErrorKind, Reading, SourceError};
use keda_core::secret::Secret;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder};
use serde_json::Value;

use crate::client::Sources;
use crate::client::http::status_kind;
use crate::client::search::Search;
use crate::client::servers::{Server, Servers};
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger};

/// Scale on a number in the answer to a search in OpenSearch.
///
/// The search is either `query`, the body of a search as JSON, or `searchTemplateName`, a template on the server with
/// its `parameters`. What counts is the one number in its answer that `valueLocation` leads to, such as
/// `hits.total.value` or `aggregations.waiting.value`; text that is a number will do. One replica is wanted per
/// `targetValue` of it. The target leaves zero when it is above `activationTargetValue`.
///
/// OpenSearch counts hits only up to 10,000, unless the search says `"track_total_hits": true`. `"size": 0` keeps the
/// documents themselves out of the answer. Several indices are separated with `;`. With `ignoreNullValues` a mistyped
/// `valueLocation` reads as 0 and goes unnoticed.
///
/// Log in with `username` and `password`, or with `enableTLS: "true"` and the certificate `clientCert` with its key
/// `clientKey`, in which case user and password have no effect. `enableTLS` is not needed for `https://` addresses as
/// such; `caCert` is for an authority of your own and counts either way. Requests cannot be signed for AWS. The user
/// needs to read the indices. Put what is secret into a Secret, and name it in a TriggerAuthentication.
///
/// ```yaml
/// type: opensearch
/// metadata:
///   addresses: https://opensearch.shop.svc:9200
///   username: autoscaler
///   index: returns
///   searchTemplateName: returns-by-state
///   parameters: state:received;warehouse:north
///   valueLocation: hits.total.value
///   targetValue: "30"
///   activationTargetValue: "3"
/// authenticationRef:
///   name: opensearch-login
/// ---
/// secretTargetRef:
///   - parameter: password
///     name: opensearch-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct OpenSearch {
    /// Addresses of the servers as URLs, such as `https://opensearch.shop.svc:9200`, with commas between them; they are
    /// asked in turn.
    #[meta(auth, trigger)]
    addresses: Vec<String>,
    /// Whether to take any certificate of the server.
    #[meta(trigger, default = "false")]
    unsafe_ssl: bool,
    /// Whether to log in with the certificate `clientCert` and its key `clientKey`, in place of user and password.
    #[meta(name = "enableTLS", trigger, auth, default = "false")]
    enable_tls: bool,
    /// User to log in as; needed without `enableTLS`, of no effect with it.
    #[meta(auth, trigger, optional)]
    username: String,
    /// Password of the user; needed without `enableTLS`, of no effect with it.
    #[meta(auth, env, trigger, optional)]
    password: Secret,
    /// PEM of certificates to trust beside the system's.
    #[meta(name = "caCert", auth, trigger)]
    ca: Option<Secret>,
    /// PEM of the client's certificate; needed with `enableTLS`, of no effect without it.
    #[meta(name = "clientCert", auth, trigger)]
    cert: Option<Secret>,
    /// PEM of the client's key; needed with `enableTLS`, of no effect without it.
    #[meta(name = "clientKey", auth, trigger)]
    key: Option<Secret>,
    #[meta(group)]
    search: Search,
}

impl OpenSearch {
    fn check(&mut self, reader: &mut Reader<'_>) {
        let with_certificate = self.cert.is_some() && self.key.is_some();
        if self.enable_tls && !with_certificate {
            reader.error("both clientCert and clientKey must be provided when enableTLS is true");
        } else if !self.enable_tls && (self.username.is_empty() || self.password.is_empty()) {
            reader.error("both username and password must be provided for basic auth");
        } else if let Err(error) = self.tls().check() {
            reader.error(error.message);
        }
    }

    fn tls(&self) -> TlsOptions {
        let own = |pem: &Option<Secret>| pem.clone().filter(|_| self.enable_tls);
        TlsOptions {
            insecure: self.unsafe_ssl,
            ca: self.ca.clone(),
            cert: own(&self.cert),
            key: own(&self.key),
            key_password: None,
        }
    }
}

impl Trigger for OpenSearch {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(self.search.spec("opensearch"))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let client = sources.http.client(&sources.tls, &self.tls())?;
        let servers = Servers::parse("addresses", &self.addresses)?;
        let patience = servers.patience(&sources.settings);
        Ok(Box::new(Searching { client, servers, patience, trigger: self }))
    }
}

struct Searching {
    client: Arc<Client>,
    servers: Servers,
    /// Time for a request to one server.
    patience: Duration,
    trigger: OpenSearch,
}

#[async_trait]
impl Scaler for Searching {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        self.read().await.map_err(|error| error.within("error inspecting opensearch"))
    }
}

impl Searching {
    async fn read(&self) -> Result<Reading, SourceError> {
        let search = &self.trigger.search;
        let (path, body) = (search.path(), search.body()?);
        if serde_json::from_str::<Value>(&body).is_err() {
            return Err(SourceError::configuration("invalid query JSON"));
        }
        let answer = self.servers.ask(|server| Ok(self.request(server, &path, &body))).await?;
        if !answer.status.is_success() {
            let message = match answer.status.as_u16() {
                401 => "opensearch authentication failed (HTTP 401): check username and password".to_string(),
                403 => "opensearch authorization failed (HTTP 403): user has insufficient permissions".to_string(),
                status => format!("opensearch returned HTTP {status}"),
            };
            return Err(SourceError::new(status_kind(answer.status), message));
        }
        let answer = answer.json("opensearch")?;
        complete(&answer)?;
        search.reading("opensearch", &answer)
    }

    fn request(&self, server: &Server, path: &str, body: &str) -> RequestBuilder {
        let request = self.client.post(server.at(path)).timeout(self.patience);
        let request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        match server.login() {
            Some((user, password)) => request.basic_auth(user, Some(password.expose())),
            None if self.trigger.enable_tls => request,
            None => request.basic_auth(&self.trigger.username, Some(self.trigger.password.expose())),
        }
    }
}

/// What some of the shards did not find would be missing in the number.
fn complete(answer: &Value) -> Result<(), SourceError> {
    match answer.pointer("/_shards/failed").and_then(Value::as_u64) {
        None | Some(0) => Ok(()),
        Some(failed) => Err(SourceError::new(ErrorKind::Unreachable, format!("the search failed on {failed} shards"))),
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};
    use keda_core::metric::{MetricSpec, Target};

    use super::*;

    const LOGIN: [(&str, &str); 2] = [("username", "u"), ("password", "p")];

    fn parsed(more: &[(&str, &str)]) -> (OpenSearch, Vec<String>) {
        let metadata = [
            ("addresses", "http://o:9200"),
            ("index", "a;b"),
            ("searchTemplateName", "my.template"),
            ("valueLocation", "hits.total.value"),
            ("targetValue", "10"),
        ];
        let inputs = Inputs::from_metadata(metadata.into_iter().chain(more.iter().copied()));
        let (trigger, problems) = parse::<OpenSearch>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_templates() {
        let (trigger, problems) = parsed(&LOGIN);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("opensearch-my-template", Target::Float(10.0));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn a_login_is_a_password_or_a_certificate() {
        assert_eq!(parsed(&LOGIN[..1]).1, ["both username and password must be provided for basic auth"]);
        let half = [("enableTLS", "true"), ("clientCert", "c"), LOGIN[0], LOGIN[1]];
        assert_eq!(parsed(&half).1, ["both clientCert and clientKey must be provided when enableTLS is true"]);
    }

    #[test]
    fn certificates_are_looked_at_where_they_are_used() {
        assert!(parsed(&[LOGIN[0], LOGIN[1], ("clientCert", "c"), ("clientKey", "k")]).1.is_empty());
        assert!(parsed(&[LOGIN[0], LOGIN[1], ("caCert", "c")]).1[0].starts_with("error appending CA certs"));
    }
}
