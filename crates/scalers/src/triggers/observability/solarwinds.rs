//! `solarwinds`: the first measurement of a metric of SolarWinds Observability (`scalers/solarwinds.md`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;
use reqwest::{Client, Url};
use serde_json::Value;

use crate::client::Sources;
use crate::client::authentication::with_bearer;
use crate::client::http;
use crate::client::request_uri::RequestUri;
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger};

const METRIC_NAME: &str = "solarwinds";

/// Scale on a metric of SolarWinds Observability.
///
/// What counts is the one number that `aggregation` makes of the measurements of `metricName` in the last `intervalS`
/// seconds, as far as `filter` takes them. One replica is wanted per `targetValue` of it. The target leaves zero when
/// it is above `activationValue`.
///
/// A time without measurements is an error and not 0, so choose `intervalS` longer than the metric's own interval.
/// Words for `aggregation` are in capitals, and `intervalS` is a bare number of seconds.
///
/// `host` is the address of the API in the data center that has the account, such as
/// `https://api.eu-01.cloud.solarwinds.com`. Log in with `apiToken`, a token for the full API, in a
/// TriggerAuthentication; without it the object is accepted, but every reading is refused.
///
/// ```yaml
/// type: solarwinds
/// metadata:
///   host: https://api.eu-01.cloud.solarwinds.com
///   metricName: shop.uploads.waiting
///   aggregation: MAX
///   intervalS: "120"
///   filter: "k8s.namespace.name:shop"
///   targetValue: "25"
///   activationValue: "2"
/// authenticationRef:
///   name: solarwinds-token
/// ---
/// secretTargetRef:
///   - parameter: apiToken
///     name: solarwinds-token
///     key: token
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct SolarWinds {
    /// Token of the API; without it every reading is refused.
    #[meta(auth, optional)]
    api_token: Secret,
    /// Address of the API as a URL, such as `https://api.eu-01.cloud.solarwinds.com`.
    #[meta(trigger)]
    host: String,
    /// What one replica is expected to handle, in the unit of the metric.
    #[meta(trigger)]
    target_value: f64,
    /// Result above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_value: f64,
    /// Name of the metric, such as `k8s.pod.cpu.usage.seconds.rate`.
    #[meta(trigger)]
    metric_name: String,
    /// How to make one number of the measurements in the time window.
    #[meta(trigger, one_of("COUNT", "MIN", "MAX", "AVG", "SUM", "LAST"))]
    aggregation: String,
    /// Length of the time window, in seconds.
    #[meta(trigger)]
    interval_s: i64,
    /// Which measurements count, as `key:value` with blanks between them, such as `k8s.namespace.name:shop`; all when
    /// not given.
    #[meta(trigger, optional)]
    filter: String,
}

impl SolarWinds {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if !self.host.is_empty() && RequestUri::parse(&self.host).is_err() {
            reader.error_at(
                "host",
                "invalid value for host. Must be a valid URL such as 'https://api.na-01.cloud.solarwinds.com'",
            );
        }
    }
}

impl Trigger for SolarWinds {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(METRIC_NAME, Target::Float(self.target_value)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        Ok(Box::new(Server { client, timeout: sources.settings.long_timeout(), trigger: self }))
    }
}

struct Server {
    client: Arc<Client>,
    timeout: Duration,
    trigger: SolarWinds,
}

#[async_trait]
impl Scaler for Server {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let value = self.read().await.map_err(|error| error.within("error getting SolarWinds metric"))?;
        Ok(vec![(METRIC_NAME.to_string(), Sample::above(value, self.trigger.activation_value))])
    }
}

impl Server {
    async fn read(&self) -> Result<f64, SourceError> {
        let url = self.trigger.url(crate::sampler::wall_clock())?;
        let request = self.client.get(url).timeout(self.timeout).header("Accept", "application/json");
        let request = with_bearer(request, ("apiToken", &self.trigger.api_token))?;
        first_measurement(&http::send(request).await?.json("unexpected answer")?)
    }
}

impl SolarWinds {
    /// The request for the time window that ends at `now`.
    fn url(&self, now: Timestamp) -> Result<Url, SourceError> {
        let start = now
            .checked_sub(SignedDuration::from_secs(self.interval_s))
            .map_err(|_| SourceError::configuration("intervalS reaches too far back"))?;
        let url = http::address(&self.host, "host")?;
        let mut url = http::under(url, "host", &["v1", "metrics", &self.metric_name, "measurements"])?;
        let mut query = url.query_pairs_mut();
        query.append_pair("aggregateBy", &self.aggregation).append_pair("endTime", &now.to_string());
        if !self.filter.is_empty() {
            query.append_pair("filter", &self.filter);
        }
        query.append_pair("seriesType", "SCALAR").append_pair("startTime", &start.to_string());
        drop(query);
        Ok(url)
    }
}

/// The first measurement that has a value.
fn first_measurement(answer: &Value) -> Result<f64, SourceError> {
    let groupings = answer.get("groupings").and_then(Value::as_array);
    let groupings = groupings.ok_or_else(|| SourceError::malformed("no groupings found in response"))?;
    for grouping in groupings {
        let measurements = grouping.get("measurements").and_then(Value::as_array);
        let measurements = measurements.ok_or_else(|| SourceError::malformed("no measurements found in response"))?;
        let values = measurements.iter().filter_map(|measurement| measurement.get("value"));
        if let Some(value) = values.into_iter().find(|value| !value.is_null()) {
            return value.as_f64().ok_or_else(|| SourceError::malformed("a measurement is not a number"));
        }
    }
    Err(SourceError::malformed("no measurements found in response"))
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(host: &str, aggregation: &str, interval: &str) -> (SolarWinds, Vec<String>) {
        let metadata = [
            ("host", host),
            ("metricName", "m"),
            ("aggregation", aggregation),
            ("intervalS", interval),
            ("targetValue", "10"),
        ];
        let (trigger, problems) = parse::<SolarWinds>(&Inputs::from_metadata(metadata), &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    const HOST: &str = "https://api.na-01.cloud.solarwinds.com";

    #[test]
    fn a_token_may_be_missing() {
        let (trigger, problems) = parsed(HOST, "AVG", "60");
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("solarwinds", Target::Float(10.0));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn words_are_in_capitals_and_hosts_addresses() {
        assert!(parsed(HOST, "avg", "60").1[0].contains("must be one of"));
        assert!(parsed("localhost", "AVG", "60").1[0].starts_with("invalid value for host"));
        assert!(parsed(HOST, "AVG", "1m").1[0].contains("unable to set param \"intervalS\""));
    }
}
