//! Where values come from.

use async_trait::async_trait;
use jiff::Timestamp;
use keda_core::quantity::Quantity;

/// One value of a metric.
#[derive(Debug, Clone)]
pub struct ExternalMetricValue {
    /// The name of the metric, as the ScaledObject's HPA has it.
    pub metric_name: String,
    /// When it was read.
    pub timestamp: Timestamp,
    /// The value.
    pub value: Quantity,
}

/// Why there is no value. The texts are those that KEDA's clients see.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MetricError {
    /// The object or its source gives none; the text says why.
    #[error("rpc error: code = Unknown desc = error when getting metric values {0}")]
    Values(String),
    /// The operator cannot be asked, or answered with an error of gRPC.
    #[error("rpc error: code = {code} desc = {message}")]
    Rpc {
        /// The name of the code, such as `Unavailable`.
        code: &'static str,
        /// The text that came with it.
        message: String,
    },
    /// No connection to the operator in time.
    #[error("timeout while waiting to establish gRPC connection to KEDA Metrics Service server")]
    NotConnected,
}

/// What the metrics API and the gRPC service are in front of.
#[async_trait]
pub trait MetricSource: Send + Sync {
    /// Returns once the source can be asked. The caller bounds the time.
    async fn ready(&self) {}

    /// The values of one metric of one ScaledObject; `metric` is compared without regard to case.
    async fn external_metric(
        &self,
        namespace: &str,
        scaled_object: &str,
        metric: &str,
    ) -> Result<Vec<ExternalMetricValue>, MetricError>;
}
