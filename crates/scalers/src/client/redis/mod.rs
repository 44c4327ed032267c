//! Redis: single servers, sentinels and clusters, over one multiplexed connection per server and login.
//!
//! The protocol is the library's; dialling is ours, so that every connection uses the one TLS builder, and so is
//! following a cluster's redirections, as a trigger only ever asks for one key.

mod options;

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keda_core::sample::{ErrorKind, SourceError};
use keda_core::secret::Secret;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, RedisConnectionInfo, RedisError};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Sources;
use super::pool::{Pool, Slot};
use super::tls::TlsOptions;
pub use options::RedisOptions;

/// Limits of go-redis: to connect, and for one exchange.
const DIAL: Duration = Duration::from_secs(5);
const EXCHANGE: Duration = Duration::from_secs(3);
/// Redirections that are followed for one command.
const REDIRECTIONS: usize = 3;

/// One connection per server and login.
pub type RedisPool = Pool<Endpoint, MultiplexedConnection>;

/// A server, and who we are there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// `host:port`.
    pub address: String,
    /// User and password.
    pub login: Login,
    /// The database that is selected.
    pub database: i64,
    /// TLS, when it is on.
    pub tls: Option<TlsOptions>,
}

/// User and password, either of which may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Login {
    /// The user; the default one when empty.
    pub username: String,
    /// The password; none when empty.
    pub password: Secret,
}

/// Where the key is.
#[derive(Debug, Clone)]
pub enum Deployment {
    /// On this server.
    Single(Endpoint),
    /// On the server that the sentinels call the master.
    Sentinel {
        /// The sentinels.
        sentinels: Vec<Endpoint>,
        /// The name they know the master by.
        master: String,
        /// Login, database and TLS of the master; its address is found out.
        data: Box<Endpoint>,
    },
    /// On one server of a cluster, which any of these knows.
    Cluster(Vec<Endpoint>),
}

/// A client for the commands of one trigger.
#[derive(Debug)]
pub struct Redis {
    deployment: Deployment,
    sources: Arc<Connections>,
    /// The server that had the key last.
    home: Mutex<Option<Endpoint>>,
}

/// The slots that a client holds on to, so that their connections stay open.
#[derive(Debug)]
struct Connections {
    pool: Arc<RedisPool>,
    tls: Arc<super::tls::Tls>,
    held: Mutex<HashMap<Endpoint, Arc<Slot<MultiplexedConnection>>>>,
}

impl Redis {
    /// A client that dials when first asked.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for TLS material that cannot be used.
    pub fn new(deployment: Deployment, sources: &Sources) -> Result<Self, SourceError> {
        let first = match &deployment {
            Deployment::Single(endpoint) => Some(endpoint),
            Deployment::Sentinel { data, .. } => Some(&**data),
            Deployment::Cluster(seeds) => seeds.first(),
        };
        if let Some(tls) = first.and_then(|endpoint| endpoint.tls.as_ref()) {
            sources.tls.config(tls)?;
        }
        let connections = Connections {
            pool: Arc::clone(&sources.redis),
            tls: Arc::clone(&sources.tls),
            held: Mutex::new(HashMap::new()),
        };
        Ok(Redis { deployment, sources: Arc::new(connections), home: Mutex::new(None) })
    }

    /// Runs a command on the server that has the key.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`], [`ErrorKind::Denied`], or [`ErrorKind::Configuration`] for what the server refuses.
    pub async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, SourceError> {
        let mut endpoint = self.locate().await?;
        for _ in 0..=REDIRECTIONS {
            match self.sources.run(&endpoint, command).await {
                Ok(value) => {
                    self.remember(Some(endpoint));
                    return Ok(value);
                }
                Err(failure) => {
                    let redirected = match &failure {
                        Failure::Exchange(error) => error.redirect_node(),
                        Failure::Dial(_) => None,
                    };
                    let Some((address, _)) = redirected else {
                        self.remember(None);
                        return Err(failure.within(self.failed()));
                    };
                    endpoint = Endpoint { address: self.announced(&endpoint, address), ..endpoint };
                }
            }
        }
        self.remember(None);
        Err(SourceError::malformed("the cluster redirects in circles"))
    }

    fn remember(&self, home: Option<Endpoint>) {
        *self.home.lock().unwrap_or_else(PoisonError::into_inner) = home;
    }

    /// A cluster that announces no host means the one that was asked.
    fn announced(&self, asked: &Endpoint, address: &str) -> String {
        match address.strip_prefix(':') {
            Some(port) => {
                let host = asked.address.rsplit_once(':').map_or(asked.address.as_str(), |(host, _)| host);
                format!("{host}:{port}")
            }
            None => address.to_string(),
        }
    }

    fn failed(&self) -> &'static str {
        match self.deployment {
            Deployment::Single(_) => "connection to redis failed",
            Deployment::Sentinel { .. } => "connection to redis sentinel failed",
            Deployment::Cluster(_) => "connection to redis cluster failed",
        }
    }

    async fn locate(&self) -> Result<Endpoint, SourceError> {
        let home = self.home.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match (&self.deployment, home) {
            (_, Some(home)) => Ok(home),
            (Deployment::Single(endpoint), None) => Ok(endpoint.clone()),
            (Deployment::Cluster(seeds), None) => {
                let ping = redis::cmd("PING");
                self.first_that_answers(seeds, &ping).await.map(|(endpoint, _): (_, String)| endpoint)
            }
            (Deployment::Sentinel { sentinels, master, data }, None) => {
                let question = redis::cmd("SENTINEL").arg("get-master-addr-by-name").arg(master).to_owned();
                let (_, answer): (_, Option<(String, String)>) = self.first_that_answers(sentinels, &question).await?;
                let (host, port) = answer.ok_or_else(|| {
                    let message = format!("{}: no sentinel knows the master {master:?}", self.failed());
                    SourceError::new(ErrorKind::Configuration, message)
                })?;
                Ok(Endpoint { address: join_host_port(&host, &port), ..(**data).clone() })
            }
        }
    }

    async fn first_that_answers<T: FromRedisValue>(
        &self,
        endpoints: &[Endpoint],
        command: &Cmd,
    ) -> Result<(Endpoint, T), SourceError> {
        let mut failure = SourceError::new(ErrorKind::Configuration, "no addresses or hosts given");
        for endpoint in endpoints {
            match self.sources.run(endpoint, command).await {
                Ok(value) => return Ok((endpoint.clone(), value)),
                Err(error) => failure = error.within(self.failed()),
            }
        }
        Err(failure)
    }
}

/// `host:port`, with brackets around an IPv6 host.
pub fn join_host_port(host: &str, port: &str) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

impl Connections {
    async fn run<T: FromRedisValue>(&self, endpoint: &Endpoint, command: &Cmd) -> Result<T, Failure> {
        let slot = {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(held.entry(endpoint.clone()).or_insert_with(|| self.pool.slot(endpoint.clone())))
        };
        let connection = slot.get(|| self.dial(endpoint)).await?;
        let mut handle = MultiplexedConnection::clone(&connection);
        let result = command.query_async(&mut handle).await;
        if let Err(error) = &result
            && (error.is_io_error() || error.is_timeout() || error.is_unrecoverable_error())
        {
            slot.discard(&connection).await;
        }
        Ok(result?)
    }

    async fn dial(&self, endpoint: &Endpoint) -> Result<MultiplexedConnection, SourceError> {
        let dial = async {
            let stream = TcpStream::connect(&endpoint.address).await?;
            // Small exchanges: do not wait for more to send. A failure costs only time.
            let _ = stream.set_nodelay(true);
            match &endpoint.tls {
                None => Ok(handshake(endpoint, stream).await?),
                Some(options) => {
                    let config = self.tls.config(options)?;
                    let host = endpoint.address.rsplit_once(':').map_or(endpoint.address.as_str(), |(host, _)| host);
                    let name = host.trim_matches(['[', ']']).to_string().try_into().map_err(std::io::Error::other)?;
                    let stream = TlsConnector::from(config).connect(name, stream).await?;
                    Ok::<_, Failure>(handshake(endpoint, stream).await?)
                }
            }
        };
        match tokio::time::timeout(DIAL, dial).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(failure)) => Err(failure.within(&endpoint.address)),
            Err(_) => Err(SourceError::new(ErrorKind::Unreachable, format!("{}: no answer in time", endpoint.address))),
        }
    }
}

async fn handshake<S>(endpoint: &Endpoint, stream: S) -> Result<MultiplexedConnection, RedisError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let mut info = RedisConnectionInfo::default().set_db(endpoint.database).set_skip_set_lib_name();
    if !endpoint.login.username.is_empty() {
        info = info.set_username(&endpoint.login.username);
    }
    if !endpoint.login.password.is_empty() {
        info = info.set_password(endpoint.login.password.expose());
    }
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(EXCHANGE)).set_connection_timeout(Some(DIAL));
    let (mut connection, driver) = MultiplexedConnection::new_with_config(&info, stream, config).await?;
    spawn(driver);
    redis::cmd("PING").query_async::<()>(&mut connection).await?;
    Ok(connection)
}

/// The driver ends when the last handle of its connection is dropped.
fn spawn(driver: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(driver);
}

/// Why a command failed: before it reached a server, or because of what the server or the connection did.
enum Failure {
    Dial(SourceError),
    Exchange(RedisError),
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Failure::Dial(error)
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        Failure::Exchange(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::Exchange(error.into())
    }
}

impl Failure {
    fn within(self, context: &str) -> SourceError {
        match self {
            Failure::Dial(error) => error.within(context),
            Failure::Exchange(error) => classify(context, &error),
        }
    }
}

fn classify(context: &str, error: &RedisError) -> SourceError {
    let code = error.code().unwrap_or_default();
    let kind = if matches!(code, "NOAUTH" | "WRONGPASS" | "NOPERM") || is_authentication(error) {
        ErrorKind::Denied
    } else if error.is_io_error()
        || error.is_timeout()
        || error.is_connection_dropped()
        || matches!(code, "LOADING" | "BUSY" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN")
    {
        ErrorKind::Unreachable
    } else {
        ErrorKind::Configuration
    };
    let what = match (error.code(), error.detail()) {
        _ if error.is_timeout() => "no answer in time".to_string(),
        _ if is_authentication(error) => "authentication failed: wrong user or password".to_string(),
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    };
    SourceError::new(kind, format!("{context}: {what}"))
}

fn is_authentication(error: &RedisError) -> bool {
    error.kind() == redis::ErrorKind::AuthenticationFailed
}
