//! A query, asked of Datadog itself.

use std::time::Duration;

use jiff::Timestamp;
use keda_core::names::query_escape;
use keda_core::sample::{ErrorKind, SourceError};
use reqwest::{Client, Url};
use serde_json::Value;

use super::Datadog;
use crate::client::authentication::with_header;
use crate::client::http::{self, Answer};
use crate::trigger::float;

/// What is said of a time window that has nothing.
const NOTHING: &str = "no Datadog metrics returned for the given time window";

impl Datadog {
    /// The value of the query in the window that ends about `now`.
    pub(super) async fn query(&self, client: &Client, timeout: Duration, now: Timestamp) -> Result<f64, SourceError> {
        let request = client.get(self.query_url(now)?).timeout(timeout).header("Accept", "application/json");
        let request = with_header(request, ("", "DD-API-KEY"), ("apiKey", &self.api_key))?;
        let request = with_header(request, ("", "DD-APPLICATION-KEY"), ("appKey", &self.app_key))?;
        let answer = http::send(request).await?;
        if let (422, Some(filler)) = (answer.status.as_u16(), self.metric_unavailable_value) {
            return Ok(filler);
        }
        if let Some(refusal) = refusal(&answer) {
            return Err(refusal);
        }
        self.aggregate(&answer.json("error when retrieving Datadog metrics")?)
    }

    fn query_url(&self, now: Timestamp) -> Result<Url, SourceError> {
        let to = now.as_second().saturating_sub(self.time_window_offset);
        let from = to.saturating_sub(self.age);
        let (site, query) = (&self.datadog_site, query_escape(&self.query));
        http::address(&format!("https://api.{site}/api/v1/query?from={from}&query={query}&to={to}"), "datadogSite")
    }

    /// One number of the last points of all series.
    fn aggregate(&self, answer: &Value) -> Result<f64, SourceError> {
        if answer.get("status").and_then(Value::as_str) == Some("error") {
            let error = answer.get("error").and_then(Value::as_str).unwrap_or_default();
            let told = http::told(error, &[&self.api_key, &self.app_key]);
            return Err(SourceError::configuration(format!("error when retrieving Datadog metrics: {told}")));
        }
        let series = match answer.get("series") {
            Some(Value::Array(series)) => series.as_slice(),
            Some(Value::Null) => &[],
            _ => return Err(SourceError::malformed("the answer of Datadog has no series")),
        };
        if series.is_empty() {
            return self.metric_unavailable_value.ok_or_else(|| SourceError::malformed(NOTHING));
        }
        if series.len() > 1 && self.query_aggregator.is_empty() {
            return Err(SourceError::configuration(
                "query returned more than 1 series; modify the query to return only 1 series or add a queryAggregator",
            ));
        }
        let mut values = Vec::new();
        for series in series {
            match self.last_value(series)? {
                Some(value) => values.push(value),
                None => return self.metric_unavailable_value.ok_or_else(|| SourceError::malformed(NOTHING)),
            }
        }
        if self.query_aggregator == "average" {
            let count = i64::try_from(values.len()).map(float).unwrap_or(f64::INFINITY);
            return Ok(values.iter().sum::<f64>() / count);
        }
        Ok(values.into_iter().fold(f64::NEG_INFINITY, f64::max))
    }

    /// The last point of a series that has a value, or one so many before it; `None` where that one has none.
    fn last_value(&self, series: &Value) -> Result<Option<f64>, SourceError> {
        let malformed = || SourceError::malformed("a series of Datadog has no list of points");
        let points = series.get("pointlist").and_then(Value::as_array).ok_or_else(malformed)?;
        let value = |point: &Value| point.get(1).filter(|value| !value.is_null()).cloned();
        let last = points.iter().rposition(|point| value(point).is_some()).or(points.len().checked_sub(1));
        let offset = usize::try_from(self.last_available_point_offset).unwrap_or(usize::MAX);
        let Some(index) = last.and_then(|last| last.checked_sub(offset)) else {
            return Err(SourceError::malformed("index is smaller than the lastAvailablePointOffset"));
        };
        match points.get(index).and_then(value) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or_else(malformed),
        }
    }
}

/// What a refusal says beside its status.
fn refusal(answer: &Answer) -> Option<SourceError> {
    let (kind, message) = match answer.status.as_u16() {
        401 | 403 => (
            ErrorKind::Denied,
            "unauthorized to connect to Datadog. Check that your Datadog API and App keys are correct and that your \
             App key has the correct permissions"
                .to_string(),
        ),
        429 => {
            let header = |name| answer.header(name).map_or("?".to_string(), http::excerpt);
            let (limit, period) = (header("X-Ratelimit-Limit"), header("X-Ratelimit-Period"));
            let reset = header("X-Ratelimit-Reset");
            let message = format!(
                "your Datadog account reached the {limit} queries per {period} seconds rate limit, next limit reset \
                 will happen in {reset} seconds"
            );
            (ErrorKind::Throttled, message)
        }
        _ => return None,
    };
    Some(SourceError::new(kind, message))
}
