//! `arangodb`: the number that a query gives (`scalers/arangodb.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};

use crate::client::authentication::Authentication;
use crate::trigger::{Specs, Trigger};

/// Scale on the number that an AQL query gives in ArangoDB.
///
/// The query must give exactly one document of the form `{"value": number}`, so end it with something like
/// `RETURN {value: …}`; more documents than one, or none, are an error. One replica is wanted per `queryValue` of that
/// number. The target leaves zero when the number is above `activationQueryValue`.
///
/// Before the query runs, the database `dbName` and the collection `collection` must exist; otherwise the reading
/// fails. The query itself may use other collections too. `queryValue` has to be given: its default of 0 is refused,
/// except under a formula (`scalingModifiers`).
///
/// Log in with `authModes: basic` and the parameters `username` and `password` of a TriggerAuthentication, or with
/// `authModes: bearer` and `bearerToken`. The other modes are accepted and have no effect. The user needs read access
/// to the database and its collections.
///
/// ```yaml
/// type: arangodb
/// metadata:
///   endpoints: http://arangodb.shop.svc:8529
///   dbName: shop
///   collection: parcels
///   query: |
///     FOR parcel IN parcels
///       FILTER parcel.state == "unlabelled"
///       COLLECT WITH COUNT INTO unlabelled
///       RETURN {value: unlabelled}
///   queryValue: "25"
///   activationQueryValue: "5"
///   authModes: basic
/// authenticationRef:
///   name: arangodb-login
/// ---
/// secretTargetRef:
///   - parameter: username
///     name: arangodb-login
///     key: username
///   - parameter: password
///     name: arangodb-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct ArangoDb {
    /// Addresses of the servers as URLs, such as `http://arangodb.shop.svc:8529`, with commas and no blanks between
    /// them. The next is tried where one cannot be reached.
    #[meta(auth, trigger)]
    endpoints: Vec<String>,
    /// How to log in; only the modes `basic` and `bearer` have an effect.
    #[meta(group)]
    authentication: Authentication,
    /// The database that the query runs in.
    #[meta(trigger, auth)]
    db_name: String,
    /// A collection of the database that has to exist.
    #[meta(trigger)]
    collection: String,
    /// The query in AQL. It must give one document `{"value": number}`.
    #[meta(trigger)]
    query: String,
    /// What one replica is expected to handle, in the unit of the query; it must not be 0.
    #[meta(trigger, default = "0")]
    query_value: f64,
    /// Result of the query above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_query_value: f64,
    /// Whether to take any certificate of an `https://` server.
    #[meta(trigger, default = "false")]
    unsafe_ssl: bool,
    /// Of no effect: connections are shared.
    #[meta(trigger, optional)]
    connection_limit: i64,
}

impl ArangoDb {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.query_value == 0.0 && !reader.context().as_metric_source && !reader.has_errors() {
            reader.error("no QueryValue given");
        }
    }
}

impl Trigger for ArangoDb {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external("arangodb", Target::Float(self.query_value)))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(more: &[(&str, &str)]) -> (ArangoDb, Vec<String>) {
        let metadata = [("endpoints", "http://h:8529"), ("dbName", "d"), ("collection", "c"), ("query", "q")];
        let inputs = Inputs::from_metadata(metadata.into_iter().chain(more.iter().copied()));
        let (trigger, problems) = parse::<ArangoDb>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_always_the_same() {
        let (trigger, problems) = parsed(&[("queryValue", "0.5")]);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("arangodb", Target::Float(0.5));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn a_target_and_one_way_to_log_in_are_wanted() {
        assert_eq!(parsed(&[]).1, ["no QueryValue given"]);
        let modes = [("queryValue", "1"), ("authModes", "basic,bearer")];
        assert!(parsed(&modes).1[0].contains("must contain only one of [bearer basic oauth]"));
        assert!(parsed(&[("queryValue", "1"), ("authModes", "basic")]).1[0].contains("username=<empty>"));
    }
}
