//! The adapter's end: one connection to the operator, made again whenever it is lost.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use http::uri::{Authority, PathAndQuery};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic_prost::ProstCodec;
use tower::Service;

use super::GET_METRICS;
use super::messages::{ScaledObjectRef, ValueList};
use crate::metrics_api::{ExternalMetricValue, MetricError, MetricSource};
use crate::tls::{Identity, IdentityWatch, ServerError, TlsVersions, client_config};

/// The wait before the next attempt to connect, growing by 1.6 each time up to the second value.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(20));
/// A connection that lasted that long is made again at once.
const LASTING: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the operator is asked whether it is still there, also when idle, and how long it may take to answer.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// Where the operator is.
#[derive(Debug, Clone)]
pub struct GrpcClientSettings {
    /// `--metrics-service-address`: host and port.
    pub address: String,
    /// `--metrics-service-grpc-authority`: the name to ask for, and that the operator's certificate must have, instead of the
    /// host.
    pub authority: Option<String>,
    /// The oldest version of TLS spoken.
    pub versions: TlsVersions,
}

/// A [`MetricSource`] that asks the operator.
#[derive(Debug)]
pub struct GrpcSource {
    connection: watch::Receiver<Option<Connection>>,
    origin: Uri,
}

impl GrpcSource {
    /// Starts to connect; must be called within a runtime. New connections are made with the newest identity. The task behind
    /// it ends with the source.
    ///
    /// Fails when the address or the authority is none.
    pub fn connect(settings: &GrpcClientSettings, identity: IdentityWatch) -> Result<Self, ServerError> {
        let address = settings.address.trim_start_matches("dns:///").trim_start_matches("passthrough:///");
        let authority = settings.authority.as_deref().filter(|authority| !authority.is_empty()).unwrap_or(address);
        let wrong = |what: &str, text: &str| ServerError::Setting(format!("{what} {text:?} is no host and port"));
        let parsed = authority.parse::<Authority>().map_err(|_| wrong("the authority", authority))?;
        let host = parsed.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|_| wrong("the authority", authority))?;
        let origin = Uri::builder().scheme("https").authority(parsed).path_and_query("/").build();
        let origin = origin.map_err(|_| wrong("the authority", authority))?;
        if address.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
            return Err(wrong("the address of the operator", address));
        }
        let (sender, connection) = watch::channel(None);
        let dialer = Dialer { address: address.to_owned(), name, versions: settings.versions };
        tokio::spawn(dialer.run(identity, sender));
        Ok(GrpcSource { connection, origin })
    }

    /// Whether there is a connection now.
    pub fn is_connected(&self) -> bool {
        self.connection.borrow().is_some()
    }

    async fn ask(&self, asked: ScaledObjectRef) -> Result<ValueList, tonic::Status> {
        let connection = self.connection.borrow().clone();
        let connection = connection.ok_or_else(|| tonic::Status::unavailable("no connection to the operator"))?;
        let mut client = Grpc::with_origin(connection, self.origin.clone());
        let ready = client.ready().await;
        ready.map_err(|error| tonic::Status::unavailable(format!("connection to the operator: {error}")))?;
        let codec = ProstCodec::<ScaledObjectRef, ValueList>::default();
        let path = PathAndQuery::from_static(GET_METRICS);
        client.unary(tonic::Request::new(asked), path, codec).await.map(tonic::Response::into_inner)
    }
}

#[async_trait]
impl MetricSource for GrpcSource {
    async fn ready(&self) {
        if self.connection.clone().wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    async fn external_metric(
        &self,
        namespace: &str,
        scaled_object: &str,
        metric: &str,
    ) -> Result<Vec<ExternalMetricValue>, MetricError> {
        let asked = ScaledObjectRef {
            name: scaled_object.to_owned(),
            namespace: namespace.to_owned(),
            metric_name: metric.to_owned(),
        };
        let mut answer = self.ask(asked.clone()).await;
        // A connection that broke under the question says nothing about the metric; a read may be asked again.
        if answer.as_ref().is_err_and(is_broken_connection) {
            tokio::time::sleep(Duration::from_millis(50)).await;
            self.ready().await;
            answer = self.ask(asked).await;
        }
        let list = answer.map_err(|status| MetricError::Rpc {
            code: code_name(status.code()),
            message: status.message().to_owned(),
        })?;
        list.items.into_iter().map(ExternalMetricValue::try_from).collect()
    }
}

/// Whether the connection failed, and not the operator.
fn is_broken_connection(status: &tonic::Status) -> bool {
    status.code() == tonic::Code::Unavailable || std::error::Error::source(status).is_some()
}

/// The names that gRPC's errors are printed with.
fn code_name(code: tonic::Code) -> &'static str {
    use tonic::Code;
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

/// An open HTTP/2 connection; clones share it.
#[derive(Debug, Clone)]
struct Connection(http2::SendRequest<Body>);

impl Service<Request<Body>> for Connection {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<Self::Response, hyper::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

struct Dialer {
    address: String,
    name: ServerName<'static>,
    versions: TlsVersions,
}

impl Dialer {
    async fn run(self, mut identity: IdentityWatch, publish: watch::Sender<Option<Connection>>) {
        let work = async {
            let mut wait = BACKOFF.0;
            loop {
                let newest = match identity.wait_for(Option::is_some).await {
                    Ok(newest) => newest.clone(),
                    Err(_) => return,
                };
                let Some(newest) = newest else { continue };
                match tokio::time::timeout(CONNECT_TIMEOUT, self.dial(&newest)).await {
                    Ok(Ok((sender, connection))) => {
                        let since = Instant::now();
                        publish.send_replace(Some(Connection(sender)));
                        let ended = connection.await;
                        publish.send_replace(None);
                        tracing::warn!(address = self.address, reason = ?ended.err(), "connection to the operator ended");
                        // With TLS 1.3, a server that refuses the certificate says so only after the handshake.
                        if since.elapsed() >= LASTING {
                            wait = BACKOFF.0;
                            continue;
                        }
                    }
                    Ok(Err(error)) => tracing::warn!(address = self.address, error, "no connection to the operator"),
                    Err(_) => tracing::warn!(address = self.address, "no connection to the operator in time"),
                }
                tokio::select! {
                    () = tokio::time::sleep(wait) => wait = BACKOFF.1.min(wait.mul_f64(1.6)),
                    _ = identity.changed() => {} // Perhaps it was the certificate.
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = publish.closed() => {}
        }
    }

    async fn dial(
        &self,
        identity: &Arc<Identity>,
    ) -> Result<(http2::SendRequest<Body>, impl Future<Output = Result<(), hyper::Error>> + use<>), String> {
        let config = client_config(identity, self.versions).map_err(|error| error.to_string())?;
        let stream = TcpStream::connect(&self.address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect(self.name.clone(), stream).await.map_err(|error| error.to_string())?;
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEP_ALIVE.0)
            .keep_alive_timeout(KEEP_ALIVE.1)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())
    }
}
