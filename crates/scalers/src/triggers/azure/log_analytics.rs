//! `azure-log-analytics`: the number that a query of Log Analytics gives (`scalers/azure-log-analytics.md`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;
use reqwest::{Client, Url};
use serde_json::{Value, json};

use crate::client::Sources;
use crate::client::azure::{self, AzureLogin, AzureTokens};
use crate::client::http;
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger};

/// Scale on the number that a query of Azure's Log Analytics gives.
///
/// What counts is the first column of the only row. The replicas are that number divided by `threshold`. The target
/// leaves zero when it is above `activationThreshold`.
///
/// The answer must be one table with exactly one row, whose first column is an `int`, `long` or `real` that is not
/// negative; no row is an error and not 0. A query that ends in `| count` or `| summarize count()` always has one.
/// Bound its time by itself (`where TimeGenerated > ago(10m)`), and mind that logs arrive minutes late.
///
/// Log in with a TriggerAuthentication: either `podIdentity` with the provider `azure-workload`, or the parameters
/// `tenantId`, `clientId` and `clientSecret` of an app registration. The identity needs the role `Log Analytics Reader`
/// on the workspace.
///
/// ```yaml
/// type: azure-log-analytics
/// metadata:
///   workspaceId: 0d4f8d2a-6d0b-4a56-8a83-4b7c9f1e2d30
///   query: AppRequests | where TimeGenerated > ago(10m) and AppRoleName == "search" | count
///   threshold: "3000"
///   activationThreshold: "50"
/// authenticationRef:
///   name: search-logs
/// ---
/// secretTargetRef:
///   - parameter: tenantId
///     name: search-logs
///     key: tenant-id
///   - parameter: clientId
///     name: search-logs
///     key: client-id
///   - parameter: clientSecret
///     name: search-logs
///     key: client-secret
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct AzureLogAnalytics {
    /// Id of the client's tenant; needed without a workload identity.
    #[meta(auth, trigger, env, optional)]
    tenant_id: String,
    /// Client id of the app registration that logs in; needed without a workload identity.
    #[meta(auth, trigger, env, optional)]
    client_id: String,
    /// Secret of that client; needed without a workload identity. It belongs into a Secret and not into the metadata.
    #[meta(auth, trigger, env, optional)]
    client_secret: Secret,
    /// Id of the workspace, such as `0d4f8d2a-6d0b-4a56-8a83-4b7c9f1e2d30`, not its name.
    #[meta(auth, trigger, env)]
    workspace_id: String,
    /// The query, in KQL: one row, whose first column is the number.
    #[meta(trigger)]
    query: String,
    /// The part of the number that one replica is expected to handle.
    #[meta(trigger)]
    threshold: f64,
    /// Value above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_threshold: f64,
    /// Address of Log Analytics, such as `https://logs.cloud.example`; needed in the cloud `Private`, not looked at in
    /// another.
    #[meta(name = "logAnalyticsResourceURL", trigger, optional)]
    resource_url: String,
    /// The Azure cloud: `AzurePublicCloud`, `AzureUSGovernmentCloud`, `AzureChinaCloud`, or `Private` for one whose
    /// address is given in `logAnalyticsResourceURL`.
    #[meta(trigger, default = "azurePublicCloud")]
    cloud: String,
    /// Whether to take any certificate of the server. Anyone in between can read the token then.
    #[meta(trigger, default = "false")]
    unsafe_ssl: bool,
    /// Time limit of a request, such as `10s`, or a number of milliseconds; the limit of all HTTP requests where it is
    /// not given.
    #[meta(trigger, optional)]
    timeout: Duration,
}

impl AzureLogAnalytics {
    fn check(&mut self, reader: &mut Reader<'_>) {
        let endpoints =
            ["https://api.loganalytics.io", "https://api.loganalytics.us", "https://api.loganalytics.azure.cn"];
        let own = ("logAnalyticsResourceURL", self.resource_url.as_str());
        match azure::monitor_endpoint(&self.cloud, own, endpoints) {
            Ok(endpoint) => self.resource_url = endpoint,
            Err(message) => reader.error_at("cloud", message),
        }
        let login = [
            ("tenantId", self.tenant_id.is_empty()),
            ("clientId", self.client_id.is_empty()),
            ("clientSecret", self.client_secret.is_empty()),
        ];
        match reader.context().identity_provider() {
            "none" => {
                for (name, _) in login.into_iter().filter(|(_, missing)| *missing) {
                    reader.error(format!("{name} was not found in metadata. Check your ScaledObject configuration"));
                }
            }
            azure::WORKLOAD_IDENTITY => {}
            other => reader.error(format!("Log Analytics Scaler doesn't support pod identity {other}")),
        }
    }
}

impl Trigger for AzureLogAnalytics {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.name(), Target::Float(self.threshold)))
    }

    fn connect(self, context: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let login = AzureLogin::new(context, &self.tenant_id, &self.client_id, &self.client_secret);
        let tokens = AzureTokens::new(login, None, &self.resource_url, sources)?;
        let tls = TlsOptions { insecure: self.unsafe_ssl, ..TlsOptions::default() };
        let client = sources.http.client(&sources.tls, &tls)?;
        let timeout = if self.timeout.is_zero() { sources.settings.timeout } else { self.timeout };
        Ok(Box::new(Workspace { url: self.url()?, client, tokens, timeout, trigger: self }))
    }
}

struct Workspace {
    url: Url,
    client: Arc<Client>,
    tokens: AzureTokens,
    timeout: Duration,
    trigger: AzureLogAnalytics,
}

#[async_trait]
impl Scaler for Workspace {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let request = self.client.post(self.url.clone()).timeout(self.timeout).header("accept", "application/json");
        let request = request.json(&json!({ "query": self.trigger.query }));
        let answer = self.tokens.send(request).await?.json("Log Analytics")?;
        let value = number(&answer).map_err(SourceError::malformed)?;
        Ok(vec![(self.trigger.name(), Sample::above(value, self.trigger.activation_threshold))])
    }
}

impl AzureLogAnalytics {
    fn name(&self) -> String {
        normalize(&format!("azure-log-analytics-{}", self.workspace_id))
    }

    fn url(&self) -> Result<Url, SourceError> {
        let url = http::address(&self.resource_url, "logAnalyticsResourceURL")?;
        http::under(url, "logAnalyticsResourceURL", &["v1", "workspaces", &self.workspace_id, "query"])
    }
}

/// The number in the first column of the only row of the only table.
fn number(answer: &Value) -> Result<f64, String> {
    let nothing = || "there is no results after running your query".to_string();
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let tables = answer.get("tables").and_then(Value::as_array).ok_or("the answer of Log Analytics has no tables")?;
    let table = match tables.as_slice() {
        [] => return Err(nothing()),
        [table] => table,
        _ => return Err(format!("too many tables in query result: {}, expected: 1", tables.len())),
    };
    let (columns, rows) = (list(table.get("columns")), list(table.get("rows")));
    let row = match rows.as_slice() {
        _ if columns.is_empty() => return Err(nothing()),
        [] => return Err(nothing()),
        [row] => row,
        _ => return Err(format!("too many rows in query result: {}, expected: 1", rows.len())),
    };
    let data_type = columns.first().and_then(|column| column.get("type")).and_then(Value::as_str);
    let (Some(data_type), Some(cell)) = (data_type, row.get(0).filter(|cell| !cell.is_null())) else {
        return Err("error parsing the response: there is no value in the first column".to_string());
    };
    if !["real", "int", "long"].contains(&data_type) {
        return Err(format!("value data type should be real, int or long, but received {data_type}"));
    }
    match cell.as_f64() {
        None => Err("cannot convert result to type float64".to_string()),
        Some(value) if value < 0.0 => Err(format!("value should be >=0, but received {value}")),
        Some(value) => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    const LOGIN: [(&str, &str); 3] = [("tenantId", "t"), ("clientId", "c"), ("clientSecret", "hunter2")];

    fn parsed(login: &[(&str, &str)], more: &[(&str, &str)]) -> (AzureLogAnalytics, Vec<String>) {
        let required = [("workspaceId", "ws.1"), ("query", "Q"), ("threshold", "1.5")];
        let inputs = Inputs::from_metadata(required.iter().chain(login).chain(more).copied());
        let (trigger, problems) = parse::<AzureLogAnalytics>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_workspaces() {
        let (trigger, problems) = parsed(&LOGIN, &[("timeout", "1000")]);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("azure-log-analytics-ws-1", Target::Float(1.5));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
        assert_eq!(trigger.timeout, Duration::from_secs(1));
    }

    #[test]
    fn each_missing_part_of_the_login_is_told() {
        let problems = parsed(&LOGIN[1..2], &[]).1;
        assert_eq!(problems.len(), 2);
        assert!(problems[0].starts_with("tenantId was not found") && problems[1].starts_with("clientSecret was not"));
    }

    #[test]
    fn a_private_cloud_has_an_address() {
        assert_eq!(
            parsed(&LOGIN, &[("cloud", "Private")]).1,
            ["logAnalyticsResourceURL must be provided for Private cloud type"]
        );
        assert!(parsed(&LOGIN, &[("cloud", "private"), ("logAnalyticsResourceURL", "https://l")]).1.is_empty());
        assert!(parsed(&LOGIN, &[("cloud", "AzureGermanCloud")]).1[0].starts_with("there is no cloud environment"));
    }
}
