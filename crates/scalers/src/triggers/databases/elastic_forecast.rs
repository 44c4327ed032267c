//! `elastic-forecast`: what a machine learning job of Elasticsearch foresees (`scalers/elastic-forecast.md`).

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::client::Sources;
use crate::client::elastic::{Elastic, ElasticServer};
use crate::trigger::{Memory, Scaler, Specs, Trigger};

/// Scale on what an anomaly detection job of Elasticsearch foresees for a moment to come.
///
/// What counts is the prediction for the time `lookAhead` from now. One replica is wanted per `targetValue` of it; the
/// target leaves zero when it is above `activationTargetValue`. So replicas are ready before the load is there: choose
/// a `lookAhead` longer than they take to start.
///
/// The forecasts are made on the way: KEDA asks the job for one that reaches twice as far as `lookAhead`, and for a new
/// one when half of it is over. Until the first is ready, and where none fits, the value is 0. The job must be open and
/// have seen enough data to forecast; machine learning needs a fitting licence of Elasticsearch. For a job that splits
/// its data, `partitionFieldValue` or `byFieldValue` say which part is meant.
///
/// Log in either with `addresses`, `username` and `password`, or at Elastic's cloud with `cloudID` and `apiKey`; the
/// two exclude each other. The user or key needs the right to manage machine learning (`manage_ml`) and to read the
/// indices `.ml-anomalies-*`.
///
/// ```yaml
/// type: elastic-forecast
/// metadata:
///   addresses: https://elasticsearch.shop.svc:9200
///   username: autoscaler
///   jobID: checkout-requests
///   lookAhead: 15m
///   targetValue: "200"
///   activationTargetValue: "20"
/// authenticationRef:
///   name: elasticsearch-login
/// ---
/// secretTargetRef:
///   - parameter: password
///     name: elasticsearch-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct ElasticForecast {
    #[meta(group)]
    server: ElasticServer,
    /// Id of the anomaly detection job, which must be open.
    #[meta(name = "jobID", trigger)]
    job: String,
    /// How far ahead to look, such as `15m`; more than 0. A bare number is in milliseconds.
    #[meta(trigger, default = "10m")]
    look_ahead: Duration,
    /// What one replica is expected to handle, in the unit of the prediction; more than 0.
    #[meta(trigger)]
    target_value: f64,
    /// Prediction above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_target_value: f64,
    /// Which of the indices `.ml-anomalies-…` to search: the end of their names, as a pattern such as `shared`.
    #[meta(trigger, default = "*")]
    index: String,
    /// Value of the job's partition field that the forecast is for; any when not given.
    #[meta(trigger, optional)]
    partition_field_value: String,
    /// Value of the job's by field that the forecast is for; any when not given.
    #[meta(trigger, optional)]
    by_field_value: String,
}

impl ElasticForecast {
    fn check(&mut self, reader: &mut Reader<'_>) {
        let values_were_read = !reader.has_errors();
        if let Err(problem) = self.check_server() {
            reader.error(problem);
        }
        if values_were_read && self.look_ahead.is_zero() {
            reader.error("lookAhead must be positive");
        }
        if values_were_read && self.target_value <= 0.0 {
            reader.error("targetValue must be greater than 0");
        }
    }

    fn check_server(&self) -> Result<(), &'static str> {
        let server = &self.server;
        let (cloud, addresses) = (server.is_in_cloud(), server.has_addresses());
        if cloud && addresses {
            return Err("cannot provide both cloud config (cloudID/apiKey) and endpoint addresses");
        }
        if server.is_half_in_cloud() {
            return Err("cloudID and apiKey must both be provided together");
        }
        if !addresses && server.has_any_login() {
            return Err("username and password provided but no addresses specified");
        }
        if !cloud && !addresses {
            return Err("must provide either cloud config (cloudID + apiKey) or endpoint addresses");
        }
        if addresses && !server.has_whole_login() {
            return Err("username and password must both be provided when addresses is used");
        }
        Ok(())
    }
}

impl Trigger for ElasticForecast {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Float(self.target_value)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        Ok(Box::new(Job { server: self.server.connect(sources)?, trigger: self }))
    }
}

/// The forecasts that were made for a trigger.
#[derive(Debug, Default)]
struct Forecasts {
    current: Option<Forecast>,
    /// The one before: the current one may not be ready yet.
    previous: Option<String>,
}

#[derive(Debug)]
struct Forecast {
    id: String,
    expires: Timestamp,
}

impl Forecasts {
    /// Whether half of the current one is over, or there is none.
    fn need_another(&self, now: Timestamp, look_ahead: Duration) -> bool {
        self.current.as_ref().is_none_or(|forecast| later(now, look_ahead) > forecast.expires)
    }

    fn add(&mut self, forecast: Forecast) {
        self.previous = self.current.replace(forecast).map(|forecast| forecast.id).or(self.previous.take());
    }
}

fn later(now: Timestamp, duration: Duration) -> Timestamp {
    now.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

struct Job {
    server: Elastic,
    trigger: ElasticForecast,
}

#[async_trait]
impl Scaler for Job {
    async fn sample(&self, memory: &mut Memory) -> Result<Reading, SourceError> {
        let mut forgotten = Forecasts::default();
        let forecasts = memory.get_or("forecasts", Forecasts::default).unwrap_or(&mut forgotten);
        let value = self.read(forecasts, crate::sampler::wall_clock()).await?;
        let sample = Sample::above(value, self.trigger.activation_target_value);
        Ok(vec![(self.trigger.metric_name(), sample)])
    }
}

impl Job {
    /// The prediction of the newest forecast that has one; 0 while none has.
    async fn read(&self, forecasts: &mut Forecasts, now: Timestamp) -> Result<f64, SourceError> {
        if forecasts.need_another(now, self.trigger.look_ahead) {
            match self.forecast(now).await {
                Ok(forecast) => forecasts.add(forecast),
                Err(error) if forecasts.current.as_ref().is_none_or(|forecast| forecast.expires <= now) => {
                    return Err(error.within("error creating a forecast"));
                }
                Err(error) => tracing::warn!(job = self.trigger.job, %error, "cannot renew a forecast"),
            }
        }
        let current = forecasts.current.as_ref().map(|forecast| &forecast.id);
        for id in current.into_iter().chain(&forecasts.previous) {
            let path = format!("/.ml-anomalies-{}/_search", self.trigger.index);
            let body = self.trigger.search(id, now).to_string();
            let answer = self.server.post(&path, &body).await;
            let answer = answer.map_err(|error| error.within("error querying a forecast"))?;
            if let Some(value) = prediction(&answer)? {
                return Ok(value);
            }
        }
        Ok(0.0)
    }

    async fn forecast(&self, now: Timestamp) -> Result<Forecast, SourceError> {
        let job = utf8_percent_encode(&self.trigger.job, NON_ALPHANUMERIC);
        let duration = self.trigger.look_ahead.saturating_mul(2);
        let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
        let body = json!({"duration": format!("{seconds}s"), "expires_in": format!("{seconds}s")});
        let path = format!("/_ml/anomaly_detectors/{job}/_forecast");
        let answer = self.server.post(&path, &body.to_string()).await?;
        match answer.get("forecast_id").and_then(Value::as_str) {
            Some(id) if !id.is_empty() => Ok(Forecast { id: id.to_string(), expires: later(now, duration) }),
            _ => Err(SourceError::malformed("forecast API response contained no forecast_id")),
        }
    }
}

impl ElasticForecast {
    fn metric_name(&self) -> String {
        normalize(&format!("elastic-forecast-{}", self.job))
    }

    /// The search for the last prediction up to `lookAhead` from now.
    fn search(&self, forecast: &str, now: Timestamp) -> Value {
        let terms = [
            ("job_id", self.job.as_str()),
            ("forecast_id", forecast),
            ("result_type", "model_forecast"),
            ("partition_field_value", &self.partition_field_value),
            ("by_field_value", &self.by_field_value),
        ];
        let terms = terms.into_iter().filter(|(_, value)| !value.is_empty());
        let mut filter: Vec<Value> = terms.map(|(field, value)| json!({"term": {field: value}})).collect();
        let until = later(now, self.look_ahead).as_millisecond();
        filter.push(json!({"range": {"timestamp": {"lte": until}}}));
        json!({
            "size": 1,
            "query": {"bool": {"filter": filter}},
            "sort": [{"timestamp": {"order": "desc"}}],
            "_source": ["forecast_prediction", "timestamp"],
        })
    }
}

/// The prediction in the answer to a search; `None` where it found none.
fn prediction(answer: &Value) -> Result<Option<f64>, SourceError> {
    let hits = answer.pointer("/hits/hits").and_then(Value::as_array);
    let hits = hits.ok_or_else(|| SourceError::malformed("the answer of elasticsearch has no hits.hits"))?;
    let found = match hits.first().and_then(|hit| hit.pointer("/_source/forecast_prediction")) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.parse().ok(),
        Some(_) => None,
    };
    found.map(Some).ok_or_else(|| SourceError::malformed("forecast_prediction is not a number"))
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    const SERVER: [(&str, &str); 3] = [("addresses", "http://h:9200"), ("username", "u"), ("password", "p")];

    fn parsed(target: &str, more: &[(&str, &str)]) -> (ElasticForecast, Vec<String>) {
        let metadata = [("jobID", "rps.job"), ("targetValue", target)].into_iter().chain(more.iter().copied());
        let (trigger, problems) = parse::<ElasticForecast>(&Inputs::from_metadata(metadata), &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_jobs() {
        let (trigger, problems) = parsed("10", &SERVER);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("elastic-forecast-rps-job", Target::Float(10.0));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn a_forecast_is_renewed_when_half_of_it_is_over() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let mut forecasts = Forecasts::default();
        assert!(forecasts.need_another(now, minutes(10)));
        forecasts.add(Forecast { id: "a".to_string(), expires: later(now, minutes(20)) });
        assert!(!forecasts.need_another(later(now, minutes(10)), minutes(10)));
        assert!(forecasts.need_another(later(now, minutes(11)), minutes(10)));
        assert_eq!(forecasts.previous, None);
        forecasts.add(Forecast { id: "b".to_string(), expires: later(now, minutes(31)) });
        assert_eq!(forecasts.previous.as_deref(), Some("a"));
    }

    #[test]
    fn a_prediction_may_be_missing_but_must_be_a_number() {
        let hit = |value: &str| {
            let answer = format!(r#"{{"hits":{{"hits":[{{"_source":{{"forecast_prediction":{value}}}}}]}}}}"#);
            prediction(&serde_json::from_str(&answer).unwrap())
        };
        assert_eq!(hit("42.5"), Ok(Some(42.5)));
        assert_eq!(hit("\"7\""), Ok(Some(7.0)));
        assert_eq!(hit("null"), Ok(None));
        assert!(hit("true").is_err() && hit("\"x\"").is_err());
        assert_eq!(prediction(&json!({"hits": {"hits": []}})), Ok(None));
        assert!(prediction(&json!({})).is_err());
    }

    #[test]
    fn target_and_time_are_above_zero() {
        assert_eq!(parsed("0", &SERVER).1, ["targetValue must be greater than 0"]);
        let now: Vec<_> = SERVER.into_iter().chain([("lookAhead", "0s")]).collect();
        assert_eq!(parsed("1", &now).1, ["lookAhead must be positive"]);
    }

    #[test]
    fn a_server_is_given_by_its_address_or_by_its_cloud() {
        let problem = |server: &[(&str, &str)]| parsed("1", server).1.into_iter().next();
        let starts = |server: &[(&str, &str)], text: &str| problem(server).is_some_and(|it| it.starts_with(text));
        assert!(starts(&[], "must provide either cloud config"));
        assert!(starts(&SERVER[..2], "username and password must both"));
        assert!(starts(&SERVER[1..], "username and password provided but no addresses"));
        assert!(starts(&[SERVER[0], ("cloudID", "c")], "cannot provide both"));
        assert!(starts(&[("cloudID", "c")], "cloudID and apiKey must both"));
        assert_eq!(problem(&[("cloudID", "c"), ("apiKey", "k")]), None);
    }
}
