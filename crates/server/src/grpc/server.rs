//! The operator's end.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use futures::future::BoxFuture;
use http::{Request, Response};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::service::Routes;
use tonic_prost::ProstCodec;
use tower::Service;

use super::messages::{ScaledObjectRef, ValueList};
use super::{GET_METRICS, SERVICE};
use crate::metrics_api::{MetricError, MetricSource};
use crate::tls::{ClientCertificates, IdentityWatch, Shutdown, TlsVersions, serve, server_configs};

/// The router of `api.MetricsService` in front of a source.
pub fn metrics_service(source: Arc<dyn MetricSource>) -> Router {
    Routes::new(MetricsService { source }).into_axum_router()
}

/// Serves gRPC with mutual TLS until the shutdown: clients must show a certificate that the identity's CA signed.
pub async fn serve_grpc(
    listener: TcpListener,
    source: Arc<dyn MetricSource>,
    identity: IdentityWatch,
    versions: TlsVersions,
    shutdown: Shutdown,
) {
    let configs = server_configs(identity, ClientCertificates::Required, versions);
    serve(listener, configs, metrics_service(source), shutdown).await;
}

#[derive(Clone)]
struct MetricsService {
    source: Arc<dyn MetricSource>,
}

impl NamedService for MetricsService {
    const NAME: &'static str = SERVICE;
}

impl Service<Request<Body>> for MetricsService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = GetMetrics { source: self.source.clone() };
        Box::pin(async move {
            if request.uri().path() != GET_METRICS {
                return Ok(tonic::Status::unimplemented("unknown method").into_http());
            }
            let codec = ProstCodec::<ValueList, ScaledObjectRef>::default();
            Ok(Grpc::new(codec).unary(method, request).await)
        })
    }
}

struct GetMetrics {
    source: Arc<dyn MetricSource>,
}

impl UnaryService<ScaledObjectRef> for GetMetrics {
    type Response = ValueList;
    type Future = BoxFuture<'static, Result<tonic::Response<ValueList>, tonic::Status>>;

    fn call(&mut self, request: tonic::Request<ScaledObjectRef>) -> Self::Future {
        let (source, asked) = (self.source.clone(), request.into_inner());
        Box::pin(async move {
            let values = source.external_metric(&asked.namespace, &asked.name, &asked.metric_name).await;
            values.map(|values| tonic::Response::new(values.into())).map_err(status)
        })
    }
}

fn status(error: MetricError) -> tonic::Status {
    match error {
        MetricError::Values(inner) => tonic::Status::unknown(format!("error when getting metric values {inner}")),
        MetricError::Rpc { message, .. } => tonic::Status::unknown(message),
        MetricError::NotConnected => tonic::Status::unavailable(error.to_string()),
    }
}
