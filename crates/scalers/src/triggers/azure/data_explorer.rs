//! `azure-data-explorer`: the number that a Kusto query gives (`scalers/azure-data-explorer.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::secret::Secret;

use crate::client::azure::{self, Cloud};
use crate::trigger::{Specs, Trigger};

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
#[expect(dead_code, reason = "read once the source is written")]
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
        let name = normalize(&format!("azure-data-explorer-{}", self.database_name));
        Specs::one(MetricSpec::external(name, Target::Float(self.threshold)))
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
