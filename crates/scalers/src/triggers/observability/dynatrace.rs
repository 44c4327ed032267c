//! `dynatrace`: a metric of Dynatrace, or a query in its query language (`scalers/dynatrace.md`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::query_escape;
use keda_core::sample::{ErrorKind, Reading, Sample, SourceError};
use keda_core::secret::Secret;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::client::Sources;
use crate::client::authentication::with_header;
use crate::client::http;
use crate::client::tls::TlsOptions;
use crate::format::field::field;
use crate::trigger::{Memory, Scaler, Specs, Trigger};

const METRIC_NAME: &str = "dynatrace";

/// The time window of a metric selector that gives none.
const DEFAULT_FROM: &str = "now-2h";

/// Scale on a metric of Dynatrace, or on a query in its query language.
///
/// Give either `metricSelector` or `query`. One replica is wanted per `threshold` of the number; the target leaves zero
/// when it is above `activationThreshold`.
///
/// - `metricSelector` asks for a metric in the time from `from` until now. What counts is the first point of the first
///   series, which is the oldest, so let the selector make one point of the window, as with `:fold(avg)`. No point is
///   an error, but a point without a value counts as 0.
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
        Specs::one(MetricSpec::external(METRIC_NAME, Target::Float(self.threshold)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        Ok(Box::new(Environment { client, trigger: self }))
    }
}

struct Environment {
    client: Arc<Client>,
    trigger: Dynatrace,
}

#[async_trait]
impl Scaler for Environment {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let value = if self.trigger.query.is_empty() { self.metric().await } else { self.query().await }?;
        Ok(vec![(METRIC_NAME.to_string(), Sample::above(value, self.trigger.activation_threshold))])
    }
}

impl Environment {
    /// The first point of the metric.
    async fn metric(&self) -> Result<f64, SourceError> {
        let Dynatrace { from, metric_selector, .. } = &self.trigger;
        let (from, selector) = (query_escape(from), query_escape(metric_selector));
        let path = format!("/api/v2/metrics/query?from={from}&metricSelector={selector}");
        let request = self.client.get(http::address(&self.address(&path), "host")?);
        let answer = self.ask(request, "Api-Token", "/api/v2/metrics/query: api returned an error").await?;
        first_point(&answer)
    }

    /// The field `r` of the first record that the query gives. The query is started, and its result asked for.
    async fn query(&self) -> Result<f64, SourceError> {
        let start = http::address(&self.address("/platform/storage/query/v1/query:execute"), "host")?;
        let question =
            json!({ "query": self.trigger.query, "fetchTimeoutSeconds": self.trigger.query_timeout_seconds });
        let answer = self.ask(self.client.post(start).json(&question), "Bearer", "error starting DQL query").await?;
        if let Some(value) = result(&answer, "error starting DQL query")? {
            return Ok(value);
        }
        let token = answer.get("requestToken").and_then(Value::as_str).map(query_escape);
        let token =
            token.ok_or_else(|| SourceError::malformed("error starting DQL query: there is no requestToken"))?;
        let poll = self.address(&format!("/platform/storage/query/v1/query:poll?request-token={token}"));
        let poll = http::address(&poll, "host")?;
        for attempt in 0..self.trigger.query_polling_tries {
            if attempt > 0 {
                tokio::time::sleep(self.trigger.query_polling_wait).await;
            }
            let answer = self.ask(self.client.get(poll.clone()), "Bearer", "error executing DQL query").await?;
            if let Some(value) = result(&answer, "error executing DQL query")? {
                return Ok(value);
            }
        }
        let message = format!("DQL query did not complete within {} attempts", self.trigger.query_polling_tries);
        Err(SourceError::new(ErrorKind::Unreachable, message))
    }

    async fn ask(&self, request: RequestBuilder, scheme: &str, what: &str) -> Result<Value, SourceError> {
        let login = Secret::new(format!("{scheme} {}", self.trigger.token.expose()));
        http::send(with_header(request, ("", "Authorization"), ("token", &login))?).await?.json(what)
    }

    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.trigger.host.trim_end_matches('/'))
    }
}

/// The first point of the first series. One without a value counts as 0.
fn first_point(answer: &Value) -> Result<f64, SourceError> {
    let first = |of: &Value, key: &str, what: &str| match of.get(key).and_then(Value::as_array) {
        Some(list) => list
            .first()
            .cloned()
            .ok_or_else(|| SourceError::malformed(format!("dynatrace response does not contain any {what}"))),
        None => Err(SourceError::malformed(format!("dynatrace response does not contain any {what}"))),
    };
    let result = first(answer, "result", "results")?;
    let series = first(&result, "data", "metric series")?;
    match first(&series, "values", "values for the metric series")? {
        Value::Null => Ok(0.0),
        value => value.as_f64().ok_or_else(|| SourceError::malformed("a value of dynatrace is not a number")),
    }
}

/// The number that a query gave; `None` while there is no result. Long integers are written as texts.
fn result(answer: &Value, what: &str) -> Result<Option<f64>, SourceError> {
    let fail = |kind, why: &str| Err(SourceError::new(kind, format!("{what}: {why}")));
    match answer.get("state").and_then(Value::as_str) {
        Some("RUNNING" | "NOT_STARTED") => Ok(None),
        Some("SUCCEEDED") => {
            let Some(records) = answer.pointer("/result/records").and_then(Value::as_array) else {
                // What starts a query may leave the result to the next question.
                return if answer.get("requestToken").is_some() {
                    Ok(None)
                } else {
                    fail(ErrorKind::Malformed, "empty result")
                };
            };
            let number = match records.first().map(|record| field(record, "r").unwrap_or(&Value::Null)) {
                None => return fail(ErrorKind::Malformed, "empty result"),
                Some(Value::Null) => Some(0.0),
                Some(Value::String(text)) => text.parse().ok(),
                Some(value) => value.as_f64(),
            };
            number.map_or_else(|| fail(ErrorKind::Malformed, "the field r is not a number"), |number| Ok(Some(number)))
        }
        Some("FAILED") => fail(ErrorKind::Configuration, "query failed"),
        Some("CANCELLED") => fail(ErrorKind::Unreachable, "query was cancelled"),
        Some("RESULT_GONE") => fail(ErrorKind::Unreachable, "result expired (RESULT_GONE)"),
        Some(other) => fail(ErrorKind::Malformed, &format!("unknown state: {}", http::excerpt(other))),
        None => fail(ErrorKind::Malformed, "there is no state in the answer"),
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
