//! AMQP 0-9-1: the lengths of queues, over one connection and one channel per server and login.
//!
//! The protocol is the library's; dialling is ours, so that every connection uses the one TLS builder. Asking for a
//! queue that does not exist closes the channel (the protocol wants it so), which then is opened anew on the same
//! connection. Requests take turns on the channel, so that the failure of one does not take others with it.

use std::sync::Arc;
use std::time::Duration;

use keda_core::sample::{ErrorKind, SourceError};
use keda_core::secret::Secret;
use lapin::options::QueueDeclareOptions;
use lapin::tcp::{AMQPUriTcpExt, AsyncTcpStream, RustlsConnector, TLSConfig};
use lapin::types::{FieldTable, ShortString};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo, SASLMechanism};
use lapin::{Channel, Connection, ConnectionProperties};
use percent_encoding::percent_decode_str;
use rustls::ClientConfig;
use tokio::sync::Mutex;
use tokio::time::timeout;
use url::Url;

use super::Sources;
use super::pool::{Pool, Slot};
use super::tls::TlsOptions;

/// Limit of amqp091-go to connect.
const DIAL: Duration = Duration::from_secs(30);
/// Seconds between heartbeats, as in amqp091-go; half of them without a word end the connection.
const HEARTBEAT: u16 = 10;

/// One connection per server and login.
pub type AmqpPool = Pool<Endpoint, Link>;

/// A server, who we are there, and the virtual host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Name or address of the server, an IPv6 one without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The virtual host.
    pub vhost: String,
    /// How to log in.
    pub login: Login,
    /// TLS, when it is on.
    pub tls: Option<TlsOptions>,
}

/// How to log in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Login {
    /// With user and password.
    Plain {
        /// The user.
        username: String,
        /// The password.
        password: Secret,
    },
    /// As whom the client's certificate says.
    External,
}

impl Endpoint {
    /// Reads `amqp://user:password@host:port/vhost`, or `amqps://…`, which turns TLS on; what is missing of user and
    /// password is `guest`, and the virtual host is `/` by default.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`], without the address, as it may hold a password.
    pub fn parse(address: &str) -> Result<Self, SourceError> {
        let bad = |what: &str| SourceError::new(ErrorKind::Configuration, format!("the AMQP address is bad: {what}"));
        let url = Url::parse(address).map_err(|error| bad(&error.to_string()))?;
        let tls = match url.scheme() {
            "amqp" => None,
            "amqps" => Some(TlsOptions::default()),
            _ => return Err(bad("its scheme must be either amqp or amqps")),
        };
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let login = match (url.username(), url.password()) {
            ("", None) => Login::Plain { username: "guest".to_string(), password: Secret::new("guest") },
            (username, password) => Login::Plain {
                username: decode(username),
                password: Secret::new(password.map_or_else(|| "guest".to_string(), decode)),
            },
        };
        let host = decode(url.host_str().unwrap_or_default()).trim_matches(['[', ']']).to_string();
        let vhost = decode(url.path().strip_prefix('/').unwrap_or_default());
        if vhost.len() > 255 {
            return Err(bad("a vhost cannot have more than 255 bytes"));
        }
        Ok(Endpoint {
            host: if host.is_empty() { "localhost".to_string() } else { host },
            port: url.port().unwrap_or(if tls.is_some() { 5671 } else { 5672 }),
            vhost: if vhost.is_empty() { "/".to_string() } else { vhost },
            login,
            tls,
        })
    }

    /// What the library connects to. TLS is not its affair.
    fn uri(&self) -> AMQPUri {
        let (username, password, mechanism) = match &self.login {
            Login::Plain { username, password } => {
                (username.clone(), password.expose().to_string(), SASLMechanism::Plain)
            }
            Login::External => (String::new(), String::new(), SASLMechanism::External),
        };
        AMQPUri {
            scheme: AMQPScheme::AMQP,
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo { username, password },
                host: self.host.clone(),
                port: self.port,
            },
            vhost: self.vhost.clone(),
            query: AMQPQueryString {
                heartbeat: Some(HEARTBEAT),
                auth_mechanism: Some(mechanism),
                ..AMQPQueryString::default()
            },
        }
    }
}

/// A client for the questions of one trigger.
#[derive(Debug)]
pub struct Amqp {
    endpoint: Endpoint,
    connection_name: String,
    tls: Option<Arc<ClientConfig>>,
    slot: Arc<Slot<Link>>,
    exchange: Duration,
}

/// A connection and its channel, open when there is one.
#[derive(Debug)]
pub struct Link {
    connection: Connection,
    channel: Mutex<Option<Channel>>,
}

impl Amqp {
    /// A client that dials when first asked. `connection_name` is what the server shows for the connection.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for TLS material that cannot be used.
    pub fn new(endpoint: Endpoint, connection_name: String, sources: &Sources) -> Result<Self, SourceError> {
        let tls = endpoint.tls.as_ref().map(|options| sources.tls.config(options)).transpose()?;
        let slot = sources.amqp.slot(endpoint.clone());
        Ok(Amqp { endpoint, connection_name, tls, slot, exchange: sources.settings.timeout })
    }

    /// The number of messages of a queue that wait for a consumer.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for a queue that does not exist, [`ErrorKind::Denied`] for a refused login,
    /// [`ErrorKind::Unreachable`].
    pub async fn queue_length(&self, queue: &str) -> Result<u32, SourceError> {
        let name = ShortString::try_new(queue).map_err(|_| {
            SourceError::new(ErrorKind::Configuration, "the name of a queue cannot have more than 255 bytes")
        })?;
        let link = self.link().await?;
        // Whoever waits for its turn while the server is silent finds the connection closed, and does not wait again.
        let mut channel = link.channel.lock().await;
        let answer = timeout(self.exchange, ask(&link.connection, &mut channel, name)).await;
        let error = match answer {
            Ok(Ok(length)) => return Ok(length),
            Ok(Err(error)) => self.explain(&error, queue),
            Err(_) => {
                // Nobody is left to hear of a failure to say goodbye.
                let _ = timeout(Duration::from_millis(100), link.connection.close(200, "no answer".into())).await;
                self.slot.discard(&link).await;
                self.unreachable("no answer in time")
            }
        };
        *channel = None;
        if !link.connection.status().connected() {
            self.slot.discard(&link).await;
        }
        Err(error)
    }

    async fn link(&self) -> Result<Arc<Link>, SourceError> {
        let link = self.slot.get(|| self.dial()).await?;
        if link.connection.status().connected() {
            return Ok(link);
        }
        self.slot.discard(&link).await;
        self.slot.get(|| self.dial()).await
    }

    async fn dial(&self) -> Result<Link, SourceError> {
        let tls = self.tls.clone();
        let connect = async move |uri: AMQPUri, runtime| {
            let stream = uri.connect_with_config_async(TLSConfig::default(), &runtime).await?;
            let Some(tls) = &tls else { return Ok(stream) };
            let stream: AsyncTcpStream<_> =
                stream.into_rustls(&RustlsConnector::from(Arc::clone(tls)), &uri.authority.host).await?;
            Ok(stream)
        };
        let properties = ConnectionProperties::default().with_connection_name(self.connection_name.as_str().into());
        let runtime = lapin::runtime::default_runtime().map_err(|error| self.explain(&error, ""))?;
        match timeout(DIAL, Connection::connector(self.endpoint.uri(), runtime, connect, properties)).await {
            Ok(Ok(connection)) => Ok(Link { connection, channel: Mutex::new(None) }),
            Ok(Err(error)) => Err(self.explain(&error, "")),
            Err(_) => Err(self.unreachable("no answer in time")),
        }
    }

    fn unreachable(&self, what: &str) -> SourceError {
        SourceError::new(ErrorKind::Unreachable, format!("{}:{}: {what}", self.endpoint.host, self.endpoint.port))
    }

    fn explain(&self, error: &lapin::Error, queue: &str) -> SourceError {
        let lapin::ErrorKind::ProtocolError(refusal) = error.kind() else {
            return self.unreachable(&error.to_string());
        };
        let Endpoint { host, port, vhost, .. } = &self.endpoint;
        let said = refusal.get_message().to_string();
        let kind = match refusal.get_id() {
            404 if !queue.is_empty() => {
                let message = format!("there is no queue {queue:?} in the vhost {vhost:?} of {host}:{port}");
                return SourceError::new(ErrorKind::Configuration, message);
            }
            403 => ErrorKind::Denied,
            530 if said.contains("access to vhost") => ErrorKind::Denied,
            404 | 405 | 406 | 530 => ErrorKind::Configuration,
            _ => ErrorKind::Unreachable,
        };
        SourceError::new(kind, format!("{host}:{port}: {said}"))
    }
}

async fn ask(connection: &Connection, channel: &mut Option<Channel>, queue: ShortString) -> lapin::Result<u32> {
    let open = match channel.take().filter(|channel| channel.status().connected()) {
        Some(open) => open,
        None => connection.create_channel().await?,
    };
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let length = open.queue_declare(queue, passive, FieldTable::default()).await?.message_count();
    *channel = Some(open);
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_defaults_for_all_but_the_scheme() {
        let bare = Endpoint::parse("amqp://").unwrap();
        assert_eq!((bare.host.as_str(), bare.port, bare.vhost.as_str()), ("localhost", 5672, "/"));
        assert_eq!(bare.login, Login::Plain { username: "guest".into(), password: Secret::new("guest") });
        let full = Endpoint::parse("amqps://u%40x:p%2Fw@[::1]:1/a%2Fb").unwrap();
        assert_eq!((full.host.as_str(), full.port, full.vhost.as_str()), ("::1", 1, "a/b"));
        assert_eq!(full.login, Login::Plain { username: "u@x".into(), password: Secret::new("p/w") });
        assert!(full.tls.is_some());
        let half = Endpoint::parse("amqp://shop@h").unwrap();
        assert_eq!(half.login, Login::Plain { username: "shop".into(), password: Secret::new("guest") });
        for (address, vhost) in [("amqp://h/", "/"), ("amqp://h/%2F", "/"), ("amqp://h//x", "/x")] {
            assert_eq!(Endpoint::parse(address).unwrap().vhost, vhost);
        }
    }

    #[test]
    fn a_bad_address_is_not_shown() {
        for address in ["http://u:hunter2@h", "amqp://u:hunter2@h:port"] {
            assert!(!Endpoint::parse(address).unwrap_err().message.contains("hunter2"));
        }
    }
}
