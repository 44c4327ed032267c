//! `clickhouse`: the number that a query gives (`scalers/clickhouse.md`).

use std::time::Duration;

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::secret::Secret;

use crate::client::certificates::Certificates;
use crate::trigger::{Specs, Trigger};

/// Scale on the number that a query gives in ClickHouse.
///
/// What counts is the one column of the first row: a number, or text that is one. No row counts as 0; NULL, a Bool and
/// a second column are an error. One replica is wanted per `targetQueryValue` of the number, which must not be 0 unless
/// a formula uses the trigger. The target leaves zero when the number is above `activationTargetQueryValue`.
///
/// Give the connection whole as `connectionString`, or in parts with `host` and what of `port`, `username`, `password`
/// and `database` differs from the defaults; `connectionString` wins over all parts. The parts stand for the native
/// protocol, whose port is 9000, or 9440 with TLS; an `http://` or `https://` connection string uses the HTTP
/// interface.
///
/// `password` and `connectionString` come from a TriggerAuthentication or from a variable of the target's container.
/// `tls: "true"`, `unsafeSsl` and the certificates are read from a TriggerAuthentication only: in the metadata they are
/// of no effect. The user needs the right `SELECT` on what the query reads.
///
/// ```yaml
/// type: clickhouse
/// metadata:
///   host: clickhouse.analytics.svc
///   username: autoscaler
///   database: analytics
///   query: SELECT count() FROM imports WHERE finished_at IS NULL
///   targetQueryValue: "20"
///   activationTargetQueryValue: "2"
/// authenticationRef:
///   name: clickhouse-login
/// ---
/// secretTargetRef:
///   - parameter: password
///     name: clickhouse-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct ClickHouse {
    /// The whole connection, as `clickhouse://user:password@host:9000/database` or
    /// `http://user:password@host:8123/database`, in place of `host` and what belongs to it.
    #[meta(auth, env, optional)]
    connection_string: Secret,
    /// Host of the server, such as `clickhouse.analytics.svc`; needed without `connectionString`.
    #[meta(trigger, auth, optional)]
    host: String,
    /// Port of the server's native protocol; 9000 when not given.
    #[meta(trigger, auth, optional)]
    port: String,
    /// User to log in as; `default` when not given.
    #[meta(trigger, auth, env, optional)]
    username: String,
    /// Password of the user; an empty one when not given.
    #[meta(auth, env, optional)]
    password: Secret,
    /// The database; `default` when not given.
    #[meta(trigger, auth, optional)]
    database: String,
    /// The query: one number in the one column of its first row; no row counts as 0.
    #[meta(trigger)]
    query: String,
    /// What one replica is expected to handle, in the unit of the query; it must not be 0.
    #[meta(trigger)]
    target_query_value: f64,
    /// Result of the query above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_target_query_value: f64,
    /// Most connections to keep open while they have nothing to do; the client's own limit when not given or 0.
    #[meta(trigger, auth, optional)]
    max_idle_conns: i64,
    /// Most connections to have open at a time; the client's own limit when not given or 0.
    #[meta(trigger, auth, optional)]
    max_open_conns: i64,
    /// How long a connection may be used before it is replaced, such as `30m`; a bare number is in milliseconds. The
    /// client's own limit when not given or 0.
    #[meta(trigger, auth, optional)]
    conn_max_lifetime: Duration,
    /// Whether to use TLS. Certificates count only where it is on.
    #[meta(auth, default = "false")]
    tls: bool,
    #[meta(group)]
    certificates: Certificates,
    /// Whether to take any certificate of the server, with `tls`.
    #[meta(auth, default = "false")]
    unsafe_ssl: bool,
}

impl ClickHouse {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.target_query_value == 0.0 && !reader.context().as_metric_source && !reader.has_errors() {
            reader.error("targetQueryValue is required when not using scaler as metric source");
        }
        if self.connection_string.is_empty() && self.host.is_empty() {
            reader.error("either connectionString or host must be set");
        }
        if self.tls {
            if self.certificates.is_half() {
                reader.error("both cert and key must be provided when TLS is enabled");
            } else if let Err(problem) = self.certificates.check() {
                reader.error(problem);
            }
        }
    }
}

impl Trigger for ClickHouse {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external("clickhouse", Target::Float(self.target_query_value)))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(target: &str, more: &[(&str, &str)], authentication: &[(&str, &str)]) -> (ClickHouse, Vec<String>) {
        let metadata = [("query", "SELECT 5"), ("targetQueryValue", target)].into_iter().chain(more.iter().copied());
        let inputs = Inputs::from_metadata(metadata).with_authentication(authentication.iter().copied());
        let (trigger, problems) = parse::<ClickHouse>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_always_the_same() {
        let (trigger, problems) = parsed("2.5", &[("host", "h")], &[]);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("clickhouse", Target::Float(2.5));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn a_server_and_a_target_are_wanted() {
        assert_eq!(parsed("1", &[], &[]).1, ["either connectionString or host must be set"]);
        assert!(parsed("1", &[], &[("connectionString", "http://h")]).1.is_empty());
        assert!(parsed("0", &[("host", "h")], &[]).1[0].contains("targetQueryValue is required"));
    }

    #[test]
    fn certificates_count_only_with_tls() {
        let problems = |tls: &str| parsed("1", &[("host", "h")], &[("tls", tls), ("cert", "hunter2")]).1;
        assert_eq!(problems("true"), ["both cert and key must be provided when TLS is enabled"]);
        assert!(problems("false").is_empty());
    }
}
