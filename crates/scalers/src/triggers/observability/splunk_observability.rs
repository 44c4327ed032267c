//! `splunk-observability`: the data points of a SignalFlow program over a time (`scalers/splunk-observability.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{ExternalMetric, MetricSpec, Target, TargetType};
use keda_core::secret::Secret;

use crate::client::request_uri::RequestUri;
use crate::trigger::{Specs, Trigger};

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
/// A reading takes as long as `duration`. Keep that shorter than `pollingInterval`, and set `useCachedMetrics`, so that
/// the HPA does not have to wait for it; it has to cover at least one resolution of the metric.
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
#[expect(dead_code, reason = "read once the source is written")]
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
    /// How long to collect data points at each reading, in seconds.
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
            name: "signalfx".to_string(),
            target: Target::Float(self.target_value),
            target_type: Some(TargetType::Value),
        }))
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
