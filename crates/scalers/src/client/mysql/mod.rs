//! MySQL and MariaDB: single numbers from queries, over a few connections per connection string.
//!
//! Queries of all triggers with the same string take turns on them. They go as text and come back as text, which is how
//! every kind of number can be read alike.

mod dsn;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keda_core::sample::{ErrorKind, SourceError};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Error, IoError, Opts, OptsBuilder, ServerError, SslOpts, Value};
use tokio::time::timeout;

use super::Sources;
use super::pool::Slot;
use super::tls::Tls;
use super::turns::{self, Database, Failure, Running, Turns, TurnsPool};
use crate::format::sql_number;
pub use dsn::{Dsn, Place, TlsMode};

/// The longest that connecting and logging in may take, where the connection string says nothing of it.
const CONNECT: Duration = Duration::from_secs(10);

/// The largest answer, in bytes, and how long the server keeps a silent connection, in seconds. It would be asked for
/// what is not given here.
const MAXIMUM_PACKET: usize = 16 << 20;
const KEPT: usize = 28_800;

/// A few connections per connection string.
pub type MySqlPool = TurnsPool<Dsn, Conn>;

/// A client for the queries of one trigger.
#[derive(Debug, Clone)]
pub struct MySql {
    dsn: Dsn,
    tls: Arc<Tls>,
    connect_timeout: Duration,
    slot: Arc<Slot<Turns<Conn>>>,
}

#[async_trait]
impl Database for MySql {
    type Connection = Conn;
    type Answer = f64;

    async fn connect(&self) -> Result<Conn, SourceError> {
        let connection = match self.open(self.dsn.tls != TlsMode::Off).await {
            Err(Error::Driver(DriverError::NoClientSslFlagFromServer)) if self.dsn.tls == TlsMode::Preferred => {
                self.open(false).await
            }
            outcome => outcome,
        };
        connection.map_err(|error| explain(&error).within("error establishing MySQL connection"))
    }

    async fn ask(&self, connection: &mut Conn, query: &str) -> Result<f64, Failure> {
        let (server, id) = (self.clone(), connection.id());
        let running = Running::new(async move { server.call_off(id).await });
        let outcome = first_row(connection, query).await;
        running.end();
        match outcome {
            Ok((columns, value)) => {
                number_in(columns, value).map_err(|what| Failure::Refused(SourceError::malformed(what)))
            }
            Err(error @ Error::Server(_)) => Err(Failure::Refused(explain(&error))),
            Err(error) => Err(Failure::Lost(explain(&error))),
        }
    }
}

impl MySql {
    /// A client that dials when first asked.
    pub fn new(dsn: Dsn, sources: &Sources) -> Self {
        let connect_timeout = dsn.connect_timeout.filter(|time| !time.is_zero()).unwrap_or(CONNECT);
        let slot = sources.mysql.slot(dsn.clone());
        MySql { dsn, tls: Arc::clone(&sources.tls), connect_timeout, slot }
    }

    /// The number in the one column of the first row of the answer.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] for an answer that is no number, [`ErrorKind::Configuration`] for a query that the
    /// server refuses, [`ErrorKind::Denied`], [`ErrorKind::Unreachable`].
    pub async fn number(&self, query: &str) -> Result<f64, SourceError> {
        turns::ask(self, &self.slot, query, turns::QUERY).await
    }

    async fn open(&self, with_tls: bool) -> Result<Conn, Error> {
        let late = || Error::Io(IoError::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time")));
        timeout(self.connect_timeout, Conn::new(self.options(with_tls))).await.unwrap_or_else(|_| Err(late()))
    }

    /// Ends a query that goes on without anybody waiting for it. The server may be gone as well.
    async fn call_off(&self, connection: u32) {
        if let Ok(mut other) = self.open(self.dsn.tls != TlsMode::Off).await {
            let _ = timeout(self.connect_timeout, other.query_drop(format!("KILL QUERY {connection}"))).await;
        }
    }

    fn options(&self, with_tls: bool) -> Opts {
        let dsn = &self.dsn;
        let given = |text: &str| (!text.is_empty()).then(|| text.to_string());
        let variables = dsn.variables.iter().map(|(name, value)| format!("SET {name} = {value}"));
        let builder = OptsBuilder::default()
            .user(given(&dsn.user))
            .pass(given(dsn.password.expose()))
            .db_name(given(&dsn.database))
            .init(variables.collect::<Vec<_>>())
            .enable_cleartext_plugin(dsn.cleartext)
            .max_allowed_packet(Some(MAXIMUM_PACKET))
            .wait_timeout(Some(KEPT))
            .ssl_opts(with_tls.then(|| self.ssl_options()));
        let builder = match &dsn.place {
            Place::Tcp(host, port) => builder.ip_or_hostname(host).tcp_port(*port).prefer_socket(false),
            Place::Unix(path) => builder.socket(Some(path)),
        };
        builder.into()
    }

    fn ssl_options(&self) -> SslOpts {
        if self.dsn.tls != TlsMode::On {
            return SslOpts::default().with_danger_accept_invalid_certs(true);
        }
        let roots = self.tls.trusted_certificates().into_iter().map(Into::into).collect();
        SslOpts::default().with_root_certs(roots).with_disable_built_in_roots(true)
    }
}

/// How many columns there are, and what stands in the first one of the first row.
async fn first_row(connection: &mut Conn, query: &str) -> Result<(usize, Option<Value>), Error> {
    let mut result = connection.query_iter(query).await?;
    let columns = result.columns_ref().len();
    let value = result.next().await?.and_then(|mut row| row.take(0));
    // Read to the end: an error may come after the rows.
    result.drop_result().await?;
    Ok((columns, value))
}

fn number_in(columns: usize, value: Option<Value>) -> Result<f64, String> {
    if columns > 1 {
        return Err(sql_number::too_many(columns));
    }
    match value {
        None => Err("sql: no rows in result set".to_string()),
        Some(Value::NULL) => Err(sql_number::null()),
        Some(Value::Bytes(text)) => sql_number::parse(&String::from_utf8_lossy(&text)),
        Some(_) => Err("the value is not a number".to_string()),
    }
}

fn explain(error: &Error) -> SourceError {
    match error {
        Error::Server(refusal) => SourceError::new(kind_of(refusal), refusal.to_string()),
        Error::Io(error) => SourceError::new(ErrorKind::Unreachable, error.to_string()),
        Error::Driver(DriverError::ConnectionClosed) => {
            SourceError::new(ErrorKind::Unreachable, "the server closed the connection")
        }
        Error::Driver(
            error @ (DriverError::UnknownAuthPlugin { .. }
            | DriverError::MysqlOldPasswordDisabled
            | DriverError::CleartextPluginDisabled
            | DriverError::NoClientSslFlagFromServer),
        ) => SourceError::configuration(error.to_string()),
        Error::Driver(_) | Error::Other(_) | Error::Url(_) => {
            SourceError::malformed("the server does not answer as a MySQL does")
        }
    }
}

/// What an error of the server means, by its number.
fn kind_of(refusal: &ServerError) -> ErrorKind {
    match refusal.code {
        1044 | 1045 | 1095 | 1129 | 1130 | 1142 | 1143 | 1227 | 1370 | 1396 | 1698 | 1820 | 1862 | 3118 => {
            ErrorKind::Denied
        }
        1226 => ErrorKind::Throttled,
        1040 | 1041 | 1053 | 1077 | 1159 | 1161 | 1203 | 1205 | 1213 | 1290 | 1317 | 1836 | 1927 | 1969 | 3024 => {
            ErrorKind::Unreachable
        }
        _ => ErrorKind::Configuration,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_is_wanted() {
        let text = |text: &str| Some(Value::Bytes(text.as_bytes().to_vec()));
        assert_eq!(number_in(1, text("12.50")), Ok(12.5));
        for (columns, value, message) in [
            (1, None, "sql: no rows in result set"),
            (1, Some(Value::NULL), "the value is NULL, not a number"),
            (1, text("many"), "the value \"many\" is not a number"),
            (2, text("1"), "sql: expected 2 destination arguments in Scan, not 1: the query must have one column"),
        ] {
            assert_eq!(number_in(columns, value).unwrap_err(), message);
        }
    }
}
