//! `graphite`: the last point of a series of Graphite (`scalers/graphite.md`).

use std::sync::Arc;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::query_escape;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;
use reqwest::{Client, Url};
use serde_json::Value;

use crate::client::Sources;
use crate::client::authentication::with_basic;
use crate::client::http;
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger};

const METRIC_NAME: &str = "graphite";

/// Scale on the last point of a series of Graphite.
///
/// What counts is the last point with a value of the one series that `query` gives. Several series are an error, so
/// make one of them with a function such as `sumSeries`; an empty answer counts as 0, as for a metric that does not
/// exist. A window without any value is an error: a longer `queryTime` helps. One replica is wanted per `threshold` of
/// the number, which is 100 where nothing is said. The target leaves zero when the number is above
/// `activationThreshold`.
///
/// `queryTime` says how far back to look, such as `-5Minutes`, and cannot have blanks.
///
/// Where the server wants a login, give `authMode: basic` in the metadata, and `username` and `password` in a
/// TriggerAuthentication. There is no other way to log in, and the certificate of an `https://` server is always
/// checked.
///
/// ```yaml
/// type: graphite
/// metadata:
///   serverAddress: http://graphite.monitoring.svc:8080
///   query: sumSeries(shop.*.uploads.waiting)
///   queryTime: -5Minutes
///   threshold: "30"
///   activationThreshold: "3"
///   authMode: basic
/// authenticationRef:
///   name: graphite-login
/// ---
/// secretTargetRef:
///   - parameter: username
///     name: graphite-login
///     key: username
///   - parameter: password
///     name: graphite-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct Graphite {
    /// Address of the server as a URL without `/render`, such as `http://graphite.monitoring.svc:8080`.
    #[meta(trigger)]
    server_address: String,
    /// The query, as in Graphite's parameter `target`; it must give one series.
    #[meta(trigger)]
    query: String,
    /// What one replica is expected to handle, in the unit of the query.
    #[meta(trigger, default = "100")]
    threshold: f64,
    /// Result of the query above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_threshold: f64,
    /// Start of the time window, as in Graphite's parameter `from`, such as `-10Minutes`; without blanks.
    #[meta(trigger)]
    query_time: String,
    /// How to log in; `basic` demands a `username`.
    #[meta(trigger, optional, one_of("basic"))]
    auth_mode: String,
    /// User to log in as; needed with `authMode`.
    #[meta(auth, optional)]
    username: String,
    /// Password of the user.
    #[meta(auth, optional)]
    password: Secret,
}

impl Graphite {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.auth_mode == "basic" && self.username.is_empty() {
            reader.error("username is required when authMode is 'basic'");
        }
    }
}

impl Trigger for Graphite {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(METRIC_NAME, Target::Float(self.threshold)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        Ok(Box::new(Server { client, trigger: self }))
    }
}

struct Server {
    client: Arc<Client>,
    trigger: Graphite,
}

#[async_trait]
impl Scaler for Server {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let trigger = &self.trigger;
        // KEDA sends a login at all times, if only an empty one.
        let request = with_basic(self.client.get(trigger.url()?), &trigger.username, &trigger.password)?;
        let answer = http::send(request).await?.json("graphite query")?;
        let value = trigger.value(&answer)?;
        Ok(vec![(METRIC_NAME.to_string(), Sample::above(value, trigger.activation_threshold))])
    }
}

impl Graphite {
    fn url(&self) -> Result<Url, SourceError> {
        let Graphite { server_address, query_time, query, .. } = self;
        let url = format!("{server_address}/render?from={query_time}&target={}&format=json", query_escape(query));
        http::address(&url, "serverAddress")
    }

    /// The last point with a value of the one series.
    fn value(&self, answer: &Value) -> Result<f64, SourceError> {
        let malformed = || SourceError::malformed("the answer of graphite is not a list of series with datapoints");
        let series = match answer.as_array().map(Vec::as_slice) {
            Some([]) => return Ok(0.0),
            Some([series]) => series,
            Some(_) => {
                let message = format!("graphite query {} returned multiple series", self.query);
                return Err(SourceError::configuration(message));
            }
            None => return Err(malformed()),
        };
        let points = series.get("datapoints").and_then(Value::as_array).ok_or_else(malformed)?;
        if points.is_empty() {
            return Ok(0.0);
        }
        for point in points.iter().rev() {
            match point.get(0) {
                Some(Value::Null) => {}
                Some(value) => return value.as_f64().ok_or_else(malformed),
                None => return Err(malformed()),
            }
        }
        Err(SourceError::malformed(format!(
            "no valid non-null response in query {}, try increasing your queryTime or check your query",
            self.query
        )))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(more: &[(&str, &str)], authentication: &[(&str, &str)]) -> (Graphite, Vec<String>) {
        let required = [("serverAddress", "http://g:81"), ("query", "a.b"), ("queryTime", "-10Minutes")];
        let inputs = Inputs::from_metadata(required.iter().chain(more).copied())
            .with_authentication(authentication.iter().copied());
        let (trigger, problems) = parse::<Graphite>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn a_hundred_is_the_target_of_who_gives_none() {
        let (trigger, problems) = parsed(&[], &[]);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("graphite", Target::Float(100.0));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn basic_wants_a_user_from_the_authentication() {
        let basic = [("authMode", "basic"), ("username", "u")];
        assert!(parsed(&basic[..1], &[("username", "u")]).1.is_empty());
        let message = "username is required when authMode is 'basic'";
        assert!(parsed(&basic, &[("password", "p")]).1.contains(&message.to_string()));
        assert!(parsed(&[("authMode", "tls")], &[]).1[0].contains("must be one of [basic]"));
    }
}
