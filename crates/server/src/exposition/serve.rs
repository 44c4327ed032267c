//! `GET /metrics` over plain HTTP.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use http::header;
use tokio_util::sync::CancellationToken;

use super::Metrics;
use crate::{ServerError, probes};

/// The type of what [`Metrics::render`] gives.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves the metrics until `shutdown`.
///
/// # Errors
/// That the address cannot be listened on.
pub(crate) async fn serve(
    address: SocketAddr,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> Result<(), ServerError> {
    probes::serve_plain(address, router(metrics), shutdown).await
}

fn router(metrics: Metrics) -> Router {
    let answer = move || std::future::ready(([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.render()));
    Router::new().route("/metrics", get(answer))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use tower::ServiceExt;

    use super::super::Build;
    use super::*;

    #[tokio::test]
    async fn metrics_are_served_as_text() {
        let router = router(Metrics::new(Build::default()).unwrap());
        let answer = router.oneshot(Request::get("/metrics").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.headers()[header::CONTENT_TYPE], CONTENT_TYPE);
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        assert!(body.starts_with(b"# HELP keda_build_info "));
    }
}
