//! `influxdb`: the number that a query of InfluxDB 2 or 3 gives (`scalers/influxdb.md`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{ErrorKind, Reading, Sample, SourceError};
use keda_core::secret::Secret;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Client, Url};
use serde_json::json;

use crate::client::Sources;
use crate::client::http;
use crate::client::servers::Server;
use crate::client::tls::TlsOptions;
use crate::format::annotated_csv;
use crate::trigger::{Memory, Scaler, Specs, Trigger, Unreadable};

/// The longest that a query may take: the time limit of requests is too short for Flux.
const QUERY: Duration = Duration::from_secs(20);

/// Scale on the number that a query gives in InfluxDB 2 or 3.
///
/// One replica is wanted per `thresholdValue` of the number, which must not be 0 unless a formula uses the trigger. The
/// target leaves zero when the number is above `activationThresholdValue`. Which number it is, and what must be given,
/// depends on `influxVersion`:
///
/// - `2` needs `organizationName` and a query in Flux. What counts is `_value` of the first record, a number; no record
///   is an error. So sum up several series with `group()` and a function such as `sum()`.
/// - `3` needs `database`, `metricKey` and a query in InfluxQL, or in SQL with `queryType: FlightSQL`. What counts is
///   the column `metricKey` of the last row; no row counts as 0. It cannot be read yet: each reading fails.
///
/// Log in with the parameter `authToken` of a TriggerAuthentication, or with a variable of the target's container that
/// `authTokenFromEnv` names. `authToken` in the plain metadata is refused. The token needs to read the bucket or
/// database. `unsafeSsl` is of no effect with version 3.
///
/// ```yaml
/// type: influxdb
/// metadata:
///   serverURL: http://influxdb.shop.svc:8086
///   organizationName: shop
///   query: |
///     from(bucket: "sensors")
///       |> range(start: -5m)
///       |> filter(fn: (r) => r._measurement == "belt" and r._field == "parcels")
///       |> group()
///       |> sum()
///   thresholdValue: "100"
///   activationThresholdValue: "10"
/// authenticationRef:
///   name: influxdb-token
/// ---
/// secretTargetRef:
///   - parameter: authToken
///     name: influxdb-token
///     key: token
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct InfluxDb {
    /// Removed: a token in the plain metadata is refused. Give it in a TriggerAuthentication, or with
    /// `authTokenFromEnv`.
    #[meta(
        name = "authToken",
        trigger,
        optional,
        deprecated = "The 'authToken' setting from triggerMetadata is DEPRECATED and is removed in v2.20 - Use 'authToken' from resolvedEnv or authParams instead"
    )]
    #[expect(dead_code, reason = "it is refused")]
    plain_auth_token: Secret,
    /// Token to log in with, which must be allowed to read what the query reads. Nothing is sent when it is not given.
    #[meta(env, auth, optional)]
    auth_token: Secret,
    /// The organization; InfluxDB 2 needs it, InfluxDB 3 does not.
    #[meta(trigger, env, auth, optional)]
    organization_name: String,
    /// The query: Flux for InfluxDB 2, in the language of `queryType` for InfluxDB 3.
    #[meta(trigger)]
    query: String,
    /// Version of InfluxDB, which decides what else must be given.
    #[meta(trigger, default = "2", one_of("2", "3"))]
    influx_version: String,
    /// Language of a query of InfluxDB 3: `InfluxQL`, or `FlightSQL` for SQL, in any case of letters. Of no effect with
    /// InfluxDB 2.
    #[meta(trigger, default = "InfluxQL")]
    query_type: String,
    /// The database; InfluxDB 3 needs it.
    #[meta(trigger, auth, optional)]
    database: String,
    /// Column of the result that has the number; InfluxDB 3 needs it.
    #[meta(trigger, optional)]
    metric_key: String,
    /// Address of the server as a URL, such as `http://influxdb.shop.svc:8086`.
    #[meta(name = "serverURL", trigger, auth)]
    server_url: String,
    /// Whether to take any certificate of the server; only of InfluxDB 2.
    #[meta(trigger, optional)]
    unsafe_ssl: bool,
    /// What one replica is expected to handle, in the unit of the query; it must be given and not be 0.
    #[meta(trigger, optional)]
    threshold_value: f64,
    /// Result of the query above which the target leaves zero; 0 when not given.
    #[meta(trigger, optional)]
    activation_threshold_value: f64,
}

impl InfluxDb {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.threshold_value == 0.0 && !reader.context().as_metric_source && !reader.has_errors() {
            reader.error("no threshold value given");
        }
        // `2,3` counts as an allowed word in KEDA and is held to the rules of neither.
        match self.influx_version.as_str() {
            "3" => self.check_version_3(reader),
            "2" if self.organization_name.is_empty() => {
                reader.error("organizationName is required if influxVersion is 2");
            }
            _ => {}
        }
    }

    fn check_version_3(&self, reader: &mut Reader<'_>) {
        if self.database.is_empty() {
            reader.error("database is required if influxVersion is 3");
        }
        if self.metric_key.is_empty() {
            reader.error("metricKey is required if influxVersion is 3");
        }
        if !matches!(self.query_type.to_lowercase().as_str(), "influxql" | "flightsql") {
            reader.error_at("queryType", "query type must be 'influxql' or 'flightsql'");
        }
    }
}

impl Trigger for InfluxDb {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Float(self.threshold_value)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        if self.influx_version == "3" {
            let message = "reading InfluxDB 3 (influxVersion: \"3\") is not supported yet";
            return Ok(Box::new(Unreadable(SourceError::new(ErrorKind::Unsupported, message))));
        }
        let tls = TlsOptions { insecure: self.unsafe_ssl, ..TlsOptions::default() };
        let client = sources.http.client(&sources.tls, &tls)?;
        let (url, authorization) = (self.url()?, self.authorization()?);
        Ok(Box::new(Organization { client, url, authorization, trigger: self }))
    }
}

impl InfluxDb {
    fn metric_name(&self) -> String {
        let what = if self.influx_version == "3" { &self.database } else { &self.organization_name };
        normalize(&format!("influxdb-{what}"))
    }

    fn url(&self) -> Result<Url, SourceError> {
        let mut url = Server::parse("serverURL", &self.server_url)?.at("/api/v2/query");
        url.query_pairs_mut().append_pair("org", &self.organization_name);
        Ok(url)
    }

    fn authorization(&self) -> Result<Option<HeaderValue>, SourceError> {
        if self.auth_token.is_empty() {
            return Ok(None);
        }
        let mut header = HeaderValue::from_str(&format!("Token {}", self.auth_token.expose()))
            .map_err(|_| SourceError::configuration("authToken has characters that no token has"))?;
        header.set_sensitive(true);
        Ok(Some(header))
    }
}

struct Organization {
    client: Arc<Client>,
    url: Url,
    authorization: Option<HeaderValue>,
    trigger: InfluxDb,
}

#[async_trait]
impl Scaler for Organization {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let dialect = json!({"annotations": ["datatype", "group", "default"], "delimiter": ",", "header": true});
        let question = json!({"dialect": dialect, "query": self.trigger.query, "type": "flux"});
        let mut request = self.client.post(self.url.clone()).timeout(QUERY).json(&question);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let answer = http::send(request).await?.success("the query to InfluxDB failed")?;
        let value = value(&answer)?;
        let sample = Sample::above(value, self.trigger.activation_threshold_value);
        Ok(vec![(self.trigger.metric_name(), sample)])
    }
}

/// `_value` of the first record.
fn value(answer: &str) -> Result<f64, SourceError> {
    let record = annotated_csv::first_record(answer).map_err(SourceError::malformed)?;
    let record = record.ok_or_else(|| SourceError::malformed("no results found from query"))?;
    let field = record.iter().find(|field| field.name == "_value");
    let number = field.filter(|field| matches!(field.kind.as_str(), "double" | "long"));
    number.and_then(|field| field.text.parse().ok()).ok_or_else(|| {
        let kind = field.map_or("nothing", |field| field.kind.as_str());
        SourceError::malformed(format!("value of type {kind} could not be converted into a float"))
    })
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(more: &[(&str, &str)]) -> (InfluxDb, Vec<String>) {
        let metadata = [("serverURL", "http://i"), ("query", "q")].into_iter().chain(more.iter().copied());
        let inputs = Inputs::from_metadata(metadata).with_authentication([("authToken", "hunter2")]);
        let (trigger, problems) = parse::<InfluxDb>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_organizations_or_the_databases() {
        let specs = |more: &[(&str, &str)]| {
            let (trigger, problems) = parsed(more);
            assert!(problems.is_empty(), "{problems:?}");
            trigger.specs(&Context::default())
        };
        let spec = |name: &str| Specs::one(MetricSpec::external(name, Target::Float(10.0)));
        let threshold = ("thresholdValue", "10");
        assert_eq!(specs(&[threshold, ("organizationName", "my.org")]), spec("influxdb-my-org"));
        let version_3 = [threshold, ("influxVersion", "3"), ("database", "d"), ("metricKey", "n")];
        assert_eq!(specs(&version_3), spec("influxdb-d"));
        assert_eq!(specs(&[threshold, ("influxVersion", "2,3")]), spec("influxdb-"));
    }

    #[test]
    fn the_number_is_that_of_the_first_record() {
        let answer = |kind: &str, text: &str| {
            value(&format!(
                "#datatype,string,long,{kind}\r\n#group,false,false,false\r\n#default,_result,,\r\n,result,table,_value\r\n,,0,{text}\r\n"
            ))
        };
        assert_eq!(answer("double", "2.5"), Ok(2.5));
        assert_eq!(answer("long", "7\r\n,,0,9"), Ok(7.0));
        for (kind, text) in [("unsignedLong", "1"), ("string", "1"), ("double", "")] {
            let message = answer(kind, text).unwrap_err().message;
            assert_eq!(message, format!("value of type {kind} could not be converted into a float"));
        }
        assert_eq!(value("\r\n").unwrap_err().message, "no results found from query");
    }

    #[test]
    fn each_version_wants_its_own() {
        let threshold = ("thresholdValue", "10");
        assert_eq!(parsed(&[threshold]).1, ["organizationName is required if influxVersion is 2"]);
        let version_3 = [threshold, ("influxVersion", "3"), ("queryType", "flux")];
        assert_eq!(parsed(&version_3).1.len(), 3);
        assert_eq!(parsed(&[("organizationName", "o")]).1, ["no threshold value given"]);
    }

    #[test]
    fn a_token_in_plain_metadata_is_refused() {
        let more = [("thresholdValue", "10"), ("organizationName", "o"), ("authToken", "hunter2")];
        let (_, problems) = parsed(&more);
        assert!(problems[0].contains("from triggerMetadata is DEPRECATED") && !problems[0].contains("hunter2"));
    }
}
