//! Cassandra: single whole numbers from queries, in its native protocol, over one connection per server and login.
//!
//! Whichever server is asked coordinates the query among those that have the data, so one connection will do. Queries
//! of all triggers with the same server and login take turns on it.

mod protocol;

use std::sync::Arc;
use std::time::Duration;

use keda_core::sample::{ErrorKind, SourceError};
use keda_core::secret::Secret;
use rustls::pki_types::ServerName;
use tokio::io::BufStream;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Sources;
use super::pool::Slot;
use super::tls::{Tls, TlsOptions};
use super::turns::{Turns, TurnsPool, turn};
pub use protocol::Consistency;
use protocol::{Failure, Stream, Version};

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
    tls: Arc<Tls>,
    slot: Arc<Slot<Turns<Connection>>>,
}

/// An open connection.
pub struct Connection(Box<dyn Stream>);

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

impl Cassandra {
    /// A client that dials when first asked.
    pub fn new(options: Options, sources: &Sources) -> Self {
        let slot = sources.cassandra.slot(options.clone());
        Cassandra { options, tls: Arc::clone(&sources.tls), slot }
    }

    /// The whole number in the one column of the first row of the answer; 0 where there is no row, and for null.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] for an answer that is no such number, [`ErrorKind::Configuration`] for a query that the
    /// server refuses, [`ErrorKind::Denied`], [`ErrorKind::Unreachable`].
    pub async fn number(&self, query: &str, consistency: Consistency) -> Result<i64, SourceError> {
        let mut failure = SourceError::new(ErrorKind::Unreachable, "the connection broke");
        for _ in 0..2 {
            let turn = turn(&self.slot, || self.dial()).await;
            let mut turn = turn.map_err(|error| error.within("error establishing cassandra session"))?;
            let stream = turn.connection.0.as_mut();
            match timeout(PATIENCE, protocol::query(stream, self.version(), query, consistency)).await {
                Ok(Ok(number)) => {
                    turn.give_back();
                    return number.map_err(|what| SourceError::new(ErrorKind::Malformed, what));
                }
                Ok(Err(Failure::Refused(error))) => {
                    turn.give_back();
                    return Err(error);
                }
                // A connection that was open for long may have been broken for long.
                Ok(Err(Failure::Broken(error))) if error.kind == ErrorKind::Unreachable => failure = error,
                Ok(Err(Failure::Broken(error))) => return Err(error),
                Err(_) => return Err(late()),
            }
        }
        Err(failure)
    }

    fn version(&self) -> Version {
        Version(self.options.version)
    }

    async fn dial(&self) -> Result<Connection, SourceError> {
        let dialled = timeout(PATIENCE, self.open()).await.unwrap_or_else(|_| Err(late()));
        dialled.map_err(|error| error.within(&format!("{}:{}", self.options.host, self.options.port)))
    }

    async fn open(&self) -> Result<Connection, SourceError> {
        let options = &self.options;
        let tcp = TcpStream::connect((options.host.as_str(), options.port)).await.map_err(protocol::transport)?;
        tcp.set_nodelay(true).map_err(protocol::transport)?;
        let mut stream: Box<dyn Stream> = match &options.tls {
            Some(tls) => {
                let name = ServerName::try_from(options.host.clone())
                    .map_err(|_| SourceError::configuration("the host has no name for a certificate"))?;
                let connector = TlsConnector::from(self.tls.config(tls)?);
                Box::new(BufStream::new(connector.connect(name, tcp).await.map_err(protocol::transport)?))
            }
            None => Box::new(BufStream::new(tcp)),
        };
        protocol::log_in(stream.as_mut(), self.version(), &options.user, options.password.expose())
            .await
            .map_err(Failure::into_error)?;
        Ok(Connection(stream))
    }
}

fn late() -> SourceError {
    SourceError::new(ErrorKind::Unreachable, "no answer in time")
}
