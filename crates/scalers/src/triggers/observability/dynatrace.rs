//! `dynatrace`: a metric of Dynatrace, or a query in its query language (`scalers/dynatrace.md`).

use std::time::Duration;

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::secret::Secret;

use crate::trigger::{Specs, Trigger};

/// The time window of a metric selector that gives none.
const DEFAULT_FROM: &str = "now-2h";

/// Scale on a metric of Dynatrace, or on a query in its query language.
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct Dynatrace {
    /// Address of the server.
    #[meta(trigger, auth)]
    host: String,
    /// Token that may read metrics, or run queries.
    #[meta(auth)]
    token: Secret,
    /// Selector of the metric.
    #[meta(trigger, optional)]
    metric_selector: String,
    /// Query in the query language, whose value is in the column `r`.
    #[meta(trigger, optional)]
    query: String,
    /// Time that the server may take for a query, in seconds.
    #[meta(trigger, default = "10")]
    query_timeout_seconds: i64,
    /// Time between two questions for the result of a query.
    #[meta(trigger, default = "1s")]
    query_polling_wait: Duration,
    /// How often to ask for the result of a query.
    #[meta(trigger, default = "5")]
    query_polling_tries: i64,
    /// Start of the time window of a metric selector; two hours ago by default.
    #[meta(trigger, optional)]
    from: String,
    /// What one replica is expected to handle.
    #[meta(trigger)]
    threshold: f64,
    /// Value above which the target leaves zero.
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
