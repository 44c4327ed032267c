//! gRPC: one channel per server and TLS shape, dialled when first used, and again after it broke.
//!
//! Addresses are gRPC's (`dns:`, `passthrough:`, `unix:`, or nothing, which means `dns:`). One connection serves all
//! calls; the name is resolved anew whenever it is dialled.

mod address;

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::Stream;
use hyper_util::rt::TokioIo;
use keda_core::sample::{ErrorKind, SourceError};
use keda_core::secret::Secret;
use prost::Message;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tonic::codegen::http::Uri;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::Sources;
use super::pool::{Pool, Slot};
use super::tls::{Tls, TlsOptions};
use address::Address;

/// Time to connect, as gRPC's own clients have it.
const DIAL: Duration = Duration::from_secs(20);
/// How often a silent connection with open calls is probed. Servers end connections that are probed more often.
const PROBE: Duration = Duration::from_secs(300);

/// One channel per server, TLS shape, and name that the certificate is for, where that is not the server's.
pub type GrpcPool = Pool<(Endpoint, Option<String>), Channel>;

/// A server, and how it is talked to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// `host:port`, or another target that gRPC knows.
    pub target: String,
    /// TLS, when it is on.
    pub tls: Option<TlsOptions>,
}

/// A client for the calls of one trigger.
#[derive(Debug)]
pub struct Grpc {
    endpoint: Endpoint,
    certificate_name: Option<String>,
    tls: Arc<Tls>,
    /// Where hosts are, without asking for their names.
    hosts: Vec<(String, SocketAddr)>,
    slot: Arc<Slot<Channel>>,
}

impl Grpc {
    /// A client that dials when first used.
    pub fn new(endpoint: Endpoint, sources: &Sources) -> Self {
        Grpc::with_certificate_name(endpoint, None, sources)
    }

    /// As [`Grpc::new`], of a server whose certificate may be for another name; calls over TLS are for that one too.
    pub fn with_certificate_name(endpoint: Endpoint, certificate_name: Option<String>, sources: &Sources) -> Self {
        let slot = sources.grpc.slot((endpoint.clone(), certificate_name.clone()));
        let (tls, hosts) = (Arc::clone(&sources.tls), sources.settings.hosts.clone());
        Grpc { endpoint, certificate_name, tls, hosts, slot }
    }

    /// Calls the method at `path` (`/package.Service/Method`).
    ///
    /// # Errors
    /// The status that the server, or the way to it, ended the call with; see [`explain`].
    pub async fn call<Q, A>(&self, path: &'static str, request: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        self.ask(path, Request::new(request)).await
    }

    /// As [`Grpc::call`], with metadata beside the request, by names in small letters.
    ///
    /// # Errors
    /// As for [`Grpc::call`]; [`Code::InvalidArgument`] for a value that cannot be sent.
    pub async fn call_with<Q, A>(
        &self,
        path: &'static str,
        request: Q,
        metadata: &[(&'static str, Secret)],
    ) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut request = Request::new(request);
        for (name, value) in metadata {
            let mut value = MetadataValue::try_from(value.expose())
                .map_err(|_| Status::invalid_argument(format!("the value of {name} cannot be sent")))?;
            value.set_sensitive(true);
            request.metadata_mut().insert(*name, value);
        }
        self.ask(path, request).await
    }

    /// As [`Grpc::call`], of a request that has its metadata already.
    ///
    /// # Errors
    /// As for [`Grpc::call`].
    pub async fn ask<Q, A>(&self, path: &'static str, request: Request<Q>) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let codec = ProstCodec::<Q, A>::default();
        let answer = self.client().await?.unary(request, PathAndQuery::from_static(path), codec).await?;
        Ok(answer.into_inner())
    }

    /// Calls a method that is asked with a stream and answers with one.
    ///
    /// # Errors
    /// As for [`Grpc::call`].
    pub async fn converse<Q, A, S>(&self, path: &'static str, requests: Request<S>) -> Result<Streaming<A>, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
        S: Stream<Item = Q> + Send + 'static,
    {
        let codec = ProstCodec::<Q, A>::default();
        let answer = self.client().await?.streaming(requests, PathAndQuery::from_static(path), codec).await?;
        Ok(answer.into_inner())
    }

    /// Calls a method that answers with a stream.
    ///
    /// # Errors
    /// As for [`Grpc::call`].
    pub async fn stream<Q, A>(&self, path: &'static str, request: Q) -> Result<Streaming<A>, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let codec = ProstCodec::<Q, A>::default();
        let mut client = self.client().await?;
        let request = Request::new(request);
        let answer = client.server_streaming(request, PathAndQuery::from_static(path), codec).await?;
        Ok(answer.into_inner())
    }

    async fn client(&self) -> Result<tonic::client::Grpc<Channel>, Status> {
        let channel = self.slot.get(|| async { self.open() }).await;
        let channel = channel.map_err(|error| Status::failed_precondition(error.message))?;
        let mut client = tonic::client::Grpc::new(Channel::clone(&channel));
        client.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
        Ok(client)
    }

    /// The channel; nothing is dialled yet.
    fn open(&self) -> Result<Channel, SourceError> {
        let target = &self.endpoint.target;
        let address = Address::parse(target)
            .map_err(|message| SourceError::configuration(format!("{target:?} cannot be dialled: {message}")))?;
        let authority = address.authority();
        let unusable = |_| SourceError::configuration(format!("{target:?} cannot be dialled: it is no address"));
        let tls = match &self.endpoint.tls {
            Some(options) => {
                let mut config = ClientConfig::clone(&*self.tls.config(options)?);
                config.alpn_protocols = vec![b"h2".to_vec()];
                let name = ServerName::try_from(self.certificate_name.as_deref().unwrap_or(address.host()).to_string())
                    .map_err(|_| SourceError::configuration(format!("{target:?} has no name for a certificate")))?;
                Some((TlsConnector::from(Arc::new(config)), name))
            }
            None => None,
        };
        let origin = match (&tls, &self.certificate_name) {
            // As in Go's gRPC: a proxy may choose the server by the name that a call is for.
            (Some(_), Some(name)) if name.contains(':') => format!("https://[{name}]"),
            (Some(_), Some(name)) => format!("https://{name}"),
            (Some(_), None) => format!("https://{authority}"),
            (None, _) => format!("http://{authority}"),
        };
        let origin: Uri = origin.parse().map_err(unusable)?;
        // The connector does the TLS; of the library's own it is not to know.
        let endpoint = Channel::from_shared(format!("http://{authority}")).map_err(unusable)?;
        let endpoint = endpoint.origin(origin).connect_timeout(DIAL).http2_keep_alive_interval(PROBE);
        let known = self.hosts.iter().find(|(host, _)| host == address.host()).map(|(_, place)| *place);
        let connector = tower::service_fn(move |_: Uri| {
            let (address, tls) = (address.clone(), tls.clone());
            async move { dial(&address, known, tls).await.map(TokioIo::new) }
        });
        Ok(endpoint.connect_with_connector_lazy(connector))
    }
}

/// A connection of any kind.
trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<C: AsyncRead + AsyncWrite + Send + Unpin> Connection for C {}

async fn dial(
    address: &Address,
    known: Option<SocketAddr>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
) -> io::Result<Box<dyn Connection>> {
    let connection: Box<dyn Connection> = match address {
        Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
        Address::Tcp { host, port } => {
            let stream = match known {
                Some(place) => TcpStream::connect(place).await?,
                None => TcpStream::connect((host.as_str(), *port)).await?,
            };
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
    };
    match tls {
        Some((connector, name)) => Ok(Box::new(connector.connect(name, connection).await?)),
        None => Ok(connection),
    }
}

/// What a status says about the failure of a reading.
pub fn explain(status: &Status) -> SourceError {
    let kind = match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => ErrorKind::Denied,
        Code::ResourceExhausted => ErrorKind::Throttled,
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented => ErrorKind::Configuration,
        Code::DataLoss => ErrorKind::Malformed,
        _ => ErrorKind::Unreachable,
    };
    let mut message = format!("{:?}: {}", status.code(), status.message());
    if let Some(mut cause) = status.source() {
        while let Some(source) = cause.source() {
            cause = source;
        }
        let cause = cause.to_string();
        if !message.contains(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    SourceError::new(kind, message)
}
