//! `azure-app-insights`: an aggregate of a metric of Application Insights (`scalers/azure-app-insights.md`).

use std::sync::Arc;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;
use percent_encoding::percent_decode_str;
use reqwest::{Client, Url};
use serde_json::Value;

use crate::client::azure::{self, AzureLogin, AzureTokens, Cloud};
use crate::client::request_uri::check_escapes;
use crate::client::tls::TlsOptions;
use crate::client::{Sources, http};
use crate::trigger::{Memory, Scaler, Specs, Trigger};

/// Scale on a metric of Azure's Application Insights.
///
/// What counts is one number: the metric `metricId` over the last `metricAggregationTimespan`, made by
/// `metricAggregationType`. The replicas are that number divided by `targetValue`. The target leaves zero when it is
/// above `activationTargetValue`.
///
/// A metric that has no value in that time is an error; with `ignoreNullValues: "true"` it counts as 0. The time is
/// written as `hours:minutes`, without seconds.
///
/// Log in with a TriggerAuthentication: either `podIdentity` with the provider `azure-workload`, or the parameters
/// `activeDirectoryClientId` and `activeDirectoryClientPassword` of an app registration. `tenantId` and
/// `applicationInsightsId` are needed with both; they may stand in the metadata too. The identity needs the role
/// `Monitoring Reader` on the Application Insights resource.
///
/// ```yaml
/// type: azure-app-insights
/// metadata:
///   applicationInsightsId: 3f0b6c7e-52a1-4d0f-9a57-0c1de1b7a901
///   tenantId: 7c9e6679-7425-40de-944b-e07fc1f90ae7
///   metricId: requests/count
///   metricAggregationTimespan: "00:05"
///   metricAggregationType: sum
///   metricFilter: cloud/roleName eq 'checkout'
///   ignoreNullValues: "true"
///   targetValue: "1500"
///   activationTargetValue: "20"
/// authenticationRef:
///   name: checkout-insights
/// ---
/// secretTargetRef:
///   - parameter: activeDirectoryClientId
///     name: checkout-insights
///     key: client-id
///   - parameter: activeDirectoryClientPassword
///     name: checkout-insights
///     key: client-password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct AzureAppInsights {
    /// The part of the number that one replica is expected to handle. It may be left out only where a formula
    /// (`scalingModifiers`) uses the trigger.
    #[meta(trigger, optional)]
    target_value: f64,
    /// Value above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_target_value: f64,
    /// Id of the metric, such as `requests/rate` or `customMetrics/open-carts`.
    #[meta(trigger)]
    metric_id: String,
    /// How far back the metric is read, as `hours:minutes`, such as `00:05`.
    #[meta(trigger)]
    metric_aggregation_timespan: String,
    /// How one number is made of the metric: `avg`, `count`, `max`, `min`, `sum` or `unique`; not each metric has all
    /// of them.
    #[meta(trigger)]
    metric_aggregation_type: String,
    /// OData filter that chooses what counts, such as `cloud/roleName eq 'checkout'`; it may be escaped as in a URL.
    #[meta(trigger, optional)]
    metric_filter: String,
    /// Whether a metric without a value counts as 0; otherwise that is an error.
    #[meta(trigger, default = "false")]
    ignore_null_values: bool,
    /// The Azure cloud: `AzurePublicCloud`, which is also meant where it is not given, `AzureUSGovernmentCloud`,
    /// `AzureChinaCloud`, or `Private` for one whose addresses are given in `appInsightsResourceURL` and
    /// `activeDirectoryEndpoint`.
    #[meta(trigger, optional)]
    cloud: String,
    /// Address of Application Insights, such as `https://insights.cloud.example`; needed in the cloud `Private`, not
    /// looked at in another.
    #[meta(name = "appInsightsResourceURL", trigger, optional)]
    resource_url: String,
    /// Address that gives tokens, such as `https://login.cloud.example/`; needed in the cloud `Private`, not looked at
    /// in another.
    #[meta(trigger, optional)]
    active_directory_endpoint: String,
    /// Application id of the Application Insights resource, as its page for API access shows it.
    #[meta(trigger, auth, env)]
    application_insights_id: String,
    /// Id of the tenant that the resource belongs to.
    #[meta(trigger, auth, env)]
    tenant_id: String,
    /// Client id of the app registration that logs in; needed without a workload identity.
    #[meta(trigger, auth, env, optional)]
    active_directory_client_id: String,
    /// Secret of that client.
    #[meta(auth, env, optional)]
    active_directory_client_password: Secret,
}

impl AzureAppInsights {
    fn check(&mut self, reader: &mut Reader<'_>) {
        let timespan = &self.metric_aggregation_timespan;
        if !timespan.is_empty() && timespan.split(':').count() != 2 {
            let message = "metricAggregationTimespan not in the correct format. Should be hh:mm";
            reader.error_at("metricAggregationTimespan", message);
        }
        if reader.has_errors() {
            return;
        }
        if self.target_value == 0.0 && !reader.context().as_metric_source {
            reader.error("no targetValue given");
        }
        if let Err(message) = self.find_endpoints(reader) {
            reader.error_at("cloud", message);
        }
        azure::check_monitor_login(reader, &self.active_directory_client_id, &self.active_directory_client_password);
    }

    fn find_endpoints(&mut self, reader: &Reader<'_>) -> Result<(), String> {
        let endpoints = [
            "https://api.applicationinsights.io",
            "https://api.applicationinsights.us",
            "https://api.applicationinsights.azure.cn",
        ];
        let own = ("appInsightsResourceURL", self.resource_url.as_str());
        self.resource_url = azure::monitor_endpoint(&self.cloud, own, endpoints)?;
        self.active_directory_endpoint =
            azure::endpoint(reader, "activeDirectoryEndpoint", Cloud::active_directory_endpoint)?;
        Ok(())
    }
}

impl Trigger for AzureAppInsights {
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
        let tokens = AzureTokens::new(login, None, self.resource(), sources)?;
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        Ok(Box::new(Aggregate { client, tokens, trigger: self }))
    }
}

struct Aggregate {
    client: Arc<Client>,
    tokens: AzureTokens,
    trigger: AzureAppInsights,
}

#[async_trait]
impl Scaler for Aggregate {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let answer = self.tokens.send(self.client.get(self.trigger.url()?)).await?;
        if answer.status.as_u16() != 200 {
            let message = format!("app insights request failed with status code {}", answer.status.as_u16());
            return Err(SourceError::new(http::status_kind(answer.status), message));
        }
        let value = self.trigger.value(&answer.json("Application Insights")?)?;
        Ok(vec![(self.trigger.name(), Sample::above(value, self.trigger.activation_target_value))])
    }
}

impl AzureAppInsights {
    fn name(&self) -> String {
        normalize(&format!("azure-app-insights-{}", self.metric_id))
    }

    /// Whose tokens Application Insights takes: its address, without a slash at the end.
    fn resource(&self) -> &str {
        self.resource_url.strip_suffix('/').unwrap_or(&self.resource_url)
    }

    /// The time that is looked at, as a duration of ISO 8601.
    fn timespan(&self) -> Result<String, SourceError> {
        let parts = self.metric_aggregation_timespan.split_once(':');
        let number = |text: &str| text.parse::<u32>().ok();
        let parts = parts.and_then(|(hours, minutes)| Some((number(hours)?, number(minutes)?)));
        let wrong = || SourceError::configuration("metricAggregationTimespan is not made of numbers: expected hh:mm");
        parts.map(|(hours, minutes)| format!("PT{hours:02}H{minutes:02}M")).ok_or_else(wrong)
    }

    fn url(&self) -> Result<Url, SourceError> {
        let url = format!("{}/v1/apps/{}/metrics/{}", self.resource_url, self.application_insights_id, self.metric_id);
        let mut url = http::address(&url, &url)?;
        let mut query = vec![("aggregation", self.metric_aggregation_type.clone())];
        if !self.metric_filter.is_empty() {
            let wrong =
                |message: &str| SourceError::configuration(format!("metricFilter cannot be unescaped: {message}"));
            check_escapes(&self.metric_filter).map_err(wrong)?;
            let filter = self.metric_filter.replace('+', " ");
            query.push(("filter", percent_decode_str(&filter).decode_utf8_lossy().into_owned()));
        }
        query.push(("timespan", self.timespan()?));
        url.query_pairs_mut().extend_pairs(query);
        Ok(url)
    }

    fn value(&self, answer: &Value) -> Result<f64, SourceError> {
        let (metric, aggregation) = (&self.metric_id, &self.metric_aggregation_type);
        let values = answer.get("value").and_then(Value::as_object);
        let values = values.ok_or_else(|| SourceError::malformed("the answer of Application Insights has no value"))?;
        let missing = match values.get(metric).map(|metric| metric.get(aggregation)) {
            None => format!("metric named {metric} not found in app insights response"),
            Some(None) => format!("metric {metric} did not contain aggregation type {aggregation}"),
            Some(Some(Value::Null)) => format!("metric {metric} was nil for aggregation type {aggregation}"),
            Some(Some(value)) => {
                return value
                    .as_f64()
                    .ok_or_else(|| SourceError::malformed(format!("metric {metric} is not a number")));
            }
        };
        if self.ignore_null_values { Ok(0.0) } else { Err(SourceError::malformed(missing)) }
    }
}

#[cfg(test)]
mod tests {
    use keda_core::api::PodIdentity;
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(more: &[(&str, &str)], password: &str, provider: &str) -> (AzureAppInsights, Vec<String>) {
        let required = [
            ("metricId", "requests/rate"),
            ("metricAggregationTimespan", "00:05"),
            ("metricAggregationType", "avg"),
            ("targetValue", "11.5"),
            ("applicationInsightsId", "app1"),
            ("tenantId", "t"),
            ("activeDirectoryClientId", "c"),
        ];
        let inputs = Inputs::from_metadata(required.iter().chain(more).copied())
            .with_authentication([("activeDirectoryClientPassword", password)]);
        let pod_identity = Some(PodIdentity { provider: provider.into(), ..PodIdentity::default() });
        let (trigger, problems) = parse::<AzureAppInsights>(&inputs, &Context { pod_identity, ..Context::default() });
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_metrics() {
        let (trigger, problems) = parsed(&[], "p", "none");
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("azure-app-insights-requests-rate", Target::Float(11.5));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
        assert_eq!(trigger.resource_url, "https://api.applicationinsights.io");
    }

    #[test]
    fn a_private_cloud_has_both_endpoints() {
        let private = [("cloud", "private"), ("appInsightsResourceURL", "https://r/")];
        assert_eq!(
            parsed(&private, "p", "none").1,
            ["activeDirectoryEndpoint must be provided for Private cloud type"]
        );
        let whole = [private[0], private[1], ("activeDirectoryEndpoint", "https://a")];
        let (trigger, problems) = parsed(&whole, "p", "none");
        assert_eq!((trigger.resource(), problems), ("https://r", vec![]));
        assert!(parsed(&[("cloud", "Moon")], "p", "none").1[0].contains("matching the name Moon"));
    }

    #[test]
    fn a_client_has_a_secret_or_there_is_a_workload_identity() {
        assert_eq!(parsed(&[], "", "none").1, ["no activeDirectoryClientPassword given"]);
        assert!(parsed(&[], "", "azure-workload").1.is_empty());
        assert_eq!(parsed(&[], "p", "gcp").1, ["azure Monitor doesn't support pod identity gcp"]);
        let seconds = parsed(&[("metricAggregationTimespan", "00:05:00")], "p", "none").1;
        assert_eq!(seconds, ["metricAggregationTimespan not in the correct format. Should be hh:mm"]);
    }
}
