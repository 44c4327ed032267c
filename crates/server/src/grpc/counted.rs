//! Counts the calls of KEDA's internal gRPC, on either side of it.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::exposition::Metrics;
use crate::metrics_api::{ExternalMetricValue, MetricError, MetricSource};

/// Which side of the calls is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Calls that are answered.
    Server,
    /// Calls that are made.
    Client,
}

/// A source whose questions come, or go, over gRPC.
pub struct Counted {
    source: Arc<dyn MetricSource>,
    metrics: Metrics,
    side: Side,
}

impl Counted {
    /// Counts the questions to a source.
    pub fn new(source: Arc<dyn MetricSource>, metrics: Metrics, side: Side) -> Self {
        Counted { source, metrics, side }
    }
}

impl std::fmt::Debug for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counted").field("side", &self.side).finish_non_exhaustive()
    }
}

#[async_trait]
impl MetricSource for Counted {
    async fn ready(&self) {
        self.source.ready().await;
    }

    async fn external_metric(
        &self,
        namespace: &str,
        scaled_object: &str,
        metric: &str,
    ) -> Result<Vec<ExternalMetricValue>, MetricError> {
        let begun = Instant::now();
        let (kind, service, method) = ("unary", "api.MetricsService", "GetMetrics");
        let call = match self.side {
            Side::Server => self.metrics.grpc_server(kind, service, method),
            Side::Client => self.metrics.grpc_client(kind, service, method),
        };
        if self.side == Side::Server {
            call.received();
        } else {
            call.sent();
        }
        let answer = self.source.external_metric(namespace, scaled_object, metric).await;
        let code = match &answer {
            Ok(_) => "OK",
            Err(MetricError::Rpc { code, .. }) => code,
            Err(MetricError::NotConnected) => "Unavailable",
            Err(MetricError::Values(_)) => "Unknown",
        };
        match (&answer, self.side) {
            (Ok(_), Side::Server) => call.sent(),
            (Ok(_), Side::Client) => call.received(),
            (Err(_), _) => {}
        }
        call.handled(code, begun.elapsed());
        answer
    }
}
