//! The accept loop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::Peer;

/// The newest configuration; `None` until there is one.
pub type ConfigWatch = watch::Receiver<Option<Arc<ServerConfig>>>;

/// Within this time a client must have done its handshake, or sent the head of its request.
const CLIENT_PATIENCE: Duration = Duration::from_secs(10);
/// How often an idle HTTP/2 connection is asked whether it is still there, and how long it may take to answer.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));
const STREAMS_PER_CONNECTION: u32 = 1000;
/// Rest after a failure to accept, such as having no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How a server stops.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// Cancelled when no more connections are to be accepted.
    pub token: CancellationToken,
    /// How long requests in flight may take after that.
    pub patience: Duration,
}

impl Shutdown {
    /// Gives requests in flight ten seconds.
    pub fn new(token: CancellationToken) -> Self {
        Shutdown { token, patience: Duration::from_secs(10) }
    }
}

/// Serves a router over TLS until the shutdown; each request carries an `Arc<Peer>` among its extensions.
///
/// Connections wait, unaccepted, until there is a first configuration. Each is accepted with the newest one. At the
/// shutdown, clients are told to go away (`Connection: close`, GOAWAY) and requests in flight are finished.
pub async fn serve(listener: TcpListener, mut configs: ConfigWatch, router: Router, shutdown: Shutdown) {
    let connections = GracefulShutdown::new();
    let http = http_server();
    loop {
        let accepted = tokio::select! {
            () = shutdown.token.cancelled() => break,
            accepted = accept(&listener, &mut configs) => accepted,
        };
        match accepted {
            Some((stream, address, config)) => {
                let connection = Connection { stream, address, config, http: http.clone(), router: router.clone() };
                tokio::spawn(connection.run(connections.watcher(), shutdown.token.clone()));
            }
            None => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(listener);
    if tokio::time::timeout(shutdown.patience, connections.shutdown()).await.is_err() {
        tracing::warn!("requests still in flight at the end of the shutdown are given up");
    }
}

async fn accept(
    listener: &TcpListener,
    configs: &mut ConfigWatch,
) -> Option<(TcpStream, SocketAddr, Arc<ServerConfig>)> {
    if configs.wait_for(Option::is_some).await.is_err() {
        return None; // The publisher is gone before it had anything; only the shutdown can end this.
    }
    match listener.accept().await {
        Ok((stream, address)) => {
            let config = configs.borrow().clone()?;
            Some((stream, address, config))
        }
        Err(error) => {
            tracing::warn!(%error, "connection not accepted");
            None
        }
    }
}

fn http_server() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(CLIENT_PATIENCE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE.0)
        .keep_alive_timeout(KEEP_ALIVE.1)
        .max_concurrent_streams(STREAMS_PER_CONNECTION);
    builder
}

struct Connection {
    stream: TcpStream,
    address: SocketAddr,
    config: Arc<ServerConfig>,
    http: auto::Builder<TokioExecutor>,
    router: Router,
}

impl Connection {
    async fn run(self, watcher: Watcher, stopping: CancellationToken) {
        let Connection { stream, address, config, http, router } = self;
        let _ = stream.set_nodelay(true);
        let handshake = tokio::time::timeout(CLIENT_PATIENCE, TlsAcceptor::from(config).accept(stream));
        let stream = tokio::select! {
            () = stopping.cancelled() => return,
            stream = handshake => match stream {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return tracing::debug!(%address, %error, "TLS handshake failed"),
                Err(_) => return tracing::debug!(%address, "TLS handshake timed out"),
            },
        };
        // The server finds out by the first bytes which HTTP is spoken, and would wait for them for good.
        let mut stream = BufReader::with_capacity(1, stream);
        let first = tokio::time::timeout(CLIENT_PATIENCE, stream.fill_buf());
        let is_silent = tokio::select! {
            () = stopping.cancelled() => true,
            first = first => !matches!(first, Ok(Ok([_, ..]))),
        };
        if is_silent {
            return tracing::debug!(%address, "nothing came after the TLS handshake");
        }
        let certificates = stream.get_ref().get_ref().1.peer_certificates().unwrap_or_default();
        let peer = Arc::new(Peer::new(address, certificates.iter().map(|one| one.clone().into_owned()).collect()));
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            router.clone().call(request)
        });
        if let Err(error) = watcher.watch(http.serve_connection(TokioIo::new(stream), service)).await {
            tracing::debug!(%address, error, "connection ended early");
        }
    }
}
