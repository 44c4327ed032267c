//! `influxdb`: the number that a query of InfluxDB 2 or 3 gives (`scalers/influxdb.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::secret::Secret;

use crate::trigger::{Specs, Trigger};

/// Scale on the number that a query gives in InfluxDB 2 or 3.
///
/// One replica is wanted per `thresholdValue` of the number, which must not be 0 unless a formula uses the trigger. The
/// target leaves zero when the number is above `activationThresholdValue`. Which number it is, and what must be given,
/// depends on `influxVersion`:
///
/// - `2` needs `organizationName` and a query in Flux. What counts is `_value` of the first record, a number; no record
///   is an error. So sum up several series with `group()` and a function such as `sum()`.
/// - `3` needs `database`, `metricKey` and a query in InfluxQL, or in SQL with `queryType: FlightSQL`. What counts is
///   the column `metricKey` of the last row; no row counts as 0.
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
#[expect(dead_code, reason = "read once the source is written")]
pub struct InfluxDb {
    /// Removed: a token in the plain metadata is refused. Give it in a TriggerAuthentication, or with
    /// `authTokenFromEnv`.
    #[meta(
        name = "authToken",
        trigger,
        optional,
        deprecated = "The 'authToken' setting from triggerMetadata is DEPRECATED and is removed in v2.20 - Use 'authToken' from resolvedEnv or authParams instead"
    )]
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
        let what = if self.influx_version == "3" { &self.database } else { &self.organization_name };
        let name = normalize(&format!("influxdb-{what}"));
        Specs::one(MetricSpec::external(name, Target::Float(self.threshold_value)))
    }
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
