//! `sumologic`: a number from a search of logs or a query of metrics (`scalers/sumologic.md`).

mod logs;
mod metrics;
mod service;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use keda_core::metadata::{Context, Map, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;
use reqwest::Client;

use crate::client::Sources;
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};
use service::Service;

/// What the keys of the rows of a query of metrics begin with.
const ROW: &str = "query.";

/// Scale on a search of logs, or on a query of metrics, of Sumo Logic.
///
/// One replica is wanted per `threshold` of the number that `queryAggregator` makes of the results in the last
/// `timerange`; the target leaves zero when it is above `activationThreshold`. `queryType` says what is asked:
///
/// - `logs`: the search `query`, which must aggregate, as with `| count`. What counts is the field `resultField` of its
///   records. No record counts as 0; a search that gives only messages is an error.
/// - `metrics`: the query `query`, in time slices as long as `quantization`, each with the figure `rollup` of its
///   points. It must give one time series. In place of `query` there can be several rows, such as `query.A` and
///   `query.B`, where a row may refer to others as `#A`; `resultQueryRowID` then names the row that counts.
///
/// A bare number for `timerange` or `quantization` is in milliseconds, so write `15m`. A search of logs is a job that
/// is waited for; with slow ones a longer `pollingInterval` and `useCachedMetrics` help. One that takes longer than a
/// reading, which fails after 30 s, is waited for in the next one.
///
/// `host` is the address of the API in the region of the account. Log in with a TriggerAuthentication that has
/// `accessID` and `accessKey`, of a user who may search logs or query metrics.
///
/// ```yaml
/// type: sumologic
/// metadata:
///   host: https://api.eu.sumologic.com
///   queryType: logs
///   query: _sourceCategory=shop/storefront "gift card ordered" | count as orders
///   resultField: orders
///   timerange: 5m
///   queryAggregator: Sum
///   threshold: "75"
///   activationThreshold: "5"
/// authenticationRef:
///   name: sumologic-key
/// ---
/// secretTargetRef:
///   - parameter: accessID
///     name: sumologic-key
///     key: id
///   - parameter: accessKey
///     name: sumologic-key
///     key: key
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct SumoLogic {
    /// Id of the access key.
    #[meta(name = "accessID", auth)]
    access_id: Secret,
    /// The access key that belongs to `accessID`.
    #[meta(auth)]
    access_key: Secret,
    /// Address of the API as a URL, such as `https://api.eu.sumologic.com`, without a `/` at its end.
    #[meta(trigger)]
    host: String,
    /// Whether to take any certificate of the server.
    #[meta(trigger, optional)]
    unsafe_ssl: bool,
    /// What to ask: a search of logs, or a query of metrics.
    #[meta(trigger, one_of("logs", "metrics"))]
    query_type: String,
    /// The search, or the query of metrics where it has one row. Excludes the rows `query.…`.
    #[meta(trigger, optional)]
    query: String,
    /// The rows of a query of metrics: one key for each, with the id of the row in place of the star, such as
    /// `query.A`. Needs `resultQueryRowID`; excludes `query`.
    #[meta(name = "query.*", trigger, optional)]
    rows: Map,
    /// Id of the row that gives the value, such as `B`; needed with rows, and in the same case of letters.
    #[meta(name = "resultQueryRowID", trigger, optional)]
    result_query_row_id: String,
    /// Width of the time slices of a query of metrics, such as `1m`; needed for it. A bare number is in milliseconds.
    #[meta(trigger, optional)]
    quantization: Duration,
    /// How to make one number of the points of a time slice, in a query of metrics.
    #[meta(trigger, default = "Avg", one_of("Avg", "Sum", "Count", "Min", "Max"))]
    rollup: String,
    /// Field of the records that holds the value, such as `_count`; needed for a search of logs.
    #[meta(trigger, optional)]
    result_field: String,
    /// Time between two questions for the result of a search of logs, such as `2s`; 1s when not given or 0.
    #[meta(trigger, optional)]
    logs_polling_interval: Duration,
    /// How often to try a request; 3 times when not given or 0.
    #[meta(trigger, optional)]
    max_retries: i64,
    /// Length of the time window, which ends now, such as `15m`; a bare number is in milliseconds.
    #[meta(trigger)]
    timerange: Duration,
    /// Time zone of the window's ends, such as `Europe/Rome`.
    #[meta(trigger, default = "UTC")]
    timezone: String,
    /// Result above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_threshold: f64,
    /// How to make one number of the records, or of the time slices.
    #[meta(trigger, default = "Avg", one_of("Latest", "Avg", "Sum", "Count", "Min", "Max"))]
    query_aggregator: String,
    /// What one replica is expected to handle, in the unit of the result.
    #[meta(trigger)]
    threshold: f64,
}

impl SumoLogic {
    fn check(&mut self, reader: &mut Reader<'_>) {
        let rows = rows(reader);
        for (id, text) in &rows {
            let key = format!("{ROW}{id}");
            if id.is_empty() {
                reader.error_at(&key, format!("malformed metadata, unable to parse rowID from key: {key}"));
            } else if text.is_empty() {
                reader.error_at(&key, format!("malformed metadata, invalid value for key: {key}"));
            }
        }
        if !rows.is_empty() {
            // Whatever the ids are, these keys tell this query from others.
            reader.all();
        }
        // A key that has the star itself holds all rows, as one text.
        if self.rows.0.is_empty() {
            self.rows.0.extend(rows);
        }
        let problem = match self.query_type.as_str() {
            "logs" => self.check_logs(),
            "metrics" => self.check_metrics(),
            // Missing, or both words, of which KEDA makes nothing.
            _ => Ok(()),
        };
        if let Err(message) = problem {
            reader.error(message);
        }
    }

    fn check_logs(&self) -> Result<(), String> {
        if self.query.is_empty() {
            return Err("missing required metadata: query".to_string());
        }
        if !self.rows.0.is_empty() {
            return Err("invalid metadata, query.<RowId> not supported for logs queryType".to_string());
        }
        if self.result_field.is_empty() {
            return Err("missing required metadata: resultField (required for logs queryType)".to_string());
        }
        Ok(())
    }

    fn check_metrics(&self) -> Result<(), String> {
        let (one, several) = (!self.query.is_empty(), !self.rows.0.is_empty());
        if one == several {
            let which = if one { "invalid metadata: only one" } else { "missing metadata: either" };
            return Err(format!("{which} of query or query.<RowId> must be defined for metrics queryType"));
        }
        if several && self.result_query_row_id.is_empty() {
            return Err("missing required metadata: resultQueryRowID for multi-metrics query".to_string());
        }
        if several && !self.rows.0.contains_key(&self.result_query_row_id) {
            return Err(format!("resultQueryRowID '{}' not found in queries", self.result_query_row_id));
        }
        if self.quantization.is_zero() {
            return Err("missing required metadata: quantization for metrics queryType".to_string());
        }
        Ok(())
    }
}

/// The rows of a query of metrics, by id. A row is not trimmed.
fn rows(reader: &Reader<'_>) -> Vec<(String, String)> {
    let metadata = reader.inputs().metadata.iter();
    metadata.filter_map(|(key, text)| Some((key.strip_prefix(ROW)?.to_string(), text.clone()))).collect()
}

impl Trigger for SumoLogic {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Float(self.threshold)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let tls = TlsOptions { insecure: self.unsafe_ssl, ..TlsOptions::default() };
        let client = sources.http.client(&sources.tls, &tls)?;
        Ok(Box::new(Account { client, trigger: self }))
    }
}

struct Account {
    client: Arc<Client>,
    trigger: SumoLogic,
}

#[async_trait]
impl Scaler for Account {
    async fn sample(&self, memory: &mut Memory) -> Result<Reading, SourceError> {
        let trigger = &self.trigger;
        let service = Service::new(&self.client, trigger);
        let now = crate::sampler::wall_clock();
        let mut nothing = None;
        let pending = memory.get_or("sumologic", || None).unwrap_or(&mut nothing);
        let value = match trigger.query_type.as_str() {
            "logs" => trigger.search(&service, now, pending).await,
            "metrics" => trigger.query_metrics(&service, now).await,
            other => Err(SourceError::configuration(format!("queryType {other} is neither logs nor metrics"))),
        };
        let value = value.map_err(|error| error.within("error getting metrics from sumologic"))?;
        Ok(vec![(trigger.metric_name(), Sample::above(value, trigger.activation_threshold))])
    }
}

impl SumoLogic {
    fn metric_name(&self) -> String {
        normalize(&format!("sumologic-{}", self.query_type))
    }

    /// Time between two questions for the state of a search.
    fn polling_interval(&self) -> Duration {
        if self.logs_polling_interval.is_zero() { Duration::from_secs(1) } else { self.logs_polling_interval }
    }

    /// One number of several, in their order.
    fn aggregate(&self, values: &[f64]) -> Result<f64, SourceError> {
        let Some(last) = values.last() else { return Err(malformed("no values provided")) };
        let count = i64::try_from(values.len()).map_or(f64::INFINITY, float);
        let sum = values.iter().sum::<f64>();
        Ok(match self.query_aggregator.as_str() {
            "Latest" => *last,
            "Sum" => sum,
            "Count" => count,
            "Min" => values.iter().copied().fold(f64::INFINITY, f64::min),
            "Max" => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            _ => sum / count,
        })
    }
}

fn malformed(message: &str) -> SourceError {
    SourceError::malformed(message)
}

/// Both ends of the time window that ends at `now`, as texts in a time zone.
fn window(now: Timestamp, length: Duration, zone: &str) -> Result<(String, String), SourceError> {
    let unknown = |_| SourceError::configuration(format!("failed to parse time range: unknown time zone {zone}"));
    let time_zone = TimeZone::get(zone).map_err(unknown)?;
    let start = now.checked_sub(length).map_err(|_| SourceError::configuration("timerange reaches too far back"))?;
    let text = |time: Timestamp| {
        let time = time.to_zoned(time_zone.clone());
        let offset = if time.offset().is_zero() { "Z".to_string() } else { time.strftime("%:z").to_string() };
        format!("{}{offset}", time.strftime("%Y-%m-%dT%H:%M:%S"))
    };
    Ok((text(start), text(now)))
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(more: &[(&str, &str)]) -> (SumoLogic, Vec<String>) {
        let required = [("host", "https://api.sumologic.com"), ("timerange", "15m"), ("threshold", "1")];
        let inputs = Inputs::from_metadata(required.iter().chain(more).copied())
            .with_authentication([("accessID", "hunter2"), ("accessKey", "hunter3")]);
        let (trigger, problems) = parse::<SumoLogic>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    const LOGS: [(&str, &str); 3] = [("queryType", "logs"), ("query", "* | count as n"), ("resultField", "n")];
    const METRICS: [(&str, &str); 2] = [("queryType", "metrics"), ("quantization", "15s")];
    const ROWS: [(&str, &str); 3] = [("query.A", "metric=a"), ("query.B", "#A / 2"), ("resultQueryRowID", "B")];

    #[test]
    fn the_metric_is_named_after_what_is_asked() {
        let (trigger, problems) = parsed(&LOGS);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("sumologic-logs", Target::Float(1.0));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
        let (trigger, problems) = parsed(&[METRICS[0], METRICS[1], ROWS[0], ROWS[1], ROWS[2]]);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(trigger.rows.0["B"], "#A / 2");
    }

    #[test]
    fn a_window_is_told_in_its_time_zone() {
        let ends = |zone| window("2026-07-01T12:00:00.9Z".parse().unwrap(), Duration::from_secs(900), zone);
        assert_eq!(ends("UTC"), Ok(("2026-07-01T11:45:00Z".into(), "2026-07-01T12:00:00Z".into())));
        assert_eq!(ends("Europe/Rome").unwrap().1, "2026-07-01T14:00:00+02:00");
        assert!(ends("Mars").unwrap_err().message.contains("unknown time zone Mars"));
    }

    #[test]
    fn every_aggregator_makes_one_number() {
        let numbers = [("Latest", 30.0), ("Sum", 60.0), ("Count", 3.0), ("Min", 10.0), ("Max", 30.0), ("Avg", 20.0)];
        for (aggregator, expected) in numbers {
            let (trigger, _) = parsed(&[LOGS[0], LOGS[1], LOGS[2], ("queryAggregator", aggregator)]);
            assert_eq!(trigger.aggregate(&[10.0, 20.0, 30.0]), Ok(expected), "{aggregator}");
            assert!(trigger.aggregate(&[]).is_err());
        }
    }

    #[test]
    fn logs_have_a_query_and_a_field() {
        assert!(parsed(&LOGS[..1]).1[0].ends_with("query"));
        assert!(parsed(&LOGS[..2]).1[0].contains("resultField"));
        assert!(parsed(&[LOGS[0], LOGS[1], LOGS[2], ROWS[0]]).1[0].contains("not supported for logs"));
    }

    #[test]
    fn metrics_have_one_row_or_several() {
        let problem = |more: &[(&str, &str)]| {
            let metadata: Vec<_> = METRICS.iter().chain(more).copied().collect();
            parsed(&metadata).1.remove(0)
        };
        assert!(problem(&[]).starts_with("missing metadata: either of"));
        assert!(problem(&[LOGS[1], ROWS[0]]).starts_with("invalid metadata: only one of"));
        assert!(problem(&ROWS[..2]).contains("resultQueryRowID for multi-metrics"));
        assert_eq!(problem(&[ROWS[0], ROWS[2]]), "resultQueryRowID 'B' not found in queries");
        assert!(problem(&[ROWS[0], ("query.", "x")]).contains("unable to parse rowID from key: query."));
        assert!(problem(&[("query.C", "")]).contains("invalid value for key: query.C"));
        assert!(parsed(&[METRICS[0], LOGS[1]]).1[0].contains("quantization for metrics queryType"));
    }
}
