//! A query of metrics, of one row or several.

use jiff::Timestamp;
use keda_core::sample::SourceError;
use reqwest::Method;
use serde_json::{Value, json};

use super::service::Service;
use super::{SumoLogic, malformed, window};
use crate::client::http;

/// The id of the row where there is but one.
const ONLY_ROW: &str = "A";

impl SumoLogic {
    /// The value of the query in the window that ends at `now`.
    pub(super) async fn query_metrics(&self, service: &Service<'_>, now: Timestamp) -> Result<f64, SourceError> {
        let answer = service.ask(Method::POST, "/api/v1/metricsQueries", Some(&self.question(now)?)).await?;
        self.refusal(&answer)?;
        let values = points(&answer, self.result_row())?;
        self.aggregate(&values)
    }

    fn question(&self, now: Timestamp) -> Result<Value, SourceError> {
        let (from, to) = window(now, self.timerange, &self.timezone)?;
        let boundary = |time: &str| json!({ "type": "Iso8601TimeRangeBoundary", "iso8601Time": time });
        let quantization = u64::try_from(self.quantization.as_millis()).unwrap_or(u64::MAX);
        let row = |id: &str, query: &str| json!({ "rowId": id, "query": query, "quantization": quantization, "rollup": self.rollup });
        let rows: Vec<Value> = if self.query.is_empty() {
            self.rows.0.iter().map(|(id, query)| row(id, query)).collect()
        } else {
            vec![row(ONLY_ROW, &self.query)]
        };
        Ok(json!({
            "queries": rows,
            "timeRange": { "type": "BeginBoundedTimeRange", "from": boundary(&from), "to": boundary(&to) },
        }))
    }

    /// What the answer says of a failure.
    fn refusal(&self, answer: &Value) -> Result<(), SourceError> {
        let errors = list(answer, "/errors/errors");
        let messages = errors.iter().map(|error| error.get("message").and_then(Value::as_str).unwrap_or_default());
        let told: Vec<String> =
            messages.map(|message| http::told(message, &[&self.access_id, &self.access_key])).collect();
        if told.is_empty() {
            return Ok(());
        }
        Err(SourceError::configuration(format!("query execution failed with errors {}", told.join(", "))))
    }

    /// The row that counts; `None` for the only one.
    fn result_row(&self) -> Option<&str> {
        self.query.is_empty().then_some(self.result_query_row_id.as_str())
    }
}

/// The list at a place; an empty one where there is none.
fn list(of: &Value, path: &str) -> Vec<Value> {
    of.pointer(path).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// The points of the one time series of a row.
fn points(answer: &Value, row: Option<&str>) -> Result<Vec<f64>, SourceError> {
    let results = list(answer, "/queryResult");
    if results.is_empty() {
        return Err(malformed("metrics query response is empty"));
    }
    let is_wanted = |result: &&Value| row.is_none() || result.get("rowId").and_then(Value::as_str) == row;
    let result = results.iter().find(is_wanted).ok_or_else(|| {
        let row = row.unwrap_or_default();
        malformed(&format!("no query result with matching resultQueryRowID {row} found in metrics query response"))
    })?;
    let series = match list(result, "/timeSeriesList/timeSeries").as_slice() {
        [] => return Err(malformed("no time series data found in metrics query response")),
        [series] => series.clone(),
        _ => {
            return Err(SourceError::configuration(
                "multiple time series results found, only single time series queries are supported",
            ));
        }
    };
    let (timestamps, values) = (list(&series, "/points/timestamps"), list(&series, "/points/values"));
    if timestamps.is_empty() || values.is_empty() {
        return Err(malformed("metrics query returned empty timestamps or values"));
    }
    let numbers: Option<Vec<f64>> = values.iter().map(Value::as_f64).collect();
    numbers.ok_or_else(|| malformed("a value of the metrics query is not a number"))
}
