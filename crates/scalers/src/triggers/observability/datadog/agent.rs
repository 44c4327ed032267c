//! A DatadogMetric, asked of the Cluster Agent, which serves it as Kubernetes serves external metrics.

use std::time::Duration;

use keda_core::quantity::Quantity;
use keda_core::sample::SourceError;
use reqwest::{Client, Url};
use serde_json::Value;

use super::Datadog;
use crate::client::authentication::with_bearer;
use crate::client::http;

impl Datadog {
    /// The value of the metric.
    pub(super) async fn metric_of_agent(&self, client: &Client, timeout: Duration) -> Result<f64, SourceError> {
        let mut request = client.get(self.agent_url()?).timeout(timeout);
        if self.auth_mode == "bearer" {
            request = with_bearer(request, ("token", &self.token))?;
        }
        let answer = http::send(request).await?;
        if let (422, Some(filler)) = (answer.status.as_u16(), self.metric_unavailable_value) {
            return Ok(filler);
        }
        number(&answer.json("unexpected status")?)
    }

    fn agent_url(&self) -> Result<Url, SourceError> {
        let (service, namespace) = (&self.datadog_metrics_service, &self.datadog_namespace);
        let host = format!("https://{service}.{namespace}:{}", self.datadog_metrics_service_port);
        let parameters = "datadogMetricsService, datadogNamespace or datadogMetricsServicePort";
        let path = [
            "apis",
            "external.metrics.k8s.io",
            "v1beta1",
            "namespaces",
            &self.datadog_metric_namespace,
            &self.metric_name(),
        ];
        http::under(http::address(&host, parameters)?, parameters, &path)
    }
}

/// The value of the first metric: a number, or a text with a quantity.
fn number(answer: &Value) -> Result<f64, SourceError> {
    let quantity = |text: &str| text.parse::<Quantity>().ok().map(|quantity| quantity.to_f64());
    let number = match answer.pointer("/items/0/value") {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => quantity(text),
        _ => None,
    };
    number.ok_or_else(|| {
        SourceError::malformed("the metric value must be of type number or a string representing a Quantity")
    })
}
