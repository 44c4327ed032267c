//! SQL Server and Azure SQL: single numbers from queries, over a few connections per connection string.
//!
//! Queries of all triggers with the same string take turns on them.

mod dsn;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use keda_core::sample::{ErrorKind, SourceError};
use tiberius::error::Error;
use tiberius::{AuthMethod, Client, ColumnData, Config, EncryptionLevel, QueryItem};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

use super::Sources;
use super::pool::Slot;
use super::tls::Tls;
use super::turns::{self, Database, Failure, Turns, TurnsPool};
use crate::format::sql_number;
pub use dsn::{Dsn, Encryption};

/// The longest that connecting and logging in may take, where the connection string says nothing of it.
const CONNECT: Duration = Duration::from_secs(10);

/// How often a server may send us elsewhere, as Azure does once.
const MAXIMUM_REDIRECTS: usize = 3;

/// A few connections per connection string.
pub type MsSqlPool = TurnsPool<Dsn, Connection>;

/// An open connection.
pub type Connection = Client<Compat<TcpStream>>;

/// A client for the queries of one trigger.
#[derive(Debug)]
pub struct MsSql {
    dsn: Dsn,
    tls: Arc<Tls>,
    connect_timeout: Duration,
    slot: Arc<Slot<Turns<Connection>>>,
}

#[async_trait]
impl Database for MsSql {
    type Connection = Connection;
    type Answer = f64;

    async fn connect(&self) -> Result<Connection, SourceError> {
        let dialled = timeout(self.connect_timeout, self.open()).await;
        let dialled = dialled.unwrap_or_else(|_| Err(SourceError::new(ErrorKind::Unreachable, "no answer in time")));
        dialled.map_err(|error| error.within("error establishing mssql connection"))
    }

    async fn ask(&self, connection: &mut Connection, query: &str) -> Result<f64, Failure> {
        let row = first_row(connection, query).await.map_err(|error| match error {
            Error::Server(_) => Failure::Refused(explain(&error)),
            _ => Failure::from(explain(&error)),
        })?;
        number(row).map_err(|what| Failure::Refused(SourceError::malformed(what)))
    }
}

impl MsSql {
    /// A client that dials when first asked.
    pub fn new(dsn: Dsn, sources: &Sources) -> Self {
        let connect_timeout = dsn.connect_timeout.unwrap_or(CONNECT);
        let slot = sources.mssql.slot(dsn.clone());
        MsSql { dsn, tls: Arc::clone(&sources.tls), connect_timeout, slot }
    }

    /// The number in the one column of the first row of the answer; 0 where it has no row.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] for an answer that is no number, [`ErrorKind::Configuration`] for a query that the
    /// server refuses, [`ErrorKind::Denied`], [`ErrorKind::Unreachable`].
    pub async fn number(&self, query: &str) -> Result<f64, SourceError> {
        // The server ends a query when its connection goes.
        turns::ask(self, &self.slot, query, turns::QUERY).await
    }

    async fn open(&self) -> Result<Connection, SourceError> {
        let (mut host, mut port) = (self.dsn.host.clone(), self.dsn.port);
        for _ in 0..=MAXIMUM_REDIRECTS {
            let transport =
                |error: std::io::Error| SourceError::new(ErrorKind::Unreachable, format!("{host}:{port}: {error}"));
            let tcp = TcpStream::connect((host.as_str(), port)).await.map_err(transport)?;
            tcp.set_nodelay(true).map_err(transport)?;
            match Client::connect(self.config(&host, port), tcp.compat_write()).await {
                Ok(client) => return Ok(client),
                Err(Error::Routing { host: next_host, port: next_port }) => (host, port) = (next_host, next_port),
                Err(error) => return Err(explain(&error)),
            }
        }
        Err(SourceError::malformed("the server sends elsewhere again and again"))
    }

    fn config(&self, host: &str, port: u16) -> Config {
        let dsn = &self.dsn;
        let mut config = Config::new();
        config.host(host);
        config.port(port);
        config.authentication(AuthMethod::sql_server(&dsn.user, dsn.password.expose()));
        config.encryption(match dsn.encryption {
            Encryption::Disabled => EncryptionLevel::NotSupported,
            Encryption::Login => EncryptionLevel::Off,
            Encryption::Full => EncryptionLevel::Required,
        });
        if !dsn.database.is_empty() {
            config.database(&dsn.database);
        }
        if !dsn.application.is_empty() {
            config.application_name(&dsn.application);
        }
        if let Some(name) = &dsn.certificate_name {
            config.hostname_in_certificate(name);
        }
        config.readonly(dsn.read_only);
        if dsn.trust {
            config.trust_cert();
        } else if dsn.encryption != Encryption::Disabled {
            for certificate in self.tls.trusted_certificates() {
                config.trust_cert_ca_bundle(certificate);
            }
            if let Some(path) = &dsn.certificate {
                config.trust_cert_ca(path.display());
            }
        }
        config
    }
}

/// The number of columns of the first row, and what stands in the first of them.
type FirstRow = Option<(usize, Option<ColumnData<'static>>)>;

async fn first_row(connection: &mut Connection, query: &str) -> Result<FirstRow, Error> {
    let mut items = connection.simple_query(query).await?;
    let mut first = None;
    // Read to the end: an error may come after the rows.
    while let Some(item) = items.try_next().await? {
        if let (QueryItem::Row(row), None) = (item, &first) {
            first = Some((row.len(), row.into_iter().next()));
        }
    }
    Ok(first)
}

fn number(row: FirstRow) -> Result<f64, String> {
    let value = match row {
        None => return Ok(0.0),
        Some((1, Some(value))) => value,
        Some((columns, _)) => return Err(sql_number::too_many(columns)),
    };
    let number = match value {
        ColumnData::U8(value) => value.map(f64::from),
        ColumnData::I16(value) => value.map(f64::from),
        ColumnData::I32(value) => value.map(f64::from),
        ColumnData::I64(value) => value.map(crate::trigger::float),
        ColumnData::F32(value) => value.map(f64::from),
        ColumnData::F64(value) => value,
        ColumnData::Numeric(Some(value)) => {
            Some(sql_number::parse(&value.value().to_string())? / 10_f64.powi(i32::from(value.scale())))
        }
        ColumnData::String(Some(text)) => Some(sql_number::parse(&text)?),
        ColumnData::Numeric(None) | ColumnData::String(None) => None,
        _ => return Err("the value is of a type that is not a number".to_string()),
    };
    number.ok_or_else(sql_number::null)
}

fn explain(error: &Error) -> SourceError {
    match error {
        Error::Server(refusal) => {
            let message = format!("mssql: {} (error {})", refusal.message(), refusal.code());
            SourceError::new(kind_of(refusal.code()), message)
        }
        Error::Io { message, .. } => SourceError::new(ErrorKind::Unreachable, message.clone()),
        Error::Tls(message) => SourceError::new(ErrorKind::Unreachable, format!("TLS: {message}")),
        other => {
            let message = format!("the server does not answer as a SQL Server does: {other}");
            SourceError::malformed(message)
        }
    }
}

/// What an error of the server means, by its number.
fn kind_of(code: u32) -> ErrorKind {
    match code {
        229 | 230 | 262 | 297 | 300 | 916 | 4060 | 15151 | 18452 | 18456 | 18461 | 18470 | 18486..=18488 | 40615 => {
            ErrorKind::Denied
        }
        10928 | 10929 | 40501 | 49918..=49920 => ErrorKind::Throttled,
        701 | 1205 | 1222 | 6005 | 17142 | 18401 | 40143 | 40197 | 40613 => ErrorKind::Unreachable,
        _ => ErrorKind::Configuration,
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    #[test]
    fn one_number_is_wanted_and_no_row_is_zero() {
        let one = |value| number(Some((1, Some(value))));
        assert_eq!(number(None), Ok(0.0));
        assert_eq!(one(ColumnData::I64(Some(-5))), Ok(-5.0));
        assert_eq!(one(ColumnData::Numeric(Some(tiberius::numeric::Numeric::new_with_scale(1250, 2)))), Ok(12.5));
        assert_eq!(one(ColumnData::String(Some(Cow::Borrowed("12.75")))), Ok(12.75));
        assert!(one(ColumnData::I32(None)).unwrap_err().contains("NULL"));
        assert!(one(ColumnData::Bit(Some(true))).unwrap_err().contains("not a number"));
        assert!(one(ColumnData::String(Some(Cow::Borrowed("many")))).unwrap_err().contains("\"many\""));
        assert!(number(Some((2, Some(ColumnData::I32(Some(1)))))).unwrap_err().starts_with("sql: expected 2"));
    }
}
