//! What Prometheus has observed in a time window.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use keda_core::sample::SourceError;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::Value;

use super::PredictKube;
use super::messages::{Item, Time};
use crate::client::http;

const WHAT: &str = "prometheus query_range api returned error";

impl PredictKube {
    /// The observations of the window that ends at `now`; those of one series after those of the other.
    pub(super) async fn observations(
        &self,
        client: &Client,
        timeout: Duration,
        now: Timestamp,
        metric_name: &str,
    ) -> Result<Vec<Item>, SourceError> {
        let url = http::address(&self.prometheus_address, "prometheusAddress")?;
        let url = http::under(url, "prometheusAddress", &["api", "v1", "query_range"])?;
        let start = now
            .checked_sub(self.history_time_window.0)
            .map_err(|_| SourceError::configuration("historyTimeWindow reaches too far back"))?;
        let form = [
            ("end", now.as_second().to_string()),
            ("query", self.query.clone()),
            ("start", start.as_second().to_string()),
            ("step", self.step().as_secs_f64().to_string()),
        ];
        let mut answer = http::send(self.with_login(client.post(url.clone()).timeout(timeout))?.form(&form)).await?;
        // Some servers know the other method only.
        if matches!(answer.status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED) {
            answer = http::send(self.with_login(client.get(url).timeout(timeout))?.query(&form)).await?;
        }
        items(&answer.json(WHAT)?, metric_name)
    }

    fn with_login(&self, request: RequestBuilder) -> Result<RequestBuilder, SourceError> {
        if self.authentication.has("bearer") || self.authentication.has("basic") {
            return self.authentication.with_authorization(request);
        }
        Ok(request)
    }
}

/// The observations in an answer, whatever it is a result of.
fn items(answer: &Value, metric_name: &str) -> Result<Vec<Item>, SourceError> {
    let malformed = || SourceError::malformed(format!("{WHAT}: metric type is invalid"));
    let result = answer.pointer("/data/result").ok_or_else(malformed)?;
    let kind = answer.pointer("/data/resultType").and_then(Value::as_str);
    let list = |value: &Value| value.as_array().cloned().ok_or_else(malformed);
    let points = match kind {
        Some("scalar" | "string") => vec![result.clone()],
        Some("vector") => list(result)?
            .iter()
            .map(|series| series.get("value").cloned().ok_or_else(malformed))
            .collect::<Result<_, _>>()?,
        Some("matrix") => {
            let series = list(result)?;
            let points: Result<Vec<Vec<Value>>, _> =
                series.iter().map(|series| list(series.get("values").unwrap_or(&Value::Null))).collect();
            points?.concat()
        }
        _ => return Err(malformed()),
    };
    points.iter().map(|point| item(point, metric_name).ok_or_else(malformed)).collect()
}

/// An observation: a time in seconds, and a number as text.
fn item(point: &Value, metric_name: &str) -> Option<Item> {
    let [time, value] = point.as_array()?.as_slice() else { return None };
    let time = Timestamp::from_duration(SignedDuration::try_from_secs_f64(time.as_f64()?).ok()?).ok()?;
    Some(Item {
        timestamp: Some(Time { seconds: time.as_second(), nanos: time.subsec_nanosecond() }),
        value: value.as_str()?.parse().ok()?,
        metric_name: metric_name.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_result_is_a_list_of_observations() {
        let values = |kind: &str, result: Value| {
            let answer = json!({ "data": { "resultType": kind, "result": result } });
            items(&answer, "m").map(|items| items.into_iter().map(|item| item.value).collect::<Vec<_>>())
        };
        let series = |points: Value| json!([{ "values": points }, { "values": [[3, "9"]] }]);
        assert_eq!(values("matrix", series(json!([[1, "4"], [2.5, "5.5"]]))), Ok(vec![4.0, 5.5, 9.0]));
        assert_eq!(values("vector", json!([{ "value": [1, "4"] }])), Ok(vec![4.0]));
        assert_eq!(values("scalar", json!([1, "4"])), Ok(vec![4.0]));
        assert_eq!(values("matrix", json!([])), Ok(vec![]));
        assert!(values("string", json!([1, "four"])).is_err());
        assert!(values("matrix", json!([{ "value": [1, "4"] }])).is_err());
        assert!(values("else", json!([])).is_err());
    }
}
