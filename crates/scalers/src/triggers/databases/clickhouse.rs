//! `clickhouse`: the number that a query gives (`scalers/clickhouse.md`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::sample::{ErrorKind, Reading, Sample, SourceError};
use keda_core::secret::Secret;
use reqwest::{Client, Url};

use crate::client::Sources;
use crate::client::certificates::Certificates;
use crate::client::clickhouse::{ClickHouse as Native, Dsn};
use crate::client::tls::TlsOptions;
use crate::client::{http, turns};
use crate::format::sql_number;
use crate::trigger::{Memory, Scaler, Specs, Trigger, Unreadable};

/// The one name that this trigger's metric has.
const METRIC: &str = "clickhouse";

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
    /// Of no effect: connections are shared.
    #[meta(trigger, auth, optional)]
    #[expect(dead_code, reason = "connections are shared")]
    max_idle_conns: i64,
    /// Of no effect: connections are shared.
    #[meta(trigger, auth, optional)]
    #[expect(dead_code, reason = "connections are shared")]
    max_open_conns: i64,
    /// Of no effect: connections are shared.
    #[meta(trigger, auth, optional)]
    #[expect(dead_code, reason = "connections are shared")]
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
        Specs::one(MetricSpec::external(METRIC, Target::Float(self.target_query_value)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let dsn = match self.dsn() {
            Ok(dsn) => dsn,
            Err(what) => {
                let message = format!("error establishing clickhouse connection: {what}");
                return Ok(Box::new(Unreadable(SourceError::configuration(message))));
            }
        };
        let own = self.certificates.options(dsn.skip_verify);
        let tls = if self.tls { own } else { TlsOptions { insecure: dsn.skip_verify, ..TlsOptions::default() } };
        let (query, activation) = (self.query, self.activation_target_query_value);
        let server = if dsn.http {
            let client = sources.http.client(&sources.tls, &tls)?;
            Server::Http(Box::new(Interface { client, urls: urls(&dsn)?, dsn }))
        } else {
            Server::Native(Box::new(Native::new(dsn, tls, sources)))
        };
        Ok(Box::new(Query { server, query, activation }))
    }
}

impl ClickHouse {
    /// What the connection string says, or the single parameters.
    fn dsn(&self) -> Result<Dsn, String> {
        let mut dsn = if self.connection_string.is_empty() {
            let or = |text: &str, default: &str| if text.is_empty() { default.to_string() } else { text.to_string() };
            let host = self.host.trim_matches(['[', ']']);
            let port = or(&self.port, "9000");
            let port = port.parse().map_err(|_| format!("port {port:?} is not a number from 1 to 65535"))?;
            Dsn {
                hosts: vec![(host.to_string(), port)],
                user: or(&self.username, "default"),
                password: self.password.clone(),
                database: or(&self.database, "default"),
                ..Dsn::default()
            }
        } else {
            Dsn::parse(self.connection_string.expose())?
        };
        dsn.secure |= self.tls;
        dsn.skip_verify |= self.tls && self.unsafe_ssl;
        Ok(dsn)
    }
}

struct Query {
    server: Server,
    query: String,
    activation: f64,
}

enum Server {
    Native(Box<Native>),
    Http(Box<Interface>),
}

#[async_trait]
impl Scaler for Query {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let value = match &self.server {
            Server::Native(native) => native.number(&self.query).await,
            Server::Http(interface) => interface.number(&self.query).await,
        };
        let what = "error inspecting ClickHouse: could not query ClickHouse database";
        let value = value.map_err(|error| error.within(what))?;
        Ok(vec![(METRIC.to_string(), Sample::above(value, self.activation))])
    }
}

/// The HTTP interface.
struct Interface {
    client: Arc<Client>,
    urls: Vec<Url>,
    dsn: Dsn,
}

/// The addresses to ask in turn. An answer begins with names and types, and is complete or an error.
fn urls(dsn: &Dsn) -> Result<Vec<Url>, SourceError> {
    let scheme = if dsn.secure { "https" } else { "http" };
    let urls = dsn.hosts.iter().map(|(host, port)| {
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let mut url: Url = format!("{scheme}://{host}:{port}/")
            .parse()
            .map_err(|error| SourceError::configuration(format!("the server's address cannot be used: {error}")))?;
        if !dsn.http_path.is_empty() {
            url.set_path(&dsn.http_path);
        }
        let fixed = [("database", dsn.database.as_str()), ("default_format", "TabSeparatedWithNamesAndTypes")];
        let settings = dsn.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let last = [("wait_end_of_query", "1")];
        url.query_pairs_mut().extend_pairs(fixed.into_iter().chain(last).chain(settings));
        Ok(url)
    });
    urls.collect()
}

impl Interface {
    async fn number(&self, query: &str) -> Result<f64, SourceError> {
        let mut outcome = Err(SourceError::configuration("no host given"));
        for url in &self.urls {
            outcome = self.ask(url, query).await;
            if !matches!(&outcome, Err(error) if error.kind == ErrorKind::Unreachable) {
                break;
            }
        }
        first_number(&outcome?).map_err(SourceError::malformed)
    }

    async fn ask(&self, url: &Url, query: &str) -> Result<String, SourceError> {
        let request = self.client.post(url.clone()).timeout(turns::QUERY).body(query.to_string());
        let request = request.basic_auth(&self.dsn.user, Some(self.dsn.password.expose()));
        http::send(request).await?.success("the HTTP interface refused the query")
    }
}

/// The number in the one column of the first row behind names and types; 0 where there is no row.
fn first_number(answer: &str) -> Result<f64, String> {
    let mut lines = answer.lines();
    let (Some(_names), Some(types)) = (lines.next(), lines.next()) else {
        return Err("the answer is not that of a ClickHouse".to_string());
    };
    if !types.starts_with(|first: char| first.is_ascii_uppercase()) {
        return Err("the answer is not that of a ClickHouse".to_string());
    }
    // A tab between the columns; none stands in the name of a type.
    let columns = types.split('\t').count();
    if columns > 1 {
        return Err(sql_number::too_many(columns));
    }
    match lines.next() {
        None => Ok(0.0),
        Some("\\N") => Err(sql_number::null()),
        // A text of a fixed length is filled up with zeros.
        Some(text) => sql_number::parse(text.trim_end_matches("\\0")),
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
    fn a_connection_is_whole_or_made_of_parts() {
        let dsn =
            |more: &[(&str, &str)], authentication: &[(&str, &str)]| parsed("1", more, authentication).0.dsn().unwrap();
        let parts = dsn(&[("host", "h")], &[("password", "p@/")]);
        assert_eq!(parts.hosts, [("h".to_string(), 9000)]);
        assert_eq!(
            (parts.user.as_str(), parts.password.expose(), parts.database.as_str()),
            ("default", "p@/", "default")
        );
        assert!(!parts.secure);
        let secure = dsn(&[("host", "h")], &[("tls", "true"), ("unsafeSsl", "true")]);
        assert!(secure.secure && secure.skip_verify);
        let whole = dsn(&[("host", "h")], &[("connectionString", "https://a/shop?max_threads=2")]);
        let url = "https://a:8443/?database=shop&default_format=TabSeparatedWithNamesAndTypes&wait_end_of_query=1&max_threads=2";
        assert_eq!(urls(&whole).unwrap()[0].as_str(), url);
    }

    #[test]
    fn the_first_row_behind_names_and_types_counts() {
        assert_eq!(first_number("count()\nUInt64\n5\n6\n"), Ok(5.0));
        assert_eq!(first_number("n\nNullable(Float64)\n"), Ok(0.0));
        assert_eq!(first_number("t\nFixedString(3)\n7\\0\\0\n"), Ok(7.0));
        for wrong in [
            "n\nNullable(UInt8)\n\\N\n",
            "b\nBool\ntrue\n",
            "a\tb\nUInt8\tUInt8\n1\t2\n",
            "<html>\n<body>\n",
            "",
            "5\n",
        ] {
            assert!(first_number(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn certificates_count_only_with_tls() {
        let problems = |tls: &str| parsed("1", &[("host", "h")], &[("tls", tls), ("cert", "hunter2")]).1;
        assert_eq!(problems("true"), ["both cert and key must be provided when TLS is enabled"]);
        assert!(problems("false").is_empty());
    }
}
