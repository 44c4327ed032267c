//! HTTP/2 spoken by a test itself, for servers of gRPC.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;

use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tonic::body::Body;

use super::certificates::Certificates;

/// Answers what is asked on a connection.
pub fn talk<F, A>(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, respond: F)
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    let service = tower::service_fn(move |request| {
        let answer = respond(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    tokio::spawn(async move {
        let builder = Builder::new(TokioExecutor::new()).http2_only();
        let _ = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).await;
    });
}

/// Serves in plain text, or by TLS with these certificates; where.
pub async fn serve<F, A>(certificates: Option<&Certificates>, respond: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    let acceptor = certificates.map(|certificates| certificates.acceptor(&[b"h2"]));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, respond) = (acceptor.clone(), respond.clone());
            tokio::spawn(async move {
                match acceptor {
                    None => talk(stream, respond),
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            talk(stream, respond);
                        }
                    }
                }
            });
        }
    });
    address
}
