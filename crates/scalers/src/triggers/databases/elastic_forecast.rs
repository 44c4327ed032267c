//! `elastic-forecast`: what a machine learning job of Elasticsearch foresees (`scalers/elastic-forecast.md`).

use std::time::Duration;

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;

use crate::client::elastic::ElasticServer;
use crate::trigger::{Specs, Trigger};

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
#[expect(dead_code, reason = "read once the source is written")]
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
        let name = normalize(&format!("elastic-forecast-{}", self.job));
        Specs::one(MetricSpec::external(name, Target::Float(self.target_value)))
    }
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
