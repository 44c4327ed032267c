//! Health probes over plain HTTP: a process that answers is healthy and ready, leader or not.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use crate::ServerError;
use crate::tls::bind;

/// Serves `/healthz` and `/readyz` until `shutdown`.
///
/// # Errors
/// That the address cannot be listened on.
pub(crate) async fn serve(address: SocketAddr, shutdown: CancellationToken) -> Result<(), ServerError> {
    let router = Router::new().route("/healthz", get("ok")).route("/readyz", get("ok"));
    serve_plain(address, router, shutdown).await
}

/// Serves a router over plain HTTP until `shutdown`.
pub(crate) async fn serve_plain(
    address: SocketAddr,
    router: Router,
    shutdown: CancellationToken,
) -> Result<(), ServerError> {
    let listener = bind(address).await?;
    tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "the HTTP server of {address} ended");
        }
    });
    Ok(())
}
