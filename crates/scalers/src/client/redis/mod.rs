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
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, RedisConnectionInfo, RedisError, ServerErrorKind};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Sources;
use super::pool::{Pool, Slot};
use super::servers::join_host_port;
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
        let mut way = Way::Usual;
        for _ in 0..=REDIRECTIONS {
            match self.sources.run(&endpoint, way, command).await {
                Ok(value) => {
                    // Whoever is only getting the slot does not have all of its keys yet.
                    if way == Way::Usual {
                        self.remember(Some(endpoint));
                    }
                    return Ok(value);
                }
                Err(failure) => {
                    let Some((address, next)) = failure.redirection() else {
                        self.forget();
                        return Err(failure.within(self.failed()));
                    };
                    endpoint = Endpoint { address: announced(&endpoint, address), ..endpoint };
                    way = next;
                }
            }
        }
        self.forget();
        Err(SourceError::malformed("the cluster redirects in circles"))
    }

    fn remember(&self, home: Option<Endpoint>) {
        *self.home.lock().unwrap_or_else(PoisonError::into_inner) = home;
    }

    /// Forgets who had the key, and lets go of servers that others told of: they may be gone for good.
    fn forget(&self) {
        self.remember(None);
        self.sources.keep(match &self.deployment {
            Deployment::Single(endpoint) => std::slice::from_ref(endpoint),
            Deployment::Sentinel { sentinels, .. } => sentinels,
            Deployment::Cluster(seeds) => seeds,
        });
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
            (Deployment::Cluster(seeds), None) => self.first_that_answers(seeds).await,
            (Deployment::Sentinel { sentinels, master, data }, None) => {
                Ok(Endpoint { address: self.master(sentinels, master).await?, ..(**data).clone() })
            }
        }
    }

    async fn first_that_answers(&self, endpoints: &[Endpoint]) -> Result<Endpoint, SourceError> {
        let mut failure = SourceError::configuration("no addresses or hosts given");
        for endpoint in endpoints {
            match self.sources.run::<String>(endpoint, Way::Usual, &redis::cmd("PING")).await {
                Ok(_) => return Ok(endpoint.clone()),
                Err(error) => failure = error.within(self.failed()),
            }
        }
        Err(failure)
    }

    /// Where the master is, as the first sentinel says that knows it. One that does not may have started just now.
    async fn master(&self, sentinels: &[Endpoint], name: &str) -> Result<String, SourceError> {
        let question = redis::cmd("SENTINEL").arg("get-master-addr-by-name").arg(name).to_owned();
        let mut failure = SourceError::configuration("no addresses or hosts given");
        let mut is_unknown = false;
        for sentinel in sentinels {
            match self.sources.run::<Option<(String, String)>>(sentinel, Way::Usual, &question).await {
                Ok(Some((host, port))) => return Ok(join_host_port(&host, &port)),
                Ok(None) => is_unknown = true,
                Err(error) => failure = error.within(self.failed()),
            }
        }
        if is_unknown {
            let message = format!("{}: no sentinel knows the master {name:?}", self.failed());
            return Err(SourceError::configuration(message));
        }
        Err(failure)
    }
}

/// How a server of a cluster is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Usual,
    /// For a slot that it is getting from another server at the moment.
    MovingIn,
}

/// The address that a server told; one without a host is at the host that was asked.
fn announced(asked: &Endpoint, address: &str) -> String {
    match address.rsplit_once(':') {
        Some(("", port)) => {
            let host = asked.address.rsplit_once(':').map_or(asked.address.as_str(), |(host, _)| host);
            format!("{host}:{port}")
        }
        Some((host, port)) => join_host_port(host, port),
        None => address.to_string(),
    }
}

impl Connections {
    async fn run<T: FromRedisValue>(&self, endpoint: &Endpoint, way: Way, command: &Cmd) -> Result<T, Failure> {
        let slot = {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(held.entry(endpoint.clone()).or_insert_with(|| self.pool.slot(endpoint.clone())))
        };
        let connection = slot.get(|| self.dial(endpoint)).await?;
        let mut handle = MultiplexedConnection::clone(&connection);
        let result = match way {
            Way::Usual => command.query_async(&mut handle).await,
            Way::MovingIn => {
                let mut pipeline = redis::pipe();
                pipeline.cmd("ASKING").ignore().add_command(command.clone());
                pipeline.query_async(&mut handle).await.map(|(value,): (T,)| value)
            }
        };
        if let Err(error) = &result
            && (error.is_io_error() || error.is_timeout() || error.is_unrecoverable_error())
        {
            slot.discard(&connection).await;
        }
        Ok(result?)
    }

    /// Lets go of all servers but these.
    fn keep(&self, endpoints: &[Endpoint]) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|endpoint, _| endpoints.contains(endpoint));
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
    /// The server that another one told of, and how it is to be asked.
    fn redirection(&self) -> Option<(&str, Way)> {
        let Failure::Exchange(error) = self else { return None };
        let (address, _) = error.redirect_node()?;
        let is_moving = error.kind() == redis::ErrorKind::Server(ServerErrorKind::Ask);
        Some((address, if is_moving { Way::MovingIn } else { Way::Usual }))
    }

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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::client::SourceSettings;

    /// A server that answers commands as told, and `PING` by itself; where it is.
    async fn server(answer: impl Fn(&[&str]) -> String + Clone + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut bytes = vec![0; 4096];
                    while let Ok(read @ 1..) = stream.read(&mut bytes).await {
                        let answers = answers(&String::from_utf8_lossy(&bytes[..read]), &answer);
                        stream.write_all(answers.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        address
    }

    fn answers(commands: &str, answer: &impl Fn(&[&str]) -> String) -> String {
        let answer = |command: &str| {
            let words: Vec<&str> = command.split("\r\n").skip(2).step_by(2).filter(|word| !word.is_empty()).collect();
            if words == ["PING"] { "+PONG\r\n".to_string() } else { answer(&words) }
        };
        commands.split('*').skip(1).map(answer).collect()
    }

    fn endpoint(address: &str) -> Endpoint {
        Endpoint { address: address.to_string(), login: Login::default(), database: 0, tls: None }
    }

    fn client(deployment: Deployment) -> Redis {
        Redis::new(deployment, &Sources::new(SourceSettings::default())).unwrap()
    }

    #[tokio::test]
    async fn a_slot_that_moves_is_asked_for_where_it_goes() {
        let is_asking = Arc::new(AtomicBool::new(false));
        let new = server(move |words| match words[0] {
            "ASKING" => {
                is_asking.store(true, Ordering::SeqCst);
                "+OK\r\n".to_string()
            }
            _ if is_asking.swap(false, Ordering::SeqCst) => ":7\r\n".to_string(),
            _ => "-MOVED 1 127.0.0.1:1\r\n".to_string(),
        });
        let new = new.await;
        let old = server(move |_| format!("-ASK 1 {new}\r\n")).await;
        let redis = client(Deployment::Cluster(vec![endpoint(&old)]));
        for _ in 0..2 {
            assert_eq!(redis.run::<i64>(redis::cmd("LLEN").arg("list")).await, Ok(7));
        }
    }

    #[tokio::test]
    async fn a_sentinel_that_does_not_know_the_master_is_passed_over() {
        let master = server(|_| ":3\r\n".to_string()).await;
        let (host, port) = master.rsplit_once(':').unwrap();
        let place = format!("*2\r\n${}\r\n{host}\r\n${}\r\n{port}\r\n", host.len(), port.len());
        let (young, old) = (server(|_| "*-1\r\n".to_string()).await, server(move |_| place.clone()).await);
        let length = async |sentinels: &[&str]| {
            let sentinels = sentinels.iter().map(|address| endpoint(address)).collect();
            let data = Box::new(endpoint("found out"));
            let redis = client(Deployment::Sentinel { sentinels, master: "mymaster".to_string(), data });
            redis.run::<i64>(redis::cmd("LLEN").arg("list")).await
        };
        assert_eq!(length(&[young.as_str(), old.as_str()]).await, Ok(3));
        let unknown = length(&["127.0.0.1:1", young.as_str()]).await.unwrap_err();
        assert_eq!(unknown.kind, ErrorKind::Configuration, "{unknown}");
    }

    #[tokio::test]
    async fn servers_that_others_told_of_are_let_go_when_they_fail() {
        let gone = server(|_| "-CLUSTERDOWN it is down\r\n".to_string()).await;
        let seed = server(move |_| format!("-MOVED 1 {gone}\r\n")).await;
        let redis = client(Deployment::Cluster(vec![endpoint(&seed)]));
        let error = redis.run::<i64>(redis::cmd("LLEN").arg("list")).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
        let held: Vec<String> = redis.sources.held.lock().unwrap().keys().map(|held| held.address.clone()).collect();
        assert_eq!(held, [seed]);
    }

    #[test]
    fn addresses_that_servers_tell_may_lack_a_host_or_brackets() {
        let told = |address: &str| announced(&endpoint("[fd00::1]:6379"), address);
        assert_eq!(told(":6380"), "[fd00::1]:6380");
        assert_eq!(told("fd00::2:6380"), "[fd00::2]:6380");
        assert_eq!(told("[fd00::2]:6380"), "[fd00::2]:6380");
        assert_eq!(told("redis-1.shop.svc:6379"), "redis-1.shop.svc:6379");
    }
}
