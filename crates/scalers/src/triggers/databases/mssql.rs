//! `mssql`: the number that a query of SQL Server or Azure SQL gives (`scalers/mssql.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::secret::Secret;

use crate::trigger::{Specs, Trigger};

/// Scale on the number that a query gives in SQL Server or Azure SQL.
///
/// What counts is the first column of the first row: a number, or text that is one. No row counts as 0; NULL and a bit
/// are an error, so use `COALESCE` around a sum. One replica is wanted per `targetValue` of the number, which must not
/// be 0 unless a formula uses the trigger. The target leaves zero when the number is above `activationTargetValue`.
///
/// Give the connection whole as `connectionString`, or in parts with `host` and what is needed of `port`, `username`,
/// `password` and `database`; `connectionString` wins over all parts, and is the only way to say how TLS is used
/// (`encrypt`, `trustservercertificate`).
///
/// Log in with user and password, which is of no effect without a user, or with the `podIdentity` of the provider
/// `azure-workload`, for which `host` and `database` are enough; other providers are refused. Connection string and
/// password come from a TriggerAuthentication or from a variable of the target's container, never from the plain
/// metadata. The user needs the right `SELECT` on what the query reads.
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
#[expect(dead_code, reason = "read once the source is written")]
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
    /// The query: one number in the first column of its first row. No row counts as 0.
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
        Specs::one(MetricSpec::external("mssql", Target::Float(self.target_value)))
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
    fn only_azure_gives_identities_for_it() {
        let with = |provider: &str| {
            let pod_identity = Some(PodIdentity { provider: provider.to_string(), ..PodIdentity::default() });
            problems("1", &[("host", "h")], &Context { pod_identity, ..Context::default() })
        };
        assert!(with("azure-workload").is_empty());
        assert_eq!(with("aws"), ["pod identity aws is not supported for mssql scaler"]);
    }
}
