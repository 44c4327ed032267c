//! `huawei-cloudeye`: a metric of Huawei's Cloud Eye (`scalers/huawei-cloudeye.md`).

mod signature;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use keda_core::metadata::{Context, Metadata};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;
use reqwest::{Client, RequestBuilder, Url};
use serde_json::{Value, json};

use crate::client::Sources;
use crate::client::authentication::with_header;
use crate::client::http;
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger};
use signature::Signed;

/// Scale on a metric of Huawei's Cloud Eye.
///
/// What counts is the figure `metricFilter` of the first period in the last `metricCollectionTime` seconds, which is
/// the oldest one there; a window without any point is an error. Keep `metricCollectionTime` as short as
/// `metricPeriod`, as it is by default, where the present matters. One replica is wanted per `targetMetricValue` of the
/// number. The target leaves zero when it is above `activationTargetMetricValue`.
///
/// The metric is found by `namespace`, `metricName` and exactly one dimension, `dimensionName` with `dimensionValue`,
/// such as `lbaas_instance_id` and the id of a load balancer.
///
/// Log in with a TriggerAuthentication that has `ProjectID`, `Region`, `AccessKey` and `SecretKey`, spelt exactly like
/// this, and `Cloud` where the hosts are not those of `myhuaweicloud.com`. That one is missing only shows when the
/// service is asked. The user of the keys must be allowed to read Cloud Eye in the project. `IdentityEndpoint`,
/// `DomainID` and `Domain`, which KEDA asks for, are accepted and not needed.
///
/// ```yaml
/// type: huawei-cloudeye
/// metadata:
///   namespace: SYS.ELB
///   metricName: m1_cps
///   dimensionName: lbaas_instance_id
///   dimensionValue: 3b1f8c52-7d04-4e6a-9a51-0c2d7e94b6f8
///   targetMetricValue: "200"
///   activationTargetMetricValue: "5"
/// authenticationRef:
///   name: cloudeye-login
/// ---
/// secretTargetRef:
///   - parameter: ProjectID
///     name: cloudeye-login
///     key: project-id
///   - parameter: Region
///     name: cloudeye-login
///     key: region
///   - parameter: AccessKey
///     name: cloudeye-login
///     key: access-key
///   - parameter: SecretKey
///     name: cloudeye-login
///     key: secret-key
/// ```
#[derive(Debug, Metadata)]
pub struct HuaweiCloudEye {
    /// Namespace of the metric: the service and its kind, such as `SYS.ELB`.
    #[meta(trigger)]
    namespace: String,
    /// Name of the metric, such as `m1_cps`.
    #[meta(trigger)]
    metric_name: String,
    /// Name of the dimension that the metric is looked up by, such as `lbaas_instance_id`.
    #[meta(trigger)]
    dimension_name: String,
    /// Value of the dimension, such as the id of a load balancer.
    #[meta(trigger)]
    dimension_value: String,
    /// What one replica is expected to handle, in the unit of the metric.
    #[meta(trigger)]
    target_metric_value: f64,
    /// Value of the metric above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_target_metric_value: f64,
    /// Removed: `activationTargetMetricValue` took its place.
    #[meta(
        trigger,
        optional,
        deprecated = "The 'minMetricValue' setting is DEPRECATED and is removed in v2.20 - Use 'activationTargetMetricValue' instead"
    )]
    #[expect(dead_code, reason = "nobody can give it")]
    min_metric_value: f64,
    /// How far back the metric is read, in seconds; of several periods in it the oldest counts.
    #[meta(trigger, default = "300")]
    metric_collection_time: i64,
    /// Which figure of a period counts.
    #[meta(trigger, default = "average", one_of("average", "max", "min", "sum"))]
    metric_filter: String,
    /// Length of a period, in seconds, as Cloud Eye offers it for the metric: `1`, `300`, `1200`, `3600`, `14400` or
    /// `86400`.
    #[meta(trigger, default = "300")]
    metric_period: String,
    #[meta(group)]
    login: Login,
}

/// Keys of an account. Nothing is demanded: KEDA accepts an object without them too.
#[derive(Debug, Metadata)]
struct Login {
    /// Of no effect: requests are signed, and nobody is asked for a token.
    #[meta(name = "IdentityEndpoint", auth, optional)]
    #[expect(dead_code, reason = "of no effect")]
    identity_endpoint: String,
    /// Id of the project that has the metric; always needed.
    #[meta(name = "ProjectID", auth, optional)]
    project_id: String,
    /// Of no effect.
    #[meta(name = "DomainID", auth, optional)]
    #[expect(dead_code, reason = "of no effect")]
    domain_id: String,
    /// Region of the service, such as `eu-west-101`; always needed.
    #[meta(name = "Region", auth, optional)]
    region: String,
    /// Of no effect.
    #[meta(name = "Domain", auth, optional)]
    #[expect(dead_code, reason = "of no effect")]
    domain: String,
    /// End of the name of the service's host, which is `ces.REGION.CLOUD`, such as `myhuaweicloud.eu`.
    #[meta(name = "Cloud", auth, default = "myhuaweicloud.com")]
    cloud: String,
    /// The access key; always needed.
    #[meta(name = "AccessKey", auth, optional)]
    access_key: Secret,
    /// The secret key that belongs to `AccessKey`.
    #[meta(name = "SecretKey", auth, optional)]
    secret_key: Secret,
}

impl Trigger for HuaweiCloudEye {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.name(), Target::Float(self.target_metric_value)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        Ok(Box::new(Project { client, timeout: sources.settings.long_timeout(), trigger: self }))
    }
}

struct Project {
    client: Arc<Client>,
    timeout: Duration,
    trigger: HuaweiCloudEye,
}

#[async_trait]
impl Scaler for Project {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let trigger = &self.trigger;
        let now = crate::sampler::wall_clock();
        let body = trigger.question(now).to_string();
        let request = self.client.post(trigger.login.url()?).timeout(self.timeout);
        let request = trigger.login.sign(request, body, now)?;
        let answer = http::send(request).await?.json("Cloud Eye answered")?;
        let value = trigger.first_point(&answer)?;
        Ok(vec![(trigger.name(), Sample::above(value, trigger.activation_target_metric_value))])
    }
}

impl HuaweiCloudEye {
    fn name(&self) -> String {
        normalize(&format!("huawei-cloudeye-{}", self.metric_name))
    }

    /// What is asked: the window that ends with the last full minute.
    fn question(&self, now: Timestamp) -> Value {
        let to = now.as_second() / 60 * 60 * 1000;
        let from = to.saturating_sub(self.metric_collection_time.saturating_mul(1000));
        json!({
            "metrics": [{
                "namespace": self.namespace,
                "metric_name": self.metric_name,
                "dimensions": [{ "name": self.dimension_name, "value": self.dimension_value }],
            }],
            "from": from,
            "to": to,
            "period": self.metric_period,
            "filter": self.metric_filter,
        })
    }

    /// The figure of the first period.
    fn first_point(&self, answer: &Value) -> Result<f64, SourceError> {
        let metrics = answer.get("metrics").and_then(Value::as_array);
        let metrics = metrics.ok_or_else(|| SourceError::malformed("the answer of Cloud Eye has no metrics"))?;
        let point = metrics.first().and_then(|metric| metric.pointer("/datapoints/0"));
        let point = point.ok_or_else(|| SourceError::malformed("metric Data not received"))?;
        let figure = point.get(&self.metric_filter).and_then(Value::as_f64);
        figure.ok_or_else(|| SourceError::malformed("metric Data not float64"))
    }
}

impl Login {
    /// Where metrics are read.
    fn url(&self) -> Result<Url, SourceError> {
        let needed = [
            (self.project_id.is_empty(), "ProjectID"),
            (self.region.is_empty(), "Region"),
            (self.access_key.is_empty(), "AccessKey"),
            (self.secret_key.is_empty(), "SecretKey"),
        ];
        if let Some((_, missing)) = needed.iter().find(|(is_missing, _)| *is_missing) {
            return Err(SourceError::configuration(format!("{missing} is missing in the TriggerAuthentication")));
        }
        let host = format!("https://ces.{}.{}", self.region, self.cloud);
        let path = ["V1.0", &self.project_id, "batch-query-metric-data"];
        http::under(http::address(&host, "Region or Cloud")?, "Region or Cloud", &path)
    }

    /// The request with its body and a signature of both.
    fn sign(&self, request: RequestBuilder, body: String, now: Timestamp) -> Result<RequestBuilder, SourceError> {
        let url = self.url()?;
        let host = match (url.host_str().unwrap_or_default(), url.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_string(),
        };
        let date = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let headers = [
            ("content-type", "application/json"),
            ("host", &host),
            ("x-project-id", &self.project_id),
            ("x-sdk-date", &date),
        ];
        let signed = Signed { method: "POST", path: url.path(), query: "", headers: &headers, body: body.as_bytes() };
        let authorization = signed.authorization(&date, self.access_key.expose(), self.secret_key.expose());
        let request = request
            .header("Content-Type", "application/json")
            .header("X-Project-Id", &self.project_id)
            .header("X-Sdk-Date", &date)
            .body(body);
        with_header(request, ("", "Authorization"), ("AccessKey", &Secret::new(authorization)))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(more: &[(&str, &str)]) -> (HuaweiCloudEye, Vec<String>) {
        let required = [
            ("namespace", "SYS.ELB"),
            ("metricName", "mb.l7_qps"),
            ("dimensionName", "lbaas_instance_id"),
            ("dimensionValue", "5e052238"),
            ("targetMetricValue", "100"),
        ];
        let inputs = Inputs::from_metadata(required.iter().chain(more).copied());
        let (trigger, problems) = parse::<HuaweiCloudEye>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_metrics_and_no_key_is_demanded() {
        let (trigger, problems) = parsed(&[]);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("huawei-cloudeye-mb-l7_qps", Target::Float(100.0));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn what_was_removed_is_refused() {
        assert!(parsed(&[("minMetricValue", "1")]).1[0].contains("Use 'activationTargetMetricValue' instead"));
        assert!(parsed(&[("metricFilter", "median")]).1[0].contains("must be one of [average max min sum]"));
    }
}
