//! `solarwinds`: the first measurement of a metric of SolarWinds Observability (`scalers/solarwinds.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::secret::Secret;

use crate::client::request_uri::RequestUri;
use crate::trigger::{Specs, Trigger};

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
#[expect(dead_code, reason = "read once the source is written")]
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
        Specs::one(MetricSpec::external("solarwinds", Target::Float(self.target_value)))
    }
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
