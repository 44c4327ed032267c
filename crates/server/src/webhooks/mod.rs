//! The admission webhooks: the API server asks here before it takes an object of KEDA's kinds.
//!
//! What objects alone tell is checked by [`keda_core::admission`]; this is the server around it, and the questions to the
//! cluster. Where the cluster cannot be asked an object is accepted: the operator looks at it again.

mod checks;
mod review;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::StatusCode;
use tokio_util::sync::CancellationToken;

use crate::certificates::{CertificateFiles, follow_files};
use crate::cluster::Cluster;
use crate::exposition::{self, Metrics};
use crate::tls::{ClientCertificates, Shutdown, TlsVersions, bind, serve, server_configs};
use crate::{ServerError, probes};
use checks::{Checks, Kind};
use review::Review;

/// How often the certificate's files are looked at.
const FILE_INTERVAL: Duration = Duration::from_secs(2);
/// The largest review: an object, and what it was before.
const LARGEST_REVIEW: usize = 7 << 20;

/// The paths that KEDA's ValidatingWebhookConfiguration names.
const PATHS: [(&str, Kind); 6] = [
    ("/validate-keda-sh-v1alpha1-scaledobject", Kind::ScaledObject),
    ("/validate-keda-sh-v1alpha1-scaledjob", Kind::ScaledJob),
    ("/validate-keda-sh-v1alpha1-triggerauthentication", Kind::Authentication),
    ("/validate-keda-sh-v1alpha1-clustertriggerauthentication", Kind::Authentication),
    ("/validate-eventing-keda-sh-v1alpha1-cloudeventsource", Kind::CloudEventSource),
    ("/validate-eventing-keda-sh-v1alpha1-clustercloudeventsource", Kind::CloudEventSource),
];

/// The webhooks' flags as plain values.
#[derive(Debug, Clone)]
pub struct WebhooksSettings {
    /// `--port`, at all addresses: HTTPS with the six paths.
    pub address: SocketAddr,
    /// `tls.crt` and `tls.key` of `--cert-dir`. The CA is not looked at: clients are not asked for certificates.
    pub files: CertificateFiles,
    /// Versions of TLS that are spoken.
    pub versions: TlsVersions,
    /// `--metrics-bind-address`: plain HTTP with `/metrics`; `None` for nowhere.
    pub metrics_address: Option<SocketAddr>,
    /// `--health-probe-bind-address`: plain HTTP with `/healthz` and `/readyz`; `None` for nowhere.
    pub health_probe_address: Option<SocketAddr>,
}

/// Serves until `shutdown`. Connections wait until the certificate's files are there.
///
/// # Errors
/// That an address cannot be listened on.
pub async fn run(
    settings: WebhooksSettings,
    client: kube::Client,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> Result<(), ServerError> {
    let listener = bind(settings.address).await?;
    if let Some(address) = settings.metrics_address {
        exposition::serve(address, metrics.clone(), shutdown.clone()).await?;
    }
    if let Some(address) = settings.health_probe_address {
        probes::serve(address, shutdown.clone()).await?;
    }
    let mut files = settings.files;
    files.authority.clone_from(&files.certificate);
    let configs = server_configs(follow_files(files, FILE_INTERVAL), ClientCertificates::None, settings.versions);
    let checks = Checks { cluster: Cluster::new(client), metrics };
    serve(listener, configs, router(checks), Shutdown::new(shutdown)).await;
    Ok(())
}

fn router(checks: Checks) -> Router {
    let mut router = Router::new();
    for (path, kind) in PATHS {
        let answer =
            move |State(checks): State<Arc<Checks>>, body: Bytes| async move { review(kind, &checks, &body).await };
        router = router.route(path, post(answer));
    }
    router.layer(DefaultBodyLimit::max(LARGEST_REVIEW)).with_state(Arc::new(checks))
}

async fn review(kind: Kind, checks: &Checks, body: &[u8]) -> Response {
    match Review::parse(body) {
        Ok(review) => {
            let verdict = checks.judge(kind, &review.request).await;
            axum::Json(review.answer(verdict)).into_response()
        }
        Err(message) => (StatusCode::BAD_REQUEST, message).into_response(),
    }
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)] // Literals read best as they are.
mod tests;
