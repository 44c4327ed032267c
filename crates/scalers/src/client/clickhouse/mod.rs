//! ClickHouse: single numbers from queries, in its own protocol, over a few connections per connection string.
//!
//! Queries of all triggers with the same string take turns on them.

mod dsn;
mod native;
mod value;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keda_core::sample::{ErrorKind, SourceError};
use tokio::time::timeout;

use super::Sources;
use super::pool::Slot;
use super::stream::Connection;
use super::tls::{Tls, TlsOptions};
use super::turns::{self, Database, Failure, Turns, TurnsPool};
pub use dsn::Dsn;
use native::{Answer, Login};

/// The longest that connecting to one host and logging in there may take, where the connection string says nothing of
/// it.
const CONNECT: Duration = Duration::from_secs(5);

/// A few connections per connection string and certificates.
pub type ClickHousePool = TurnsPool<(Dsn, TlsOptions), Connection>;

/// A client for the queries of one trigger.
#[derive(Debug)]
pub struct ClickHouse {
    dsn: Dsn,
    tls: Arc<Tls>,
    options: TlsOptions,
    dial_timeout: Duration,
    slot: Arc<Slot<Turns<Connection>>>,
}

#[async_trait]
impl Database for ClickHouse {
    type Connection = Connection;
    type Answer = f64;

    async fn connect(&self) -> Result<Connection, SourceError> {
        let mut failure = SourceError::configuration("no host given");
        for (host, port) in &self.dsn.hosts {
            let attempt = timeout(self.dial_timeout, self.open(host, *port)).await;
            let attempt =
                attempt.unwrap_or_else(|_| Err(SourceError::new(ErrorKind::Unreachable, "no answer in time")));
            match attempt {
                Ok(connection) => return Ok(connection),
                Err(error) => failure = error.within(&format!("{host}:{port}")),
            }
            if failure.kind != ErrorKind::Unreachable {
                break;
            }
        }
        Err(failure)
    }

    async fn ask(&self, connection: &mut Connection, query: &str) -> Result<f64, Failure> {
        match native::query(connection.0.as_mut(), query).await? {
            Answer::Nothing => Ok(0.0),
            Answer::One(number) => number.map_err(|what| Failure::Refused(SourceError::malformed(what))),
        }
    }
}

impl ClickHouse {
    /// A client that dials when first asked.
    pub fn new(dsn: Dsn, options: TlsOptions, sources: &Sources) -> Self {
        let dial_timeout = dsn.dial_timeout.filter(|time| !time.is_zero()).unwrap_or(CONNECT);
        let slot = sources.clickhouse.slot((dsn.clone(), options.clone()));
        ClickHouse { dsn, tls: Arc::clone(&sources.tls), options, dial_timeout, slot }
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

    async fn open(&self, host: &str, port: u16) -> Result<Connection, SourceError> {
        let dsn = &self.dsn;
        let tls = dsn.secure.then(|| self.tls.config(&self.options)).transpose()?;
        let mut connection = Connection::open(host, port, tls).await?;
        let login = Login { user: &dsn.user, password: dsn.password.expose(), database: &dsn.database };
        native::hello(connection.0.as_mut(), &login).await.map_err(Failure::into_error)?;
        for (name, value) in &dsn.settings {
            let set = format!("SET {name} = '{}'", value.replace('\\', "\\\\").replace('\'', "\\'"));
            native::query(connection.0.as_mut(), &set).await.map_err(Failure::into_error)?;
        }
        Ok(connection)
    }
}
