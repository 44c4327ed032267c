//! `postgresql`: the number that a query gives (`scalers/postgresql.md`).

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::sample::{ErrorKind, Reading, Sample, SourceError};
use keda_core::secret::Secret;

use crate::client::Sources;
use crate::client::postgres::Postgres;
use crate::trigger::{Memory, Scaler, Specs, Trigger, Unreadable};

/// The one name that this trigger's metric has.
const METRIC: &str = "postgresql";

/// Scale on the number that a query gives in PostgreSQL.
///
/// What counts is the one column of the first row: a number, or text that is one. No row, NULL and a second column are
/// an error, so aggregate, and put `COALESCE(…, 0)` around a sum. One replica is wanted per `targetQueryValue` of the
/// number, which must be given and not be 0 unless a formula uses the trigger. The target leaves zero when the number
/// is above `activationTargetQueryValue`. A query may take 25 seconds; it runs at every reading, so give it an index.
///
/// Give the connection whole as `connection`, or in parts with `host`, `port`, `userName`, `dbName` and `sslmode`, all
/// five of them, and `password`. `connection` and `password` come from a TriggerAuthentication or from a variable of
/// the target's container (`connectionFromEnv`, `passwordFromEnv`); in the plain metadata they are of no effect.
/// Variables such as `PGHOST` are not read.
///
/// `sslmode: require` encrypts and takes any certificate. `verify-full` checks it with the authorities of the system
/// or, where `connection` says so (`sslrootcert`), those of a file that KEDA itself can read. The user needs the right
/// `SELECT` on what the query reads. Logging in with the `podIdentity` `azure-workload` is not supported yet.
///
/// ```yaml
/// type: postgresql
/// metadata:
///   host: postgres.shop.svc
///   port: "5432"
///   userName: autoscaler
///   dbName: shop
///   sslmode: require
///   query: SELECT COUNT(*) FROM exports WHERE state IN ('queued', 'running')
///   targetQueryValue: "8"
///   activationTargetQueryValue: "1"
/// authenticationRef:
///   name: postgres-login
/// ---
/// secretTargetRef:
///   - parameter: password
///     name: postgres-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct PostgreSql {
    /// The query: one number in the one column of its first row. No row is an error.
    #[meta(trigger)]
    query: String,
    /// What one replica is expected to handle, in the unit of the query; it must be given and not be 0.
    #[meta(trigger, optional)]
    target_query_value: f64,
    /// Result of the query above which the target leaves zero; 0 when not given.
    #[meta(trigger, optional)]
    activation_target_query_value: f64,
    /// The whole connection, as `postgresql://user:password@host:5432/database?sslmode=require` or
    /// `host=… port=… user=…`, in place of `host` and what belongs to it.
    #[meta(auth, env, optional)]
    connection: Secret,
    /// Host of the server, such as `postgres.shop.svc`; needed without `connection`.
    #[meta(auth, trigger, optional)]
    host: String,
    /// Port of the server, such as `5432`; needed without `connection`.
    #[meta(auth, trigger, optional)]
    port: String,
    /// User to log in as; needed without `connection`.
    #[meta(auth, trigger, optional)]
    user_name: String,
    /// The database; needed without `connection`.
    #[meta(auth, trigger, optional)]
    db_name: String,
    /// Whether and how to use TLS: `disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`; needed
    /// without `connection`.
    #[meta(name = "sslmode", auth, trigger, optional)]
    ssl_mode: String,
    /// Password of the user; none when not given.
    #[meta(auth, env, optional)]
    password: Secret,
}

impl PostgreSql {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.target_query_value == 0.0 && !reader.context().as_metric_source {
            reader.error("no targetQueryValue given");
            return;
        }
        if !self.connection.is_empty() {
            return;
        }
        let fields = [
            ("host", &self.host),
            ("port", &self.port),
            ("userName", &self.user_name),
            ("dbName", &self.db_name),
            ("sslmode", &self.ssl_mode),
        ];
        if let Some((name, _)) = fields.iter().find(|(_, value)| value.is_empty()) {
            reader.error(format!("no {name} given"));
        }
    }

    /// The connection string, made of the single parameters where it is not given.
    fn connection_string(&self) -> Secret {
        if !self.connection.is_empty() {
            return self.connection.clone();
        }
        let fields = [
            ("host", self.host.as_str()),
            ("port", &self.port),
            ("user", &self.user_name),
            ("dbname", &self.db_name),
            ("sslmode", &self.ssl_mode),
            ("password", self.password.expose()),
        ];
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
        Secret::new(fields.join(" "))
    }
}

/// A value that can only be read as itself.
fn quoted(value: &str) -> String {
    if value.contains(|c: char| c.is_whitespace() || matches!(c, '\'' | '\\')) {
        format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
    } else {
        value.to_string()
    }
}

impl Trigger for PostgreSql {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(METRIC, Target::Float(self.target_query_value)))
    }

    fn connect(self, context: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        if context.identity_provider() == "azure-workload" {
            let message = "logging in to PostgreSQL with an Azure workload identity is not supported yet";
            return Ok(Box::new(Unreadable(SourceError::new(ErrorKind::Unsupported, message))));
        }
        let postgres = Postgres::new(&self.connection_string(), sources)?;
        Ok(Box::new(Query { postgres, text: self.query, activation: self.activation_target_query_value }))
    }
}

struct Query {
    postgres: Postgres,
    text: String,
    activation: f64,
}

#[async_trait]
impl Scaler for Query {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let value = self
            .postgres
            .number(&self.text)
            .await
            .map_err(|error| error.within("error inspecting postgreSQL: could not query postgreSQL"))?;
        Ok(vec![(METRIC.to_string(), Sample::above(value, self.activation))])
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    const FIELDS: [(&str, &str); 7] = [
        ("query", "SELECT 1"),
        ("targetQueryValue", "5"),
        ("host", "test_host"),
        ("port", "5432"),
        ("userName", "u"),
        ("dbName", "d"),
        ("sslmode", "disable"),
    ];

    fn parsed(metadata: &[(&str, &str)], authentication: &[(&str, &str)]) -> (PostgreSql, Vec<String>) {
        let inputs = Inputs::from_metadata(metadata.iter().copied())
            .with_authentication(authentication.iter().copied())
            .with_environment([("C", "postgresql://localhost:5432")]);
        let (trigger, problems) = parse::<PostgreSql>(&inputs, &Context::default());
        let errors = problems.into_iter().filter(|problem| problem.message.starts_with("no "));
        (trigger, errors.map(|problem| problem.message).collect())
    }

    #[test]
    fn the_connection_comes_whole_or_in_fields() {
        let whole = [("query", "q"), ("targetQueryValue", "5"), ("connectionFromEnv", "C")];
        assert_eq!(parsed(&whole, &[]).0.connection_string(), Secret::new("postgresql://localhost:5432"));
        let (trigger, problems) = parsed(&FIELDS, &[("password", r"p'a\s s")]);
        assert!(problems.is_empty());
        let expected = r"host=test_host port=5432 user=u dbname=d sslmode=disable password='p\'a\\s s'";
        assert_eq!(trigger.connection_string().expose(), expected);
    }

    #[test]
    fn the_first_missing_field_is_told() {
        for (name, _) in FIELDS.into_iter().skip(2) {
            let metadata: Vec<_> = FIELDS.into_iter().filter(|(key, _)| *key != name).collect();
            assert_eq!(parsed(&metadata, &[]).1, [format!("no {name} given")]);
        }
        let plain = [("query", "q"), ("targetQueryValue", "5"), ("connection", "postgresql://h")];
        assert_eq!(parsed(&plain, &[]).1, ["no host given"], "a connection in plain metadata is not read");
        assert_eq!(parsed(&[("query", "q"), ("connectionFromEnv", "C")], &[]).1, ["no targetQueryValue given"]);
    }
}
