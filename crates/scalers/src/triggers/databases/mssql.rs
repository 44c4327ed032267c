//! `mssql`: the number that a query of SQL Server or Azure SQL gives (`scalers/mssql.md`).

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::sample::{ErrorKind, Reading, Sample, SourceError};
use keda_core::secret::Secret;

use crate::client::Sources;
use crate::client::mssql::{Dsn, MsSql};
use crate::trigger::{Memory, Scaler, Specs, Trigger, Unreadable};

/// The one name that this trigger's metric has.
const METRIC: &str = "mssql";

/// Scale on the number that a query gives in SQL Server or Azure SQL.
///
/// What counts is the one column of the first row: a number, or text that is one. No row counts as 0; NULL, a bit and a
/// second column are an error, so use `COALESCE` around a sum. One replica is wanted per `targetValue` of the number,
/// which must not be 0 unless a formula uses the trigger. The target leaves zero when the number is above
/// `activationTargetValue`.
///
/// Give the connection whole as `connectionString`, or in parts with `host` and what is needed of `port`, `username`,
/// `password` and `database`; `connectionString` wins over all parts, and is the only way to say how TLS is used
/// (`encrypt`, `trustservercertificate`).
///
/// Log in with user and password, which is of no effect without a user. Logging in with the `podIdentity`
/// `azure-workload` is not supported yet; other providers are refused. Connection string and password come from a
/// TriggerAuthentication or from a variable of the target's container, never from the plain metadata. The user needs
/// the right `SELECT` on what the query reads.
///
/// ```yaml
/// type: mssql
/// metadata:
///   host: sqlserver.shop.svc
///   port: "1433"
///   database: Claims
///   username: autoscaler
///   query: SELECT COUNT(*) FROM dbo.OpenClaims WHERE AssignedTo IS NULL
///   targetValue: "10"
///   activationTargetValue: "1"
/// authenticationRef:
///   name: sqlserver-login
/// ---
/// secretTargetRef:
///   - parameter: password
///     name: sqlserver-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct SqlServer {
    /// The whole connection, as `sqlserver://user:password@host:1433?database=name` or `Server=host;Database=name;…`,
    /// in place of `host` and what belongs to it.
    #[meta(auth, env, optional)]
    connection_string: Secret,
    /// User to log in as; not used with a pod identity.
    #[meta(auth, trigger, optional)]
    username: String,
    /// Password of the user; of no effect without `username`.
    #[meta(auth, env, optional)]
    password: Secret,
    /// Host of the server, such as `sqlserver.shop.svc`; needed without `connectionString`.
    #[meta(auth, trigger, optional)]
    host: String,
    /// Port of the server; 1433 when not given or 0.
    #[meta(auth, trigger, optional)]
    port: i64,
    /// The database; the user's own when not given.
    #[meta(auth, trigger, optional)]
    database: String,
    /// The query: one number in the one column of its first row. No row counts as 0.
    #[meta(trigger)]
    query: String,
    /// What one replica is expected to handle, in the unit of the query; it must not be 0.
    #[meta(trigger)]
    target_value: f64,
    /// Result of the query above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_target_value: f64,
}

impl SqlServer {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.target_value == 0.0 && !reader.context().as_metric_source && !reader.has_errors() {
            reader.error("no targetValue given");
        }
        if self.connection_string.is_empty() && self.host.is_empty() {
            reader.error("must provide either connectionstring or host");
        }
        let provider = reader.context().identity_provider();
        if !matches!(provider, "none" | "azure-workload") {
            reader.error(format!("pod identity {provider} is not supported for mssql scaler"));
        }
    }
}

impl Trigger for SqlServer {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(METRIC, Target::Float(self.target_value)))
    }

    fn connect(self, context: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        if context.identity_provider() == "azure-workload" {
            let message = "logging in to SQL Server with an Azure workload identity is not supported yet";
            return Ok(Box::new(Unreadable(SourceError::new(ErrorKind::Unsupported, message))));
        }
        let dsn = match self.dsn() {
            Ok(dsn) => dsn,
            Err(what) => {
                let message = format!("error establishing mssql connection: {what}");
                return Ok(Box::new(Unreadable(SourceError::configuration(message))));
            }
        };
        let (text, activation) = (self.query, self.activation_target_value);
        Ok(Box::new(Query { server: MsSql::new(dsn, sources), text, activation }))
    }
}

impl SqlServer {
    /// What the connection string says, or the single parameters. A password alone is of no effect.
    fn dsn(&self) -> Result<Dsn, String> {
        let dsn = if self.connection_string.is_empty() {
            let password = if self.username.is_empty() { Secret::default() } else { self.password.clone() };
            let (user, database) = (self.username.clone(), self.database.clone());
            Dsn { user, password, database, ..Dsn::of_parts(&self.host, self.port)? }
        } else {
            Dsn::parse(self.connection_string.expose())?
        };
        if dsn.user.contains('\\') {
            return Err("logging in as a user of a Windows domain is not supported yet".to_string());
        }
        Ok(dsn)
    }
}

struct Query {
    server: MsSql,
    text: String,
    activation: f64,
}

#[async_trait]
impl Scaler for Query {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let value = self.server.number(&self.text).await.map_err(|error| error.within("error inspecting mssql"))?;
        Ok(vec![(METRIC.to_string(), Sample::above(value, self.activation))])
    }
}

#[cfg(test)]
mod tests {
    use keda_core::api::PodIdentity;
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn problems(target: &str, more: &[(&str, &str)], context: &Context) -> Vec<String> {
        let metadata = [("query", "q"), ("targetValue", target)].into_iter().chain(more.iter().copied());
        let (_, problems) = parse::<SqlServer>(&Inputs::from_metadata(metadata), context);
        problems.into_iter().map(|problem| problem.message).collect()
    }

    #[test]
    fn the_name_is_always_the_same() {
        let inputs = Inputs::from_metadata([("query", "q"), ("targetValue", "2.5"), ("host", "h"), ("port", "1433")]);
        let (trigger, problems) = parse::<SqlServer>(&inputs, &Context::default());
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("mssql", Target::Float(2.5));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn a_server_and_a_target_are_wanted() {
        let plain = Context::default();
        assert_eq!(problems("1", &[], &plain), ["must provide either connectionstring or host"]);
        assert_eq!(problems("0", &[("host", "h")], &plain), ["no targetValue given"]);
        let source = Context { as_metric_source: true, ..Context::default() };
        assert!(problems("0", &[("host", "h")], &source).is_empty());
    }

    #[test]
    fn a_user_of_a_domain_cannot_log_in() {
        let dsn = |username: &str, connection: &str| {
            let metadata = [("query", "q"), ("targetValue", "1"), ("host", "h"), ("username", username)];
            let inputs = Inputs::from_metadata(metadata).with_authentication([("connectionString", connection)]);
            parse::<SqlServer>(&inputs, &Context::default()).0.dsn()
        };
        assert_eq!(dsn("keda", "").unwrap().user, "keda");
        for refused in [dsn("SHOP\\keda", ""), dsn("", "server=h;user id=SHOP\\keda;password=hunter2")] {
            assert!(refused.unwrap_err().contains("Windows domain"));
        }
    }

    #[test]
    fn only_azure_gives_identities_for_it() {
        let with = |provider: &str| {
            let pod_identity = Some(PodIdentity { provider: provider.to_string(), ..PodIdentity::default() });
            problems("1", &[("host", "h")], &Context { pod_identity, ..Context::default() })
        };
        assert!(with("azure-workload").is_empty());
        assert_eq!(with("aws"), ["pod identity aws is not supported for mssql scaler"]);
    }
}
