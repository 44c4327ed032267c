//! `azure-log-analytics`: the number that a query of Log Analytics gives (`scalers/azure-log-analytics.md`).

use std::time::Duration;

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::secret::Secret;

use crate::client::azure;
use crate::trigger::{Specs, Trigger};

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
#[expect(dead_code, reason = "read once the source is written")]
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
        let name = normalize(&format!("azure-log-analytics-{}", self.workspace_id));
        Specs::one(MetricSpec::external(name, Target::Float(self.threshold)))
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
