//! `azure-log-analytics`: the number that a query of Log Analytics gives (`scalers/azure-log-analytics.md`).

use std::time::Duration;

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::secret::Secret;

use crate::client::azure;
use crate::trigger::{Specs, Trigger};

/// Scale on the number that a query of Azure's Log Analytics gives.
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct AzureLogAnalytics {
    /// Tenant of the client, where there is no workload identity.
    #[meta(auth, trigger, env, optional)]
    tenant_id: String,
    /// Client that logs in, where there is no workload identity.
    #[meta(auth, trigger, env, optional)]
    client_id: String,
    /// Secret of the client.
    #[meta(auth, trigger, env, optional)]
    client_secret: Secret,
    /// Id of the workspace.
    #[meta(auth, trigger, env)]
    workspace_id: String,
    /// The query, in KQL: one row, whose first column counts.
    #[meta(trigger)]
    query: String,
    /// What one replica is expected to handle.
    #[meta(trigger)]
    threshold: f64,
    /// Value above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_threshold: f64,
    /// Address of Log Analytics in the cloud `Private`.
    #[meta(name = "logAnalyticsResourceURL", trigger, optional)]
    resource_url: String,
    /// The Azure cloud: `AzurePublicCloud`, `AzureUSGovernmentCloud`, `AzureChinaCloud`, or `Private` for one whose
    /// endpoint is given here.
    #[meta(trigger, default = "azurePublicCloud")]
    cloud: String,
    /// Whether to take any certificate of the server.
    #[meta(trigger, default = "false")]
    unsafe_ssl: bool,
    /// Time limit of a request.
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
