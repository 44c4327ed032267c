//! Cloud Monitoring: the newest value of a time series (`scalers/_common-d-m.md`, "GCP Monitoring calls").

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use keda_core::sample::SourceError;
use reqwest::{Client, RequestBuilder, Url};
use serde_json::{Value, json};

use super::login::GcpLogin;
use super::tokens::GcpTokens;
use crate::client::tls::TlsOptions;
use crate::client::{Sources, http};

/// What tokens must allow.
const SCOPE: &str = "https://www.googleapis.com/auth/monitoring.read";

/// Length of the time that is looked at where none is given, in minutes.
const USUAL_MINUTES: i64 = 2;

/// How values are aligned and put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alignment {
    /// Length of a period, in seconds.
    pub period: i64,
    /// Such as `ALIGN_MEAN`.
    pub aligner: String,
    /// Such as `REDUCE_SUM`.
    pub reducer: String,
}

/// Cloud Monitoring, as one login.
#[derive(Debug)]
pub struct Monitoring {
    client: Arc<Client>,
    tokens: GcpTokens,
}

impl Monitoring {
    /// Asks nobody yet.
    ///
    /// # Errors
    /// TLS that cannot be set up.
    pub fn new(login: GcpLogin, sources: &Sources) -> Result<Self, SourceError> {
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        Ok(Monitoring { client, tokens: GcpTokens::new(login, SCOPE, sources)? })
    }

    /// The project of the login.
    ///
    /// # Errors
    /// As [`GcpTokens::project`].
    pub async fn project(&self) -> Result<&str, SourceError> {
        self.tokens.project().await
    }

    /// The newest value of the first time series that `filter` finds in the last `minutes`; `None` where it finds none,
    /// and -1 for one without points, as in KEDA.
    ///
    /// # Errors
    /// [`Malformed`](keda_core::sample::ErrorKind::Malformed) for a value that is no number, and as [`GcpTokens::send`].
    pub async fn newest(
        &self,
        project: &str,
        filter: &str,
        minutes: i64,
        alignment: Option<&Alignment>,
        now: Timestamp,
    ) -> Result<Option<f64>, SourceError> {
        let mut url = address(project, "timeSeries")?;
        let minutes = if minutes > 0 { minutes } else { USUAL_MINUTES };
        let start =
            minutes.checked_mul(60).and_then(|seconds| now.checked_sub(SignedDuration::from_secs(seconds)).ok());
        let start = start.ok_or_else(|| SourceError::configuration("filterDuration is too long"))?;
        let second = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        url.query_pairs_mut()
            .append_pair("filter", &format!("{filter} AND resource.labels.project_id=\"{project}\""))
            .append_pair("interval.startTime", &second(start))
            .append_pair("interval.endTime", &second(now));
        if let Some(Alignment { period, aligner, reducer }) = alignment {
            url.query_pairs_mut()
                .append_pair("aggregation.alignmentPeriod", &format!("{period}s"))
                .append_pair("aggregation.perSeriesAligner", aligner)
                .append_pair("aggregation.crossSeriesReducer", reducer);
        }
        let request = |page: &str| {
            let mut url = url.clone();
            if !page.is_empty() {
                url.query_pairs_mut().append_pair("pageToken", page);
            }
            self.client.get(url)
        };
        self.first(request, "timeSeries", "/points/0/value").await
    }

    /// The newest value of the first row that a query finds; `None` where it finds none, and -1 for one without points,
    /// as in KEDA.
    ///
    /// # Errors
    /// As [`Monitoring::newest`].
    pub async fn query(&self, project: &str, query: &str) -> Result<Option<f64>, SourceError> {
        let url = address(project, "timeSeries:query")?;
        let request = |page: &str| {
            let mut question = json!({ "query": query, "pageSize": 1 });
            if !page.is_empty() {
                question["pageToken"] = json!(page);
            }
            self.client.post(url.clone()).json(&question)
        };
        self.first(request, "timeSeriesData", "/pointData/0/values/0").await
    }

    /// What the first entry of a list has at `place`. The list may go over several pages, and the first of them may be
    /// empty; `request` asks for the one with a token.
    async fn first(
        &self,
        request: impl Fn(&str) -> RequestBuilder + Send + Sync,
        name: &str,
        place: &str,
    ) -> Result<Option<f64>, SourceError> {
        let mut page = String::new();
        loop {
            let answer = self.tokens.send(request(&page)).await?.json("Cloud Monitoring")?;
            if let Some(entry) = list(&answer, name)?.first() {
                return entry.pointer(place).map_or(Ok(-1.0), number).map(Some);
            }
            let next = answer.get("nextPageToken").and_then(Value::as_str).unwrap_or_default();
            // A page that begins where it ends would never end.
            if next.is_empty() || next == page {
                return Ok(None);
            }
            page = next.to_string();
        }
    }
}

fn address(project: &str, collection: &str) -> Result<Url, SourceError> {
    let url = http::address("https://monitoring.googleapis.com/v3/projects", "Cloud Monitoring's")?;
    http::under(url, "Cloud Monitoring's", &[project, collection])
}

/// A list of an answer; what is empty Google leaves out.
fn list<'a>(answer: &'a Value, name: &str) -> Result<&'a [Value], SourceError> {
    match (answer.as_object(), answer.get(name)) {
        (Some(_), None) => Ok(&[]),
        (Some(_), Some(Value::Array(list))) => Ok(list),
        _ => Err(SourceError::malformed(format!("the answer of Cloud Monitoring has no {name}"))),
    }
}

fn number(value: &Value) -> Result<f64, SourceError> {
    let whole = value.get("int64Value").and_then(Value::as_str).and_then(|text| text.parse::<i64>().ok());
    let number = whole.map(crate::trigger::float).or_else(|| value.get("doubleValue").and_then(Value::as_f64));
    number.ok_or_else(|| {
        let kind = value.as_object().and_then(|value| value.keys().next()).map_or("nothing", String::as_str);
        let message = format!("Cloud Monitoring gave {kind}, not a number; a distribution needs an aggregation");
        SourceError::malformed(message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_a_whole_number_in_a_text_or_any_number() {
        assert_eq!(number(&json!({ "int64Value": "17" })), Ok(17.0));
        assert_eq!(number(&json!({ "doubleValue": 2.75 })), Ok(2.75));
        for wrong in [json!({ "boolValue": true }), json!({ "distributionValue": {} }), json!({})] {
            assert!(number(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_project_cannot_lead_elsewhere() {
        assert_eq!(address("a/../b?x", "timeSeries").unwrap().path(), "/v3/projects/a%2F..%2Fb%3Fx/timeSeries");
    }
}
