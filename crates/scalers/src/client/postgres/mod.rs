//! PostgreSQL: single numbers from queries, over a few connections per connection string.
//!
//! Queries of all triggers with the same string take turns on them. They go as text and come back as text, which is how
//! every kind of number can be read alike.

mod binding;
mod dsn;
mod tls;

use std::error::Error as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use keda_core::sample::{ErrorKind, SourceError};
use keda_core::secret::Secret;
use tokio::time::timeout;
use tokio_postgres::config::{ChannelBinding, SslMode as Negotiation, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Error, SimpleQueryMessage};

use super::Sources;
use super::pool::Slot;
use super::tls::{Tls, TlsOptions, Verification};
use super::turns::{self, Database, Failure, Running, Turns, TurnsPool};
use crate::format::sql_number;
pub use dsn::{Dsn, Session, SslMode};
use tls::MakeConnector;

/// Silence after which the server is asked whether it is still there, and again: what stands in between forgets silent
/// connections, and a query would wait in vain.
const PROBE: Duration = Duration::from_secs(15);

/// A few connections per connection string.
pub type PostgresPool = TurnsPool<Secret, Link>;

/// A client for the queries of one trigger.
#[derive(Debug)]
pub struct Postgres {
    dsn: Dsn,
    tls: Arc<Tls>,
    slot: Arc<Slot<Turns<Link>>>,
}

/// An open connection, and how to call off what runs on it.
pub struct Link {
    client: Client,
    connector: MakeConnector,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Link")
    }
}

#[async_trait]
impl Database for Postgres {
    type Connection = Link;
    type Answer = f64;

    async fn connect(&self) -> Result<Link, SourceError> {
        self.dial().await.map_err(|error| error.within("error establishing postgreSQL connection"))
    }

    async fn ask(&self, link: &mut Link, query: &str) -> Result<f64, Failure> {
        let (cancel, connector, patience) =
            (link.client.cancel_token(), link.connector.clone(), self.dsn.connect_timeout);
        // The server may be gone as well; it cannot be told then.
        let running = Running::new(async move { _ = timeout(patience, cancel.cancel_query(connector)).await });
        let outcome = first_row(&link.client, query).await;
        running.end();
        match outcome {
            Ok(row) => number(row).map_err(|what| Failure::Refused(SourceError::malformed(what))),
            Err(error) if link.client.is_closed() => Err(Failure::Lost(explain(&error))),
            Err(error) => Err(Failure::Refused(explain(&error))),
        }
    }
}

impl Postgres {
    /// A client that dials when first asked.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for a connection string that cannot be read.
    pub fn new(connection: &Secret, sources: &Sources) -> Result<Self, SourceError> {
        let dsn = Dsn::parse(connection.expose()).map_err(|what| {
            SourceError::new(ErrorKind::Configuration, format!("the connection string cannot be read: {what}"))
        })?;
        let slot = sources.postgres.slot(connection.clone());
        Ok(Postgres { dsn, tls: Arc::clone(&sources.tls), slot })
    }

    /// The number in the one column of the first row of the answer.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] for an answer that is no number, [`ErrorKind::Configuration`] for a query that the
    /// server refuses, [`ErrorKind::Denied`], [`ErrorKind::Unreachable`].
    pub async fn number(&self, query: &str) -> Result<f64, SourceError> {
        turns::ask(self, &self.slot, query, turns::QUERY).await
    }

    async fn dial(&self) -> Result<Link, SourceError> {
        let connector = MakeConnector(self.tls_config().await?);
        let attempts: &[Negotiation] = match self.dsn.ssl_mode {
            SslMode::Disable => &[Negotiation::Disable],
            SslMode::Allow => &[Negotiation::Disable, Negotiation::Require],
            SslMode::Prefer => &[Negotiation::Prefer],
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => &[Negotiation::Require],
        };
        let mut failure = SourceError::new(ErrorKind::Configuration, "no host given");
        for (host, port) in &self.dsn.hosts {
            for attempt in attempts {
                let config = self.config(host, *port, *attempt);
                failure = match timeout(self.dsn.connect_timeout, config.connect(connector.clone())).await {
                    Ok(Ok((client, connection))) => {
                        // It ends when the client is dropped, or when the server goes away, which the client then says.
                        tokio::spawn(connection);
                        return Ok(Link { client, connector });
                    }
                    Ok(Err(error)) => explain(&error).within(&format!("{host}:{port}")),
                    Err(_) => SourceError::new(ErrorKind::Unreachable, format!("{host}:{port}: no answer in time")),
                };
                // Without TLS or with it: a login that is refused may be refused for the lack of it.
                if failure.kind != ErrorKind::Denied && failure.kind != ErrorKind::Configuration {
                    break;
                }
            }
        }
        Err(failure)
    }

    fn config(&self, host: &str, port: u16, negotiation: Negotiation) -> Config {
        let dsn = &self.dsn;
        let mut config = Config::new();
        config
            .host(host)
            .port(port)
            .ssl_mode(negotiation)
            .connect_timeout(dsn.connect_timeout)
            .keepalives_idle(PROBE)
            .keepalives_interval(PROBE)
            .channel_binding(if dsn.bound_login { ChannelBinding::Require } else { ChannelBinding::Disable })
            .application_name(&dsn.application_name)
            .target_session_attrs(match dsn.session {
                Session::Any => TargetSessionAttrs::Any,
                Session::ReadWrite => TargetSessionAttrs::ReadWrite,
                Session::ReadOnly => TargetSessionAttrs::ReadOnly,
            });
        if let Some(user) = &dsn.user {
            config.user(user);
        }
        if let Some(password) = &dsn.password {
            config.password(password.expose());
        }
        if let Some(database) = &dsn.database {
            config.dbname(database);
        }
        if !dsn.options.is_empty() {
            config.options(&dsn.options);
        }
        config
    }

    /// The files are read when dialling, so that renewed certificates count.
    async fn tls_config(&self) -> Result<Arc<rustls::ClientConfig>, SourceError> {
        let dsn = &self.dsn;
        let mut options = TlsOptions { key_password: dsn.key_password.clone(), ..TlsOptions::default() };
        options.insecure = match dsn.ssl_mode {
            SslMode::Disable | SslMode::Allow | SslMode::Prefer => true,
            SslMode::Require => dsn.root_cert.is_none(),
            SslMode::VerifyCa | SslMode::VerifyFull => false,
        };
        if dsn.ssl_mode != SslMode::Disable {
            if let Some(path) = &dsn.root_cert {
                options.ca = Some(file("sslrootcert", path).await?);
            }
            if let Some((cert, key)) = &dsn.client_cert {
                options.cert = Some(file("sslcert", cert).await?);
                options.key = Some(file("sslkey", key).await?);
            }
        }
        let any_name = dsn.ssl_mode != SslMode::VerifyFull;
        self.tls.config_with(&options, Verification { only_own_roots: true, any_name })
    }
}

async fn file(name: &str, path: &Path) -> Result<Secret, SourceError> {
    tokio::fs::read_to_string(path).await.map(Secret::new).map_err(|error| {
        SourceError::new(ErrorKind::Configuration, format!("{name}: cannot read {}: {error}", path.display()))
    })
}

/// What the first row holds: its columns as text.
enum FirstRow {
    None,
    Columns(usize),
    One(Option<String>),
}

async fn first_row(client: &Client, query: &str) -> Result<FirstRow, Error> {
    let mut messages = std::pin::pin!(client.simple_query_raw(query).await?);
    let mut first = FirstRow::None;
    // Read to the end: an error may come after the rows.
    while let Some(message) = messages.try_next().await? {
        if let (SimpleQueryMessage::Row(row), FirstRow::None) = (message, &first) {
            first = match row.len() {
                1 => FirstRow::One(row.try_get(0)?.map(str::to_string)),
                columns => FirstRow::Columns(columns),
            };
        }
    }
    Ok(first)
}

fn number(row: FirstRow) -> Result<f64, String> {
    match row {
        FirstRow::None => Err("sql: no rows in result set".to_string()),
        FirstRow::Columns(columns) => Err(sql_number::too_many(columns)),
        FirstRow::One(None) => Err(sql_number::null()),
        FirstRow::One(Some(text)) => sql_number::parse(&text),
    }
}

fn explain(error: &Error) -> SourceError {
    let Some(refusal) = error.as_db_error() else {
        let outer = error.to_string();
        let kind = match outer.as_str() {
            "invalid configuration" | "invalid connection string" => ErrorKind::Configuration,
            "authentication error" => ErrorKind::Denied,
            _ => ErrorKind::Unreachable,
        };
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        return SourceError::new(kind, format!("{outer}{cause}"));
    };
    let code = refusal.code();
    let kind = match code.code().get(..2).unwrap_or_default() {
        "28" => ErrorKind::Denied,
        _ if *code == SqlState::INSUFFICIENT_PRIVILEGE => ErrorKind::Denied,
        "08" | "53" | "57" | "58" | "XX" => ErrorKind::Unreachable,
        _ => ErrorKind::Configuration,
    };
    let message = format!("{}: {} (SQLSTATE {})", refusal.severity(), refusal.message(), code.code());
    SourceError::new(kind, message)
}
