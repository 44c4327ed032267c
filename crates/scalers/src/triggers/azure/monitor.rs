//! `azure-monitor`: the latest point of a metric of Azure Monitor (`scalers/azure-monitor.md`).

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;
use reqwest::{Client, Url};
use serde_json::Value;

use crate::client::azure::{self, AzureLogin, AzureTokens};
use crate::client::tls::TlsOptions;
use crate::client::{Sources, http};
use crate::trigger::{Memory, Scaler, Specs, Trigger};

/// The words for an aggregation. They are not left to the parameter's own list, as that would take several of them.
const AGGREGATIONS: [&str; 6] = ["Average", "Count", "Maximum", "Minimum", "None", "Total"];

/// Scale on the newest value of a metric of Azure Monitor.
///
/// What counts is the last point of the metric within `metricAggregationInterval`, and of that point the figure
/// `metricAggregationType`. The replicas are that figure divided by `targetValue`. The target leaves zero when it is
/// above `activationTargetValue`.
///
/// Points are as far apart as the metric's own grain, mostly one minute; a longer interval does not add them up, it
/// only looks further back. A last point that lacks the figure is an error, and not each metric has every figure: see
/// in the Azure portal which aggregations it offers. `None` is accepted, and then no reading succeeds.
///
/// Log in with a TriggerAuthentication: either `podIdentity` with the provider `azure-workload`, or the parameters
/// `activeDirectoryClientId` and `activeDirectoryClientPassword` of an app registration. `tenantId` is needed with
/// both, and like the subscription and resource group it stands in the metadata. The identity needs the role
/// `Monitoring Reader` on the resource.
///
/// ```yaml
/// type: azure-monitor
/// metadata:
///   tenantId: 7c9e6679-7425-40de-944b-e07fc1f90ae7
///   subscriptionId: 9b2fd3c1-8f6e-4c55-b1a4-2d8f0c7e6a11
///   resourceGroupName: shop
///   resourceURI: Microsoft.SignalRService/SignalR/shop-live
///   metricName: ConnectionCount
///   metricAggregationType: Maximum
///   metricAggregationInterval: "00:05:00"
///   targetValue: "500"
///   activationTargetValue: "5"
/// authenticationRef:
///   name: shop-monitor
/// ---
/// podIdentity:
///   provider: azure-workload
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct AzureMonitor {
    /// The part of the figure that one replica is expected to handle.
    #[meta(trigger)]
    target_value: f64,
    /// Value above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_target_value: f64,
    /// The resource, as `namespace/type/name` such as `Microsoft.ServiceBus/namespaces/shop`, without a slash before
    /// it.
    #[meta(name = "resourceURI", trigger)]
    resource_uri: String,
    /// Id of the tenant that the resource belongs to.
    #[meta(trigger)]
    tenant_id: String,
    /// Id of the subscription that the resource belongs to.
    #[meta(trigger)]
    subscription_id: String,
    /// Name of the resource group that the resource is in.
    #[meta(trigger)]
    resource_group_name: String,
    /// Name of the metric, such as `ActiveMessages`, as Azure's REST interface has it; the portal shows a display name.
    #[meta(trigger)]
    metric_name: String,
    /// Namespace of the metric, where it is not the one of the resource's type.
    #[meta(trigger, optional)]
    metric_namespace: String,
    /// OData filter on the metric's dimensions that chooses what counts, such as `EntityName eq 'orders'`.
    #[meta(trigger, optional)]
    metric_filter: String,
    /// How far back the metric is read, as `hours:minutes:seconds`; 5 minutes where it is not given.
    #[meta(trigger, optional)]
    metric_aggregation_interval: String,
    /// Which figure of a point counts: `Average`, `Count`, `Maximum`, `Minimum` or `Total`, written exactly so; with
    /// `None` no reading succeeds.
    #[meta(trigger)]
    metric_aggregation_type: String,
    /// Client id of the app registration that logs in; needed without a workload identity.
    #[meta(trigger, env, auth, optional)]
    active_directory_client_id: String,
    /// Secret of that client. It belongs into a Secret and not into the metadata.
    #[meta(trigger, env, auth, optional)]
    active_directory_client_password: Secret,
    /// The Azure cloud: `AzurePublicCloud`, which is also meant where it is not given, `AzureUSGovernmentCloud`,
    /// `AzureChinaCloud`, or `Private` for one whose address is given in `azureResourceManagerEndpoint`.
    #[meta(trigger, optional)]
    cloud: String,
    /// Address of the Resource Manager, such as `https://management.cloud.example`; needed in the cloud `Private`, not
    /// looked at in another.
    #[meta(trigger, optional)]
    azure_resource_manager_endpoint: String,
}

impl AzureMonitor {
    fn check(&mut self, reader: &mut Reader<'_>) {
        let has_parts = |text: &str, separator: char| text.is_empty() || text.split(separator).count() == 3;
        if !has_parts(&self.resource_uri, '/') {
            let message = "resourceURI not in the correct format. Should be namespace/resource_type/resource_name";
            reader.error_at("resourceURI", message);
        }
        let aggregation = self.metric_aggregation_type.as_str();
        if !aggregation.is_empty() && !AGGREGATIONS.contains(&aggregation) {
            let allowed = AGGREGATIONS.join(" ");
            reader.error_at(
                "metricAggregationType",
                format!("invalid metricAggregationType given: {aggregation:?} must be one of [{allowed}]"),
            );
        }
        if !has_parts(&self.metric_aggregation_interval, ':') {
            let message = "metricAggregationInterval not in the correct format. Should be hh:mm:ss";
            reader.error_at("metricAggregationInterval", message);
        }
        self.find_endpoint(reader);
        if reader.has_errors() {
            return;
        }
        if self.target_value == 0.0 && !reader.context().as_metric_source {
            reader.error_at("targetValue", "no targetValue given");
        }
        azure::check_monitor_login(reader, &self.active_directory_client_id, &self.active_directory_client_password);
    }

    fn find_endpoint(&mut self, reader: &mut Reader<'_>) {
        let endpoints = [
            "https://management.azure.com",
            "https://management.usgovcloudapi.net",
            "https://management.chinacloudapi.cn",
        ];
        let own = ("azureResourceManagerEndpoint", self.azure_resource_manager_endpoint.as_str());
        match azure::monitor_endpoint(&self.cloud, own, endpoints) {
            Ok(endpoint) => self.azure_resource_manager_endpoint = endpoint,
            Err(message) => reader.error_at("cloud", message),
        }
    }
}

impl Trigger for AzureMonitor {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.name(), Target::Float(self.target_value)))
    }

    fn connect(self, context: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let login = AzureLogin::new(
            context,
            &self.tenant_id,
            &self.active_directory_client_id,
            &self.active_directory_client_password,
        );
        let tokens = AzureTokens::new(login, None, &self.azure_resource_manager_endpoint, sources)?;
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        Ok(Box::new(Metric { client, tokens, trigger: self }))
    }
}

struct Metric {
    client: Arc<Client>,
    tokens: AzureTokens,
    trigger: AzureMonitor,
}

#[async_trait]
impl Scaler for Metric {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let url = self.trigger.url(crate::sampler::wall_clock())?;
        let answer = self.tokens.send(self.client.get(url)).await?.json("Azure Monitor")?;
        let value = self.trigger.value(&answer)?;
        Ok(vec![(self.trigger.name(), Sample::above(value, self.trigger.activation_target_value))])
    }
}

impl AzureMonitor {
    fn name(&self) -> String {
        normalize(&format!("azure-monitor-{}", self.metric_name))
    }

    /// How far back is looked.
    fn interval(&self) -> Result<SignedDuration, SourceError> {
        if self.metric_aggregation_interval.is_empty() {
            return Ok(SignedDuration::from_mins(5));
        }
        let wrong =
            || SourceError::configuration("errors parsing metricAggregationInterval: expected hours:minutes:seconds");
        let mut seconds = 0_i64;
        for part in self.metric_aggregation_interval.split(':') {
            let number: i64 = part.parse().map_err(|_| wrong())?;
            seconds = seconds.checked_mul(60).and_then(|sum| sum.checked_add(number)).ok_or_else(wrong)?;
        }
        Ok(SignedDuration::from_secs(seconds))
    }

    fn url(&self, now: Timestamp) -> Result<Url, SourceError> {
        let start = now
            .checked_sub(self.interval()?)
            .map_err(|_| SourceError::configuration("metricAggregationInterval is too long"))?;
        let url = format!(
            "{}/subscriptions/{}/resourceGroups/{}/providers/{}/providers/Microsoft.Insights/metrics",
            self.azure_resource_manager_endpoint.trim_end_matches('/'),
            self.subscription_id,
            self.resource_group_name,
            self.resource_uri,
        );
        let mut url = http::address(&url, &url)?;
        let second = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let timespan = format!("{}/{}", second(start), second(now));
        url.query_pairs_mut()
            .append_pair("aggregation", &self.metric_aggregation_type)
            .append_pair("api-version", "2024-02-01")
            .append_pair("metricnames", &self.metric_name)
            .append_pair("timespan", &timespan);
        for (key, text) in [("metricnamespace", &self.metric_namespace), ("$filter", &self.metric_filter)] {
            if !text.is_empty() {
                url.query_pairs_mut().append_pair(key, text);
            }
        }
        Ok(url)
    }

    /// The figure of the last point. KEDA takes an answer without exactly one metric for -1.
    fn value(&self, answer: &Value) -> Result<f64, SourceError> {
        let name = &self.metric_name;
        let metrics = answer.get("value").and_then(Value::as_array);
        let metrics = metrics.ok_or_else(|| SourceError::malformed("the answer of Azure Monitor has no value"))?;
        let [metric] = metrics.as_slice() else { return Ok(-1.0) };
        let series = metric.pointer("/timeseries/0");
        let series = series.ok_or_else(|| SourceError::malformed(format!("got metric {name} without timeseries")))?;
        let last = series.get("data").and_then(Value::as_array).and_then(|points| points.last());
        let last =
            last.ok_or_else(|| SourceError::malformed(format!("got metric {name} without any metric values")))?;
        let aggregation = &self.metric_aggregation_type;
        let figure = last.get(aggregation.to_lowercase()).and_then(Value::as_f64);
        figure.ok_or_else(|| {
            SourceError::malformed(format!("unsupported aggregation type {aggregation}: the last point has none"))
        })
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(more: &[(&str, &str)], as_metric_source: bool) -> (AzureMonitor, Vec<String>) {
        let required = [
            ("targetValue", "5.5"),
            ("resourceURI", "Microsoft.ServiceBus/namespaces/n"),
            ("tenantId", "t"),
            ("subscriptionId", "s"),
            ("resourceGroupName", "rg"),
            ("metricName", "metric.x"),
            ("metricAggregationType", "Average"),
            ("activeDirectoryClientId", "c"),
            ("activeDirectoryClientPassword", "p"),
        ];
        let inputs = Inputs::from_metadata(required.iter().chain(more).copied());
        let (trigger, problems) = parse::<AzureMonitor>(&inputs, &Context { as_metric_source, ..Context::default() });
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_metrics() {
        let (trigger, problems) = parsed(&[("cloud", "azurechinacloud")], false);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("azure-monitor-metric-x", Target::Float(5.5));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
        assert_eq!(trigger.azure_resource_manager_endpoint, "https://management.chinacloudapi.cn");
    }

    #[test]
    fn texts_with_parts_have_all_of_them() {
        for (key, value, expected) in [
            ("resourceURI", "a/b", "namespace/resource_type/resource_name"),
            ("metricAggregationInterval", "0:15", "Should be hh:mm:ss"),
            ("metricAggregationType", "average", "invalid metricAggregationType given"),
            ("metricAggregationType", "Average,Count", "invalid metricAggregationType given"),
            ("cloud", "Private", "azureResourceManagerEndpoint must be provided for Private cloud type"),
        ] {
            let problems = parsed(&[(key, value)], false).1;
            assert!(problems.len() == 1 && problems[0].contains(expected), "{problems:?}");
        }
    }

    #[test]
    fn a_target_of_zero_is_for_formulas_alone() {
        assert_eq!(parsed(&[("targetValue", "0")], false).1, ["no targetValue given"]);
        assert!(parsed(&[("targetValue", "0")], true).1.is_empty());
    }
}
