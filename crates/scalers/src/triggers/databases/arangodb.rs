//! `arangodb`: the number that a query gives (`scalers/arangodb.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};

use crate::client::authentication::Authentication;
use crate::trigger::{Specs, Trigger};

/// Scale on the number that a query gives.
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct ArangoDb {
    /// Addresses of the servers, as URLs.
    #[meta(auth, trigger)]
    endpoints: Vec<String>,
    /// How to log in; only the modes basic and bearer have an effect.
    #[meta(group)]
    authentication: Authentication,
    /// The database.
    #[meta(trigger, auth)]
    db_name: String,
    /// A collection that has to exist.
    #[meta(trigger)]
    collection: String,
    /// The query in AQL: one document `{"value": number}`.
    #[meta(trigger)]
    query: String,
    /// What one replica is expected to handle.
    #[meta(trigger, default = "0")]
    query_value: f64,
    /// Value above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_query_value: f64,
    /// Whether to take any certificate of the server.
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
