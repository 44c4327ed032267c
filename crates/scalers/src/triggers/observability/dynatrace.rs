//! `dynatrace`: a metric of Dynatrace, or a query in its query language (`scalers/dynatrace.md`).

use std::time::Duration;

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::secret::Secret;

use crate::trigger::{Specs, Trigger};

/// The time window of a metric selector that gives none.
const DEFAULT_FROM: &str = "now-2h";

/// Scale on a metric of Dynatrace, or on a query in its query language.
///
/// Give either `metricSelector` or `query`. One replica is wanted per `threshold` of the number; the target leaves zero
/// when it is above `activationThreshold`.
///
/// - `metricSelector` asks for a metric in the time from `from` until now. What counts is the first point of the first
///   series, which is the oldest, so let the selector make one point of the window, as with `:fold(avg)`. No point is
///   an error.
/// - `query` is in DQL and has its own time window, so `from` is refused beside it. What counts is the field `r` of the
///   first record, so end with something like `| summarize r = count()`; a record without `r` counts as 0, no record is
///   an error. The result is asked for up to `queryPollingTries` times; slow queries need more of them or a longer
///   `queryPollingWait`.
///
/// `token` comes from a TriggerAuthentication: for a selector an access token with the scope `metrics.read`, for DQL a
/// platform token that may read what the query reads. `host` is the address of the environment, which for DQL is that
/// of its apps.
///
/// ```yaml
/// type: dynatrace
/// metadata:
///   host: https://dynatrace.shop.example
///   metricSelector: shop.checkout.waiting:splitBy():fold(max)
///   from: now-5m
///   threshold: "25"
///   activationThreshold: "2"
/// authenticationRef:
///   name: dynatrace-token
/// ---
/// secretTargetRef:
///   - parameter: token
///     name: dynatrace-token
///     key: token
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct Dynatrace {
    /// Address of the environment as a URL, such as `https://ENVIRONMENT.live.dynatrace.com`, or
    /// `https://ENVIRONMENT.apps.dynatrace.com` for `query`.
    #[meta(trigger, auth)]
    host: String,
    /// Token to log in with: one with the scope `metrics.read` for `metricSelector`, a platform token that may read
    /// what is asked for with `query`.
    #[meta(auth)]
    token: Secret,
    /// Selector of the metric, whose first point counts, such as `shop.checkout.waiting:fold(max)`. Excludes `query`.
    #[meta(trigger, optional)]
    metric_selector: String,
    /// Query in DQL, whose value is in the field `r` of the first record. Excludes `metricSelector` and `from`.
    #[meta(trigger, optional)]
    query: String,
    /// Time that the server may take for a query, in seconds. Only counts with `query`.
    #[meta(trigger, default = "10")]
    query_timeout_seconds: i64,
    /// Time between two questions for the result of a query, such as `2s`; a bare number is in milliseconds.
    #[meta(trigger, default = "1s")]
    query_polling_wait: Duration,
    /// How often to ask for the result of a query before the reading fails; more than 0.
    #[meta(trigger, default = "5")]
    query_polling_tries: i64,
    /// Start of the time window of `metricSelector`, such as `now-5m`; two hours ago when not given. Excludes `query`.
    #[meta(trigger, optional)]
    from: String,
    /// What one replica is expected to handle, in the unit of the number.
    #[meta(trigger)]
    threshold: f64,
    /// Number above which the target leaves zero; 0 when not given.
    #[meta(trigger, optional)]
    activation_threshold: f64,
}

impl Dynatrace {
    fn check(&mut self, reader: &mut Reader<'_>) {
        match (self.metric_selector.is_empty(), self.query.is_empty()) {
            (true, true) => reader.error("either 'metricSelector' or 'query' must be provided"),
            (false, false) => {
                reader.error("'metricSelector' and 'query' are mutually exclusive; only one can be provided");
            }
            (true, false) if !self.from.is_empty() => {
                reader.error_at("from", "'from' can't be used with query, set time range in the DQL query itself");
            }
            (false, true) if self.from.is_empty() => self.from = DEFAULT_FROM.to_string(),
            _ => {}
        }
    }
}

impl Trigger for Dynatrace {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external("dynatrace", Target::Float(self.threshold)))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(more: &[(&str, &str)]) -> (Dynatrace, Vec<String>) {
        let required = [("host", "https://d/"), ("threshold", "0.5")];
        let inputs =
            Inputs::from_metadata(required.iter().chain(more).copied()).with_authentication([("token", "hunter2")]);
        let (trigger, problems) = parse::<Dynatrace>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn a_metric_has_a_window_of_two_hours() {
        let (trigger, problems) = parsed(&[("metricSelector", "m")]);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(trigger.from, "now-2h");
        let spec = MetricSpec::external("dynatrace", Target::Float(0.5));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn it_is_a_metric_or_a_query_and_a_query_has_its_own_window() {
        assert!(parsed(&[("query", "fetch logs")]).1.is_empty());
        assert!(parsed(&[]).1[0].starts_with("either 'metricSelector' or 'query'"));
        assert!(parsed(&[("query", "q"), ("metricSelector", "m")]).1[0].contains("mutually exclusive"));
        assert!(parsed(&[("query", "q"), ("from", "now-1h")]).1[0].starts_with("'from' can't be used"));
    }
}
