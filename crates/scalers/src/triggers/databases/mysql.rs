//! `mysql`: the number that a query gives (`scalers/mysql.md`).

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;

use crate::client::Sources;
use crate::client::mysql::{Dsn, MySql as Client};
use crate::trigger::{Memory, Scaler, Specs, Trigger, Unreadable};

/// Scale on the number that a query gives in MySQL or MariaDB.
///
/// What counts is the one column of the first row: a number, or text that is one. No row, NULL and a second column are
/// an error, so aggregate, and put `COALESCE(…, 0)` around a sum. One replica is wanted per `queryValue` of the number.
/// The target leaves zero when the number is above `activationQueryValue`.
///
/// Give the connection whole as `connectionString`, or in parts with `host`, `port`, `username`, `password` and
/// `dbName`. The connection string wins over all parts and is the only way to use TLS (`?tls=true`). Of the parts none
/// is demanded: one that is missing shows only when the server is asked. In a connection string user and password stand
/// as they are, without percent signs for special characters.
///
/// Connection string and password come from a TriggerAuthentication or from a variable of the target's container; in
/// the plain metadata they are of no effect. The user needs the right `SELECT` on what the query reads.
///
/// ```yaml
/// type: mysql
/// metadata:
///   host: mysql.shop.svc
///   port: "3306"
///   username: autoscaler
///   dbName: shop
///   query: SELECT COUNT(*) FROM letters WHERE sent_at IS NULL
///   queryValue: "60"
///   activationQueryValue: "10"
/// authenticationRef:
///   name: mysql-login
/// ---
/// secretTargetRef:
///   - parameter: password
///     name: mysql-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct MySql {
    /// The whole connection, as `user:password@tcp(host:port)/database?parameters`, in place of `host` and what belongs
    /// to it. The slash before the database is needed.
    #[meta(auth, env, optional)]
    connection_string: Secret,
    /// User to log in as.
    #[meta(trigger, auth, env, optional)]
    username: String,
    /// Password of the user.
    #[meta(auth, env, optional)]
    password: Secret,
    /// Host of the server, such as `mysql.shop.svc`; needed without `connectionString`.
    #[meta(trigger, auth, optional)]
    host: String,
    /// Port of the server, such as `3306`; needed without `connectionString`.
    #[meta(trigger, auth, optional)]
    port: String,
    /// The database; the metric is named after it.
    #[meta(trigger, auth, optional)]
    db_name: String,
    /// The query: one number in the one column of its first row. No row is an error.
    #[meta(trigger)]
    query: String,
    /// What one replica is expected to handle, in the unit of the query.
    #[meta(trigger)]
    query_value: f64,
    /// Result of the query above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_query_value: f64,
    /// Of no effect: the metric is named after the database.
    #[meta(trigger, optional)]
    #[expect(dead_code, reason = "of no effect")]
    metric_name: String,
}

impl MySql {
    fn check(&mut self, reader: &mut Reader<'_>) {
        // No driver takes such a string, and the name of the metric would be all of it, with the password.
        if !self.connection_string.is_empty() && !self.connection_string.expose().contains('/') {
            reader.error("invalid DSN: missing the slash separating the database name");
        }
    }

    fn metric_name(&self) -> String {
        normalize(&format!("mysql-{}", self.database()))
    }

    fn dsn(&self) -> Result<Dsn, String> {
        if !self.connection_string.is_empty() {
            return Dsn::parse(self.connection_string.expose());
        }
        let dsn = Dsn::of_parts(&self.host, &self.port, &self.db_name)?;
        Ok(Dsn { user: self.username.clone(), password: self.password.clone(), ..dsn })
    }

    /// The database; of a whole connection with the parameters behind it, as in KEDA.
    fn database(&self) -> &str {
        if self.connection_string.is_empty() {
            return &self.db_name;
        }
        self.connection_string.expose().rsplit_once('/').map_or("", |(_, database)| database)
    }
}

impl Trigger for MySql {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Float(self.query_value)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        match self.dsn() {
            Ok(dsn) => Ok(Box::new(Query { client: Client::new(dsn, sources), trigger: self })),
            Err(what) => {
                let message = format!("error establishing MySQL connection: {what}");
                Ok(Box::new(Unreadable(SourceError::configuration(message))))
            }
        }
    }
}

struct Query {
    client: Client,
    trigger: MySql,
}

#[async_trait]
impl Scaler for Query {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let value = self.client.number(&self.trigger.query).await;
        let value = value.map_err(|error| error.within("error inspecting MySQL"))?;
        Ok(vec![(self.trigger.metric_name(), Sample::above(value, self.trigger.activation_query_value))])
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(connection: &str) -> (MySql, Vec<String>) {
        let inputs = Inputs::from_metadata([("query", "q"), ("queryValue", "4.5"), ("dbName", "my.db")])
            .with_authentication([("connectionString", connection)]);
        let (trigger, problems) = parse::<MySql>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    fn specs(connection: &str) -> Specs {
        let (trigger, problems) = parsed(connection);
        assert!(problems.is_empty(), "{problems:?}");
        trigger.specs(&Context::default())
    }

    #[test]
    fn the_name_is_the_databases() {
        let spec = |name: &str| Specs::one(MetricSpec::external(name, Target::Float(4.5)));
        assert_eq!(specs(""), spec("mysql-my-db"));
        assert_eq!(specs("u:p@tcp(h:3306)/stats_db?tls=true"), spec("mysql-stats_db?tls=true"));
    }

    #[test]
    fn a_connection_without_a_database_is_refused_and_not_shown() {
        let (_, problems) = parsed("u:hunter2@tcp(h:3306)");
        assert_eq!(problems, ["invalid DSN: missing the slash separating the database name"]);
    }
}
