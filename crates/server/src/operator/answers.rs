//! What the driver knows, for those who ask for metrics: the metrics API and KEDA's own adapter.

use async_trait::async_trait;
use keda_core::engine::ObjectKey;
use tokio::sync::{mpsc, oneshot};

use super::driver::{Message, Question};
use crate::metrics_api::{ExternalMetricValue, MetricError, MetricSource};

/// Asks the driver.
pub(super) struct Answers(pub(super) mpsc::UnboundedSender<Message>);

#[async_trait]
impl MetricSource for Answers {
    async fn external_metric(
        &self,
        namespace: &str,
        scaled_object: &str,
        metric: &str,
    ) -> Result<Vec<ExternalMetricValue>, MetricError> {
        let ends = || MetricError::Values("the operator is about to end".to_string());
        let (answer, answered) = oneshot::channel();
        let object = ObjectKey { namespace: namespace.to_string(), name: scaled_object.to_string() };
        let question = Question { object, metric: metric.to_string(), answer };
        self.0.send(Message::Question(question)).map_err(|_| ends())?;
        let (metric_name, value) = answered.await.map_err(|_| ends())?.map_err(MetricError::Values)?;
        let timestamp = keda_scalers::sampler::wall_clock();
        Ok(vec![ExternalMetricValue { metric_name, timestamp, value }])
    }
}
