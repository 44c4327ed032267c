//! A search of logs: a job that is started, waited for, read and removed.

use jiff::{SignedDuration, Timestamp};
use keda_core::sample::{ErrorKind, SourceError};
use reqwest::Method;
use serde_json::{Value, json};

use super::service::Service;
use super::{SumoLogic, malformed, window};
use crate::client::http;

const JOBS: &str = "/api/v1/search/jobs";

/// Records in one answer, at the most.
const PAGE: u64 = 10_000;

/// How long a job is waited for, over several readings.
const PATIENCE: SignedDuration = SignedDuration::from_mins(5);

/// A job that was started, and has not been read yet.
#[derive(Clone)]
pub(super) struct Job {
    path: String,
    cookies: Vec<String>,
    started: Timestamp,
}

impl SumoLogic {
    /// The value of the search in the window that ends at `now`. A search that takes longer than a reading is waited for
    /// in the next one.
    pub(super) async fn search(
        &self,
        service: &Service<'_>,
        now: Timestamp,
        pending: &mut Option<Job>,
    ) -> Result<f64, SourceError> {
        let known = pending.take().filter(|job| now.duration_since(job.started) < PATIENCE);
        let job = match known {
            Some(job) => {
                service.set_cookies(job.cookies.clone());
                job
            }
            None => self.start(service, now).await?,
        };
        *pending = Some(job.clone());
        let value = self.finish(service, &job.path).await;
        let is_pending = |error: &SourceError| matches!(error.kind, ErrorKind::Unreachable | ErrorKind::Throttled);
        if !value.as_ref().is_err_and(is_pending) {
            *pending = None;
        }
        value
    }

    async fn start(&self, service: &Service<'_>, now: Timestamp) -> Result<Job, SourceError> {
        let (from, to) = window(now, self.timerange, &self.timezone)?;
        let question = json!({ "query": self.query, "from": from, "to": to, "timeZone": self.timezone });
        let job = service.ask(Method::POST, JOBS, Some(&question)).await?;
        let id = job.get("id").and_then(Value::as_str).filter(|id| is_plain(id));
        let path = format!("{JOBS}/{}", id.ok_or_else(|| malformed("the search job has no id"))?);
        Ok(Job { path, cookies: service.cookies(), started: now })
    }

    /// The value of a search, when its job has ended.
    async fn finish(&self, service: &Service<'_>, path: &str) -> Result<f64, SourceError> {
        let status = self.wait_for(service, path).await?;
        let count = |key: &str| status.get(key).and_then(Value::as_u64);
        let (Some(records), Some(messages)) = (count("recordCount"), count("messageCount")) else {
            return Err(malformed("the state of the search job has no recordCount and messageCount"));
        };
        if records == 0 && messages > 0 {
            return Err(SourceError::configuration("only agg queries are supported, please check your query"));
        }
        if records == 0 {
            return Ok(0.0);
        }
        let values = self.records(service, path, records).await?;
        service.tell(Method::DELETE, path).await?;
        self.aggregate(&values)
    }

    /// The state of a job that has ended.
    async fn wait_for(&self, service: &Service<'_>, path: &str) -> Result<Value, SourceError> {
        loop {
            let status = service.ask(Method::GET, path, None).await?;
            match status.get("state").and_then(Value::as_str) {
                Some("DONE GATHERING RESULTS") => return Ok(status),
                Some(state @ ("CANCELLED" | "FORCE PAUSED")) => {
                    let message = format!("search job failed, state: {state}");
                    return Err(SourceError::malformed(message));
                }
                Some(_) => tokio::time::sleep(self.polling_interval()).await,
                None => return Err(malformed("the search job has no state")),
            }
        }
    }

    /// The field of all records that have it.
    async fn records(&self, service: &Service<'_>, path: &str, total: u64) -> Result<Vec<f64>, SourceError> {
        let mut values = Vec::new();
        let mut offset = 0;
        while offset < total {
            let limit = PAGE.min(total - offset);
            let page = service.ask(Method::GET, &format!("{path}/records?offset={offset}&limit={limit}"), None).await?;
            let records = page.get("records").and_then(Value::as_array);
            let records = records.ok_or_else(|| malformed("the search job has no records"))?;
            if records.is_empty() {
                break;
            }
            for value in records.iter().filter_map(|record| record.get("map")?.get(&self.result_field)) {
                let number = value.as_str().and_then(|text| text.parse().ok()).or(value.as_f64());
                values.push(number.ok_or_else(|| {
                    let shown = http::excerpt(&value.to_string());
                    malformed(&format!("failed to parse resultField: {} value {shown}", self.result_field))
                })?);
            }
            offset += limit;
        }
        Ok(values)
    }
}

/// Whether an id leads to no other place than its job.
fn is_plain(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
