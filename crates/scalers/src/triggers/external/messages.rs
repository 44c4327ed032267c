//! The messages of the contract with external scalers: package `externalscaler`, service `ExternalScaler`.

use std::collections::BTreeMap;
use std::fmt;

/// Paths of the methods.
pub const IS_ACTIVE: &str = "/externalscaler.ExternalScaler/IsActive";
/// As [`IS_ACTIVE`], answered whenever it changes.
pub const STREAM_IS_ACTIVE: &str = "/externalscaler.ExternalScaler/StreamIsActive";
/// The metrics and their targets.
pub const GET_METRIC_SPEC: &str = "/externalscaler.ExternalScaler/GetMetricSpec";
/// As [`GET_METRIC_SPEC`], answered whenever they change; a server need not have it.
pub const STREAM_METRIC_SPEC: &str = "/externalscaler.ExternalScaler/StreamMetricSpec";
/// The values of one metric.
pub const GET_METRICS: &str = "/externalscaler.ExternalScaler/GetMetrics";

/// Which object is asked about.
#[derive(Clone, PartialEq, Eq, prost::Message)]
#[prost(skip_debug)]
pub struct ScaledObjectRef {
    /// Name of the ScaledObject or ScaledJob.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its namespace.
    #[prost(string, tag = "2")]
    pub namespace: String,
    /// All metadata of the trigger.
    #[prost(btree_map = "string, string", tag = "3")]
    pub scaler_metadata: BTreeMap<String, String>,
}

impl fmt::Debug for ScaledObjectRef {
    /// Shows the keys only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {:?}", self.namespace, self.name, self.scaler_metadata.keys())
    }
}

/// Whether there is work.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct IsActiveResponse {
    /// Whether there is work.
    #[prost(bool, tag = "1")]
    pub result: bool,
}

/// The metrics and their targets.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetMetricSpecResponse {
    /// The metrics.
    #[prost(message, repeated, tag = "1")]
    pub metric_specs: Vec<MetricSpec>,
}

/// A metric and its target.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MetricSpec {
    /// Its name.
    #[prost(string, tag = "1")]
    pub metric_name: String,
    /// Its target, where the other field is not positive.
    #[prost(int64, tag = "2")]
    pub target_size: i64,
    /// Its target.
    #[prost(double, tag = "3")]
    pub target_size_float: f64,
}

/// A question for the values of one metric.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct GetMetricsRequest {
    /// Which object is asked about.
    #[prost(message, optional, tag = "1")]
    pub scaled_object_ref: Option<ScaledObjectRef>,
    /// Name of the metric, as in its spec.
    #[prost(string, tag = "2")]
    pub metric_name: String,
}

/// The values of one metric.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetMetricsResponse {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    pub metric_values: Vec<MetricValue>,
}

/// A value.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MetricValue {
    /// What the server calls it; nobody looks at it.
    #[prost(string, tag = "1")]
    pub metric_name: String,
    /// The value, where the other field is not positive.
    #[prost(int64, tag = "2")]
    pub metric_value: i64,
    /// The value.
    #[prost(double, tag = "3")]
    pub metric_value_float: f64,
}
