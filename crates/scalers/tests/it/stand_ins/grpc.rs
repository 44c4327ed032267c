//! A gRPC server in this process that answers as a test says, without a service of its own.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use prost::Message;
use prost::bytes::{Buf, BufMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::server::Grpc;
use tonic::{Response, Status};

use crate::servers::Certificates;

/// A call: its method, what came with it, and its message.
pub struct Call {
    pub path: String,
    pub metadata: MetadataMap,
    message: Vec<u8>,
}

impl Call {
    /// The message.
    pub fn message<M: Message + Default>(&self) -> M {
        M::decode(self.message.as_slice()).expect("a message")
    }
}

/// An answer.
pub type Answer = Result<Vec<u8>, Status>;

/// The answer with this message.
pub fn message(message: &impl Message) -> Answer {
    Ok(message.encode_to_vec())
}

/// A server that runs as long as the test.
#[derive(Clone)]
pub struct Server(Arc<dyn Fn(&Call) -> Answer + Send + Sync>);

impl Server {
    pub fn new(answer: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        Server(Arc::new(answer))
    }

    /// Serves in plain text; its address.
    pub async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let server = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                server.talk(stream);
            }
        });
        address
    }

    /// Serves over TLS; its address.
    pub async fn serve_tls(&self, certificates: &Certificates) -> String {
        let acceptor = certificates.acceptor(&[b"h2"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let server = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(stream) = acceptor.accept(stream).await {
                    server.talk(stream);
                }
            }
        });
        address
    }

    fn talk(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Incoming>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.respond(request).await) }
        });
        tokio::spawn(async move {
            let builder = Builder::new(TokioExecutor::new()).http2_only();
            let _ = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).await;
        });
    }

    async fn respond(self, request: Request<Incoming>) -> hyper::Response<tonic::body::Body> {
        let path = request.uri().path().to_string();
        let answer = move |request: tonic::Request<Vec<u8>>| {
            let (metadata, _, message) = request.into_parts();
            let answer = (self.0)(&Call { path: path.clone(), metadata, message });
            async { answer.map(Response::new) }
        };
        Grpc::new(Bytes).unary(tower::service_fn(answer), request).await
    }
}

/// Messages as they are.
#[derive(Clone, Copy)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Bytes;
    type Decoder = Bytes;

    fn encoder(&mut self) -> Bytes {
        Bytes
    }

    fn decoder(&mut self) -> Bytes {
        Bytes
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut item);
        Ok(Some(item))
    }
}
