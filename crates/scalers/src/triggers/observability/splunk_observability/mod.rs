//! `splunk-observability`: the data points of a SignalFlow program over a time (`scalers/splunk-observability.md`).

mod computation;
mod points;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{ExternalMetric, MetricSpec, Target, TargetType};
use keda_core::sample::{ErrorKind, Reading, Sample, SourceError};
use keda_core::secret::Secret;
use reqwest::Client;

use crate::client::Sources;
use crate::client::http;
use crate::client::request_uri::RequestUri;
use crate::client::tls::TlsOptions;
use crate::client::websocket::WebSocket;
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};
use computation::Computation;

const METRIC_NAME: &str = "signalfx";

/// The longest time that leaves enough of a reading's own.
const LONGEST: u64 = 25;

/// Scale on the data points of a SignalFlow program in Splunk Observability Cloud.
///
/// Every reading runs the program `query` for `duration` seconds. What counts is what `queryAggregator` makes of all
/// data points that it publishes in that time, of all its series together; no data point is an error. The target leaves
/// zero when the number is above `activationTargetValue`.
///
/// The number is compared with `targetValue` as it is, and not divided by the replicas, whatever `metricType` says:
/// where it is twice the target, the replicas are doubled. So it should be a figure that falls with more replicas, such
/// as a latency or a load per replica.
///
/// A reading takes as long as `duration`, which may be 25 at the most. Keep that shorter than `pollingInterval`, and set
/// `useCachedMetrics`, so that the HPA does not have to wait for it; it has to cover at least one resolution of the
/// metric.
///
/// Log in with a TriggerAuthentication that has `accessToken`, a token that may use the API, and `realm`, which the
/// profile in the web interface shows. All parameters must be given, activation and aggregator as well; a wrong word
/// for the latter only shows at a reading.
///
/// ```yaml
/// type: splunk-observability
/// useCachedMetrics: true
/// metadata:
///   query: data('shop.checkout.latency', filter('env', 'production')).mean().publish()
///   duration: "15"
///   queryAggregator: avg
///   targetValue: "350.5"
///   activationTargetValue: "10"
/// authenticationRef:
///   name: splunk-observability
/// ---
/// secretTargetRef:
///   - parameter: accessToken
///     name: splunk-observability
///     key: token
///   - parameter: realm
///     name: splunk-observability
///     key: realm
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct SplunkObservability {
    /// Access token of the organisation or of a user, which may use the API.
    #[meta(auth)]
    access_token: Secret,
    /// Realm of the organisation, such as `us1`.
    #[meta(auth)]
    realm: String,
    /// The SignalFlow program; it must publish what counts.
    #[meta(trigger)]
    query: String,
    /// How long to collect data points at each reading, in seconds; 25 at the most.
    #[meta(trigger)]
    duration: i64,
    /// The target of the value as it is, whatever the number of replicas.
    #[meta(trigger)]
    target_value: f64,
    /// How to make one number of the data points: `min`, `max` or `avg`.
    #[meta(trigger)]
    query_aggregator: String,
    /// Value above which the target leaves zero.
    #[meta(trigger)]
    activation_target_value: f64,
}

impl SplunkObservability {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if !self.realm.is_empty() && RequestUri::parse(&self.stream()).is_err() {
            reader
                .error("error establishing Splunk Observability Cloud connection: the realm cannot be part of a host");
        }
    }

    /// Where programs run.
    fn stream(&self) -> String {
        format!("wss://stream.{}.signalfx.com/v2/signalflow", self.realm)
    }
}

impl Trigger for SplunkObservability {
    /// Whatever `metricType` says, the value is never divided by the number of replicas.
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::External(ExternalMetric {
            name: METRIC_NAME.to_string(),
            target: Target::Float(self.target_value),
            target_type: Some(TargetType::Value),
        }))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        Ok(Box::new(Cloud { client, timeout: sources.settings.timeout, trigger: self }))
    }
}

struct Cloud {
    client: Arc<Client>,
    /// For the connection.
    timeout: Duration,
    trigger: SplunkObservability,
}

#[async_trait]
impl Scaler for Cloud {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let value = self.read().await;
        let value = value.map_err(|error| error.within("error getting metrics from Splunk Observability Cloud"))?;
        Ok(vec![(METRIC_NAME.to_string(), Sample::above(value, self.trigger.activation_target_value))])
    }
}

impl Cloud {
    async fn read(&self) -> Result<f64, SourceError> {
        let duration = u64::try_from(self.trigger.duration).unwrap_or_default();
        if duration > LONGEST {
            return Err(SourceError::configuration(format!("duration must not be more than {LONGEST} seconds")));
        }
        let address = format!("{}/connect", self.trigger.stream().replacen("wss:", "https:", 1));
        let socket = WebSocket::connect(&self.client, http::address(&address, "realm")?, self.timeout).await?;
        let computation = tokio::time::timeout(self.timeout, Computation::start(socket, &self.trigger)).await;
        let late = |_| SourceError::new(ErrorKind::Unreachable, "no answer to the login in time");
        self.trigger.aggregate(&computation.map_err(late)??.values(Duration::from_secs(duration)).await?)
    }
}

impl SplunkObservability {
    /// One number of all values.
    fn aggregate(&self, values: &[f64]) -> Result<f64, SourceError> {
        if values.is_empty() {
            return Err(SourceError::malformed("query returned no data points"));
        }
        let values = values.iter().copied();
        let value = match self.query_aggregator.as_str() {
            "max" => values.fold(f64::NEG_INFINITY, f64::max),
            "min" => values.fold(f64::INFINITY, f64::min),
            "avg" => {
                let count = i64::try_from(values.len()).map_or(f64::INFINITY, float);
                values.sum::<f64>() / count
            }
            other => return Err(SourceError::configuration(format!("invalid queryAggregator: {other:?}"))),
        };
        if value.is_finite() { Ok(value) } else { Err(SourceError::malformed("the data points give no finite number")) }
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(realm: &str, aggregator: &str) -> (SplunkObservability, Vec<String>) {
        let metadata = [
            ("query", "data('demo.trans.latency').max().publish()"),
            ("duration", "10"),
            ("targetValue", "200.5"),
            ("activationTargetValue", "1.1"),
            ("queryAggregator", aggregator),
        ];
        let inputs =
            Inputs::from_metadata(metadata).with_authentication([("accessToken", "hunter2"), ("realm", realm)]);
        let (trigger, problems) = parse::<SplunkObservability>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_value_is_never_an_average() {
        let (trigger, problems) = parsed("us1", "avg");
        assert!(problems.is_empty(), "{problems:?}");
        let Specs::Known(specs) = trigger.specs(&Context::default()) else { panic!("known offline") };
        let [MetricSpec::External(metric)] = specs.as_slice() else { panic!("one metric") };
        assert_eq!((metric.name.as_str(), &metric.target_type), ("signalfx", &Some(TargetType::Value)));
    }

    #[test]
    fn an_aggregator_is_wanted_and_any_will_do_at_first() {
        assert!(parsed("us1", "sum").1.is_empty());
        assert!(parsed("us1", "").1[0].contains("missing required parameter \"queryAggregator\""));
        let problems = parsed("hunter3 x", "avg").1;
        assert!(problems[0].contains("the realm cannot be") && !problems[0].contains("hunter3"));
    }
}
