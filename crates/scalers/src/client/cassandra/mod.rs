//! Cassandra: single whole numbers from queries, in its native protocol, over a few connections per server and login.
//!
//! Whichever server is asked coordinates the query among those that have the data, so one connection would do. Queries
//! of all triggers with the same server and login take turns on them.

mod protocol;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keda_core::sample::{ErrorKind, SourceError};
use keda_core::secret::Secret;
use tokio::time::timeout;

use super::Sources;
use super::pool::Slot;
use super::stream::Connection;
use super::tls::{Tls, TlsOptions};
use super::turns::{self, Database, Failure, Turns, TurnsPool};
pub use protocol::Consistency;
use protocol::Version;

/// Time to connect, and for one query, as Go's client has it.
const PATIENCE: Duration = Duration::from_secs(11);

/// One connection for each server and login.
pub type CassandraPool = TurnsPool<Options, Connection>;

/// A server, and how it is talked to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Options {
    /// The host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret,
    /// TLS, where it is on.
    pub tls: Option<TlsOptions>,
    /// Version of the protocol: 3 or 4.
    pub version: u8,
}

/// A client for the queries of one trigger.
#[derive(Debug)]
pub struct Cassandra {
    options: Options,
    consistency: Consistency,
    tls: Arc<Tls>,
    slot: Arc<Slot<Turns<Connection>>>,
}

#[async_trait]
impl Database for Cassandra {
    type Connection = Connection;
    type Answer = protocol::Number;

    async fn connect(&self) -> Result<Connection, SourceError> {
        let late = |_| Err(SourceError::new(ErrorKind::Unreachable, "no answer in time"));
        let dialled = timeout(PATIENCE, self.open()).await.unwrap_or_else(late);
        let place = format!("error establishing cassandra session: {}:{}", self.options.host, self.options.port);
        dialled.map_err(|error| error.within(&place))
    }

    async fn ask(&self, connection: &mut Connection, query: &str) -> Result<protocol::Number, Failure> {
        protocol::query(connection.0.as_mut(), self.version(), query, self.consistency).await
    }
}

impl Cassandra {
    /// A client that dials when first asked.
    pub fn new(options: Options, consistency: Consistency, sources: &Sources) -> Self {
        let slot = sources.cassandra.slot(options.clone());
        Cassandra { options, consistency, tls: Arc::clone(&sources.tls), slot }
    }

    /// The whole number in the one column of the first row of the answer; 0 where there is no row, and for null.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] for an answer that is no such number, [`ErrorKind::Configuration`] for a query that the
    /// server refuses, [`ErrorKind::Denied`], [`ErrorKind::Unreachable`].
    pub async fn number(&self, query: &str) -> Result<i64, SourceError> {
        let number = turns::ask(self, &self.slot, query, PATIENCE).await?;
        number.map_err(SourceError::malformed)
    }

    fn version(&self) -> Version {
        Version(self.options.version)
    }

    async fn open(&self) -> Result<Connection, SourceError> {
        let options = &self.options;
        let tls = options.tls.as_ref().map(|tls| self.tls.config(tls)).transpose()?;
        let mut connection = Connection::open(&options.host, options.port, tls).await?;
        protocol::log_in(connection.0.as_mut(), self.version(), &options.user, options.password.expose())
            .await
            .map_err(Failure::into_error)?;
        Ok(connection)
    }
}
