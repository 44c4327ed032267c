//! `couchdb`: the number of documents that a query gives (`scalers/couchdb.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::secret::Secret;

use crate::trigger::{Specs, Trigger};

/// Scale on the number of documents that a query gives.
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct CouchDb {
    /// Address of the server as a URL, in place of host and port.
    #[meta(auth, trigger, env, optional)]
    connection_string: Secret,
    /// Host of the server.
    #[meta(auth, trigger, optional)]
    host: String,
    /// Port of the server.
    #[meta(auth, trigger, optional)]
    port: String,
    /// The user.
    #[meta(auth, trigger, optional)]
    username: String,
    /// The password.
    #[meta(auth, trigger, env, optional)]
    password: Secret,
    /// The database.
    #[meta(auth, trigger, optional)]
    db_name: String,
    /// The query, as JSON with `selector` and `fields`.
    #[meta(trigger, optional)]
    query: String,
    /// Documents that one replica is expected to handle.
    #[meta(trigger, optional)]
    query_value: i64,
    /// Documents above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_query_value: i64,
}

impl CouchDb {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.query_value == 0 && !reader.context().as_metric_source && !reader.has_errors() {
            reader.error("no queryValue given");
        }
        if self.connection_string.is_empty()
            && let Some(missing) = self.missing()
        {
            reader.error(format!("no {missing} given"));
        }
    }

    /// The first part of the connection that is missing.
    fn missing(&self) -> Option<&'static str> {
        let parts = [
            ("host", self.host.is_empty()),
            ("port", self.port.is_empty()),
            ("username", self.username.is_empty()),
            ("password", self.password.is_empty()),
            ("dbName", self.db_name.is_empty()),
        ];
        parts.into_iter().find_map(|(name, missing)| missing.then_some(name))
    }
}

impl Trigger for CouchDb {
    fn specs(&self, _: &Context) -> Specs {
        // KEDA's spelling: HPAs that are there have it.
        let name = normalize(&format!("coucdb-{}", self.db_name));
        Specs::one(MetricSpec::external(name, Target::Integer(self.query_value)))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(metadata: &[(&str, &str)], context: &Context) -> (CouchDb, Vec<String>) {
        let (trigger, problems) = parse::<CouchDb>(&Inputs::from_metadata(metadata.iter().copied()), context);
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_databases_and_misspelt() {
        let whole = [("connectionString", "http://h"), ("dbName", "animals.x"), ("queryValue", "3")];
        let (trigger, problems) = parsed(&whole, &Context::default());
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("coucdb-animals-x", Target::Integer(3));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn the_first_missing_part_is_told() {
        let parts = [("host", "h"), ("port", "1"), ("username", "u"), ("password", "p"), ("dbName", "d")];
        for (name, _) in parts {
            let mut rest: Vec<_> = parts.into_iter().filter(|(key, _)| *key != name).collect();
            rest.push(("queryValue", "1"));
            assert_eq!(parsed(&rest, &Context::default()).1, [format!("no {name} given")]);
        }
        let source = Context { as_metric_source: true, ..Context::default() };
        assert_eq!(parsed(&parts, &Context::default()).1, ["no queryValue given"]);
        assert!(parsed(&parts, &source).1.is_empty());
    }
}
