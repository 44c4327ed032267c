//! A gRPC server in this process that answers as a test says, without a service of its own.

use std::sync::Arc;

use futures::future::BoxFuture;
use hyper::Request;
use hyper::body::Incoming;
use prost::Message;
use prost::bytes::{Buf, BufMut};
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::server::Grpc;
use tonic::{Response, Status};

use crate::servers::{Certificates, http2};

/// A call: its method, what came with it, and its message.
pub struct Call {
    pub path: String,
    /// The server that it is for.
    pub authority: String,
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
        http2::serve(None, self.answers()).await.to_string()
    }

    /// Serves over TLS; its address.
    pub async fn serve_tls(&self, certificates: &Certificates) -> String {
        http2::serve(Some(certificates), self.answers()).await.to_string()
    }

    fn answers(&self) -> impl Fn(Request<Incoming>) -> BoxFuture<'static, hyper::Response<Body>> + Clone + use<> {
        let server = self.clone();
        move |request| Box::pin(server.clone().respond(request))
    }

    async fn respond(self, request: Request<Incoming>) -> hyper::Response<Body> {
        let path = request.uri().path().to_string();
        let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let answer = move |request: tonic::Request<Vec<u8>>| {
            let (metadata, _, message) = request.into_parts();
            let answer = (self.0)(&Call { path: path.clone(), authority: authority.clone(), metadata, message });
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
