//! `azure-data-explorer`: the number that a Kusto query gives (`scalers/azure-data-explorer.md`).

use std::sync::Arc;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;
use reqwest::{Client, Url};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::client::azure::{self, AzureLogin, AzureTokens, Cloud};
use crate::client::tls::TlsOptions;
use crate::client::{Sources, http};
use crate::trigger::{Memory, Scaler, Specs, Trigger};

/// Ends of the names of hosts that Data Explorer has.
const HOSTS: [&str; 8] = [
    ".kusto.windows.net",
    ".kustodev.windows.net",
    ".kustomfa.windows.net",
    ".kusto.data.microsoft.com",
    ".kusto.fabric.microsoft.com",
    ".kusto.usgovcloudapi.net",
    ".kusto.chinacloudapi.cn",
    ".kusto.cloudapi.de",
];

/// Scale on the number that a query of Azure Data Explorer gives.
///
/// What counts is the first column of the only row. The replicas are that number divided by `threshold`. The target
/// leaves zero when it is above `activationThreshold`.
///
/// The answer must be exactly one row, whose first column is an `int`, `long` or `real` that is not negative; no row is
/// an error and not 0. A query that ends in `| count` or `| summarize count()` always has one. It runs at each reading,
/// so it should be cheap and look at a short time only.
///
/// Log in with a TriggerAuthentication: either `podIdentity` with the provider `azure-workload`, or the parameters
/// `tenantId`, `clientId` and `clientSecret` of an app registration. `clientSecret` is read from there alone, and not
/// from variables of the target. The identity needs the role `Viewer` on the database.
///
/// ```yaml
/// type: azure-data-explorer
/// metadata:
///   endpoint: https://telemetry.westeurope.kusto.windows.net
///   databaseName: parcels
///   query: Scans | where ingestion_time() > ago(10m) and state == "open" | count
///   threshold: "200"
///   activationThreshold: "10"
/// authenticationRef:
///   name: parcels-viewer
/// ---
/// secretTargetRef:
///   - parameter: tenantId
///     name: parcels-viewer
///     key: tenant-id
///   - parameter: clientId
///     name: parcels-viewer
///     key: client-id
///   - parameter: clientSecret
///     name: parcels-viewer
///     key: client-secret
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct AzureDataExplorer {
    /// Name of the database.
    #[meta(trigger)]
    database_name: String,
    /// Address of the cluster, such as `https://telemetry.westeurope.kusto.windows.net`.
    #[meta(trigger)]
    endpoint: String,
    /// The query, in KQL: one row, whose first column is the number.
    #[meta(trigger)]
    query: String,
    /// The part of the number that one replica is expected to handle.
    #[meta(trigger)]
    threshold: f64,
    /// Value above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_threshold: f64,
    /// Id of the client's tenant; needed without a workload identity.
    #[meta(trigger, auth, env, optional)]
    tenant_id: String,
    /// Client id of the app registration that logs in; needed without a workload identity.
    #[meta(trigger, auth, env, optional)]
    client_id: String,
    /// Secret of that client; needed without a workload identity.
    #[meta(auth, optional)]
    client_secret: Secret,
    /// The Azure cloud, such as `AzureChinaCloud`, or `Private` for one whose address is given in
    /// `activeDirectoryEndpoint`; the public cloud where it is not given.
    #[meta(trigger, optional)]
    #[expect(dead_code, reason = "the endpoint was found with it")]
    cloud: String,
    /// Address that gives tokens, such as `https://login.cloud.example/`; needed in the cloud `Private`, not looked at
    /// in another.
    #[meta(trigger, optional)]
    active_directory_endpoint: String,
}

impl AzureDataExplorer {
    fn check(&mut self, reader: &mut Reader<'_>) {
        match azure::endpoint(reader, "activeDirectoryEndpoint", Cloud::active_directory_endpoint) {
            Ok(endpoint) => self.active_directory_endpoint = endpoint,
            Err(message) => reader.error_at("cloud", message),
        }
        match reader.context().identity_provider() {
            "none" => {
                if self.tenant_id.is_empty() {
                    reader.error("missing required parameter tenantId");
                }
                if self.client_id.is_empty() {
                    reader.error("missing required parameter clientId");
                }
                if self.client_secret.is_empty() {
                    reader.error(
                        "clientSecret was not found in metadata: it is a parameter of a TriggerAuthentication alone",
                    );
                }
            }
            azure::WORKLOAD_IDENTITY => {}
            other => {
                reader.error(format!("error parsing auth params: pod identity {other} is not supported"));
            }
        }
    }
}

impl Trigger for AzureDataExplorer {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.name(), Target::Float(self.threshold)))
    }

    fn connect(self, context: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let login = AzureLogin::new(context, &self.tenant_id, &self.client_id, &self.client_secret);
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        let any = AzureTokens::new(login, Some(&self.active_directory_endpoint), "", sources)?;
        Ok(Box::new(Cluster { url: self.url()?, client, any, tokens: OnceCell::new(), trigger: self }))
    }
}

struct Cluster {
    url: Url,
    client: Arc<Client>,
    /// For no service yet.
    any: AzureTokens,
    /// For the service that the cluster names.
    tokens: OnceCell<AzureTokens>,
    trigger: AzureDataExplorer,
}

#[async_trait]
impl Scaler for Cluster {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let tokens = self.tokens.get_or_try_init(|| self.find_tokens()).await?;
        let query = json!({
            "db": self.trigger.database_name,
            "csl": self.trigger.query,
            "properties": { "Options": { "servertimeout": "00:04:00" } },
        });
        let request = self.client.post(self.at("/v2/rest/query")).json(&query).header("accept", "application/json");
        let answer = tokens.send(request).await?.json("Data Explorer")?;
        let value = self.trigger.value(&answer).map_err(SourceError::malformed)?;
        Ok(vec![(self.trigger.name(), Sample::above(value, self.trigger.activation_threshold))])
    }
}

impl Cluster {
    fn at(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(path);
        url
    }

    async fn find_tokens(&self) -> Result<AzureTokens, SourceError> {
        let answer = http::send(self.client.get(self.at("/v1/rest/auth/metadata"))).await?;
        let answer = answer.json("Data Explorer, asked how to log in")?;
        let resource = answer.pointer("/AzureAD/KustoServiceResourceId").and_then(Value::as_str);
        let missing = || SourceError::malformed("Data Explorer does not say what tokens must be for");
        resource.map(|resource| self.any.for_resource(resource)).ok_or_else(missing)
    }
}

impl AzureDataExplorer {
    fn name(&self) -> String {
        normalize(&format!("azure-data-explorer-{}", self.database_name))
    }

    /// The address of the cluster, if tokens may be sent there: by TLS, and to Microsoft's hosts alone.
    fn url(&self) -> Result<Url, SourceError> {
        let wrong = |why: String| SourceError::configuration(format!("could not validate endpoint: {why}"));
        let url: Url = self.endpoint.parse().map_err(|error| wrong(format!("it is not an address: {error}")))?;
        let host = url.host_str().unwrap_or_default();
        if url.scheme() != "https" {
            return Err(wrong("a token is only sent by https".to_string()));
        }
        if !HOSTS.iter().any(|suffix| host.ends_with(suffix)) && !["localhost", "127.0.0.1", "[::1]"].contains(&host) {
            return Err(wrong(format!("{host} is no host of Data Explorer")));
        }
        Ok(url)
    }

    /// The number in the first column of the only row of the first primary table.
    fn value(&self, answer: &Value) -> Result<f64, String> {
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_string);
        let frames = answer.as_array().ok_or("the answer of Data Explorer is no list of frames")?;
        if let Some(completion) = frames.iter().find(|frame| frame.get("HasErrors") == Some(&Value::Bool(true))) {
            let why = completion.pointer("/OneApiErrors/0/error/message").and_then(Value::as_str).unwrap_or_default();
            return Err(format!("the query did not end well: {}", http::excerpt(why)));
        }
        let is_primary = |frame: &&Value| text(frame, "TableKind").as_deref() == Some("PrimaryResult");
        let nothing = || format!("query {} has no results", self.query);
        let table = frames.iter().find(is_primary).ok_or_else(nothing)?;
        let rows = table.get("Rows").and_then(Value::as_array).ok_or_else(nothing)?;
        let row = match rows.as_slice() {
            [] => return Err(nothing()),
            [row] => row,
            _ => return Err(format!("query {} result had more than a single result row", self.query)),
        };
        let data_type = table.pointer("/Columns/0").and_then(|column| text(column, "ColumnType")).unwrap_or_default();
        if !["real", "int", "long"].contains(&data_type.as_str()) {
            return Err(format!("data type {data_type} is not valid"));
        }
        match row.get(0).and_then(Value::as_f64) {
            None => Err(format!("query {} gave no number", self.query)),
            Some(value) if value < 0.0 => Err(format!("query result must be >= 0 but received: {value}")),
            Some(value) => Ok(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(more: &[(&str, &str)], authentication: &[(&str, &str)]) -> (AzureDataExplorer, Vec<String>) {
        let required = [
            ("endpoint", "https://c.kusto.windows.net"),
            ("databaseName", "my.db"),
            ("query", "T | count"),
            ("threshold", "2.5"),
            ("tenantId", "t"),
            ("clientId", "c"),
        ];
        let inputs = Inputs::from_metadata(required.iter().chain(more).copied())
            .with_authentication(authentication.iter().copied());
        let (trigger, problems) = parse::<AzureDataExplorer>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_databases_and_the_cloud_gives_the_place_to_log_in() {
        let (trigger, problems) = parsed(&[("cloud", "AzureGermanCloud")], &[("clientSecret", "s")]);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("azure-data-explorer-my-db", Target::Float(2.5));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
        assert_eq!(trigger.active_directory_endpoint, "https://login.microsoftonline.de/");
    }

    #[test]
    fn the_secret_comes_from_a_trigger_authentication_alone() {
        let problems = parsed(&[("clientSecret", "hunter2")], &[]).1;
        assert!(problems[0].contains("clientSecret was not found"), "{problems:?}");
        assert!(!problems.concat().contains("hunter2"), "{problems:?}");
    }

    #[test]
    fn the_cloud_must_exist() {
        let secret = [("clientSecret", "s")];
        assert_eq!(parsed(&[("cloud", "Moon")], &secret).1, ["invalid cloud environment Moon"]);
        assert_eq!(
            parsed(&[("cloud", "Private")], &secret).1,
            ["activeDirectoryEndpoint must be provided for Private cloud type"]
        );
    }
}
