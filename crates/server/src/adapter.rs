//! The role of KEDA's metrics adapter, for deployments that have it apart from the operator: the metrics API in front of the
//! operator's gRPC.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::header::CONTENT_TYPE;
use kube::Client;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::certificates::{CertificateFiles, follow_files};
use crate::exposition::Metrics;
use crate::grpc::{Counted, GrpcClientSettings, GrpcSource, Side};
use crate::metrics_api::{MetricsApi, MetricsApiSettings};
use crate::tls::{Shutdown, TlsVersions, bind};

pub use crate::tls::ServerError;

/// How often the certificates' files are looked at.
const FILE_INTERVAL: Duration = Duration::from_secs(2);

/// The adapter's flags as plain values.
#[derive(Clone)]
pub struct AdapterSettings {
    /// `--bind-address` and `--secure-port`.
    pub secure_address: SocketAddr,
    /// `--tls-cert-file`, `--tls-private-key-file` and the CA, for the metrics API.
    pub serving_files: CertificateFiles,
    /// The same in `--cert-dir`, for the connection to the operator.
    pub client_files: CertificateFiles,
    /// `--tls-min-version`, for the metrics API.
    pub serving_versions: TlsVersions,
    /// The operator; see [`GrpcClientSettings`].
    pub operator: GrpcClientSettings,
    /// `--port`: plain HTTP with `/metrics`.
    pub metrics_address: SocketAddr,
    /// Authentication and authorization.
    pub api: MetricsApiSettings,
    /// What `/metrics` tells.
    pub metrics: Metrics,
}

impl std::fmt::Debug for AdapterSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdapterSettings").field("secure_address", &self.secure_address).finish_non_exhaustive()
    }
}

/// Serves until the shutdown. Connections wait until the certificates' files are there.
///
/// Fails when a port cannot be listened on, or the operator's address is none.
pub async fn run(settings: AdapterSettings, client: Client, shutdown: CancellationToken) -> Result<(), ServerError> {
    let secure = bind(settings.secure_address).await?;
    let plain = bind(settings.metrics_address).await?;
    let client_identity = follow_files(settings.client_files, FILE_INTERVAL);
    let operator = Arc::new(GrpcSource::connect(&settings.operator, client_identity)?);
    let source = Arc::new(Counted::new(operator, settings.metrics.clone(), Side::Client));
    let api = MetricsApi::new(settings.api, client, source, settings.metrics.clone());
    let identity = follow_files(settings.serving_files, FILE_INTERVAL);
    tokio::join!(
        api.serve(secure, identity, settings.serving_versions, Shutdown::new(shutdown.clone())),
        serve_metrics(plain, settings.metrics, shutdown),
    );
    Ok(())
}

/// Serves `/metrics` over plain HTTP until the shutdown.
pub async fn serve_metrics(listener: TcpListener, metrics: Metrics, shutdown: CancellationToken) {
    let render = move || {
        let text = metrics.render();
        async move { ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text) }
    };
    let router = Router::new().route("/metrics", get(render));
    let served = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "metrics are not served any more");
    }
}
