//! An external scaler: a gRPC server in this process.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use hyper::Request;
use hyper::body::Incoming;
use keda_scalers::registry::external::messages::*;
use tokio::net::UnixListener;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Response, Status};
use tonic_prost::ProstCodec;

use super::certificates::Certificates;
use super::http2;

/// What the server says.
#[derive(Default)]
pub struct Answers {
    pub specs: Vec<MetricSpec>,
    /// To every question for values.
    pub values: Vec<MetricValue>,
    /// What it answers to `IsActive`; without it the server says that it is not available.
    pub active: Option<bool>,
    /// What each stream of activity says before it ends; a stream that has no script stays open and says nothing.
    pub streams: VecDeque<Vec<bool>>,
    /// What the streams of specs say; without it the server does not know the method.
    pub streamed_specs: Option<Vec<MetricSpec>>,
    /// What it was sent.
    pub seen: Vec<ScaledObjectRef>,
    /// Names of the metrics that it was asked for.
    pub asked: Vec<String>,
}

/// A server that runs as long as the test.
#[derive(Clone, Default)]
pub struct External(Arc<Mutex<Answers>>);

impl External {
    pub fn new(answers: Answers) -> Self {
        External(Arc::new(Mutex::new(answers)))
    }

    /// Changes or looks at what it says.
    pub fn with<T>(&self, look: impl FnOnce(&mut Answers) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    /// Serves in plain text; its address.
    pub async fn serve(&self) -> String {
        http2::serve(None, self.answers()).await.to_string()
    }

    /// Serves on a socket in the file system.
    pub fn serve_at(&self, path: &Path) {
        let (listener, server) = (UnixListener::bind(path).unwrap(), self.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                http2::talk(stream, server.answers());
            }
        });
    }

    /// Serves over TLS on `localhost`; its port.
    pub async fn serve_tls(&self, certificates: &Certificates) -> u16 {
        http2::serve(Some(certificates), self.answers()).await.port()
    }

    fn answers(&self) -> impl Fn(Request<Incoming>) -> BoxFuture<'static, hyper::Response<Body>> + Clone + use<> {
        let server = self.clone();
        move |request| Box::pin(server.clone().respond(request))
    }

    async fn respond(self, request: Request<Incoming>) -> hyper::Response<Body> {
        match request.uri().path() {
            GET_METRIC_SPEC => {
                let answer = move |request: tonic::Request<ScaledObjectRef>| {
                    let metric_specs = self.with(|answers| {
                        answers.seen.push(request.into_inner());
                        answers.specs.clone()
                    });
                    async { Ok(Response::new(GetMetricSpecResponse { metric_specs })) }
                };
                Grpc::new(ProstCodec::default()).unary(tower::service_fn(answer), request).await
            }
            GET_METRICS => {
                let answer = move |request: tonic::Request<GetMetricsRequest>| {
                    let metric_values = self.with(|answers| {
                        answers.asked.push(request.into_inner().metric_name);
                        answers.values.clone()
                    });
                    async { Ok(Response::new(GetMetricsResponse { metric_values })) }
                };
                Grpc::new(ProstCodec::default()).unary(tower::service_fn(answer), request).await
            }
            IS_ACTIVE => {
                let answer = move |_: tonic::Request<ScaledObjectRef>| {
                    let active = self.with(|answers| answers.active);
                    async move {
                        let result = active.ok_or_else(|| Status::unavailable("closed for today"))?;
                        Ok(Response::new(IsActiveResponse { result }))
                    }
                };
                Grpc::new(ProstCodec::default()).unary(tower::service_fn(answer), request).await
            }
            STREAM_IS_ACTIVE => {
                let answer = move |_: tonic::Request<ScaledObjectRef>| {
                    let script = self.with(|answers| answers.streams.pop_front());
                    let open = script.is_none();
                    let said = script.unwrap_or_default().into_iter().map(|result| Ok(IsActiveResponse { result }));
                    let said = spoken(said.collect(), open);
                    async move { Ok(Response::new(said)) }
                };
                Grpc::new(ProstCodec::default()).server_streaming(tower::service_fn(answer), request).await
            }
            STREAM_METRIC_SPEC => {
                let answer = move |_: tonic::Request<ScaledObjectRef>| {
                    let specs = self.with(|answers| answers.streamed_specs.clone());
                    async move {
                        let metric_specs = specs.ok_or_else(|| Status::unimplemented("never heard of it"))?;
                        Ok(Response::new(spoken(vec![Ok(GetMetricSpecResponse { metric_specs })], true)))
                    }
                };
                Grpc::new(ProstCodec::default()).server_streaming(tower::service_fn(answer), request).await
            }
            other => panic!("no such method: {other}"),
        }
    }
}

/// A stream that says this, and then ends or stays open.
fn spoken<T: Send + 'static>(said: Vec<Result<T, Status>>, open: bool) -> BoxStream<'static, Result<T, Status>> {
    let said = stream::iter(said);
    if open { said.chain(stream::pending()).boxed() } else { said.boxed() }
}
