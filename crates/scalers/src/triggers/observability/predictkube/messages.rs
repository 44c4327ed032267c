//! The messages of PredictKube: service `services.MlEngineService`.

/// Path of the method that foresees a value.
pub(super) const GET_PREDICT_METRIC: &str = "/services.MlEngineService/GetPredictMetric";

/// A question for a forecast.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Question {
    /// How many steps ahead to look.
    #[prost(uint64, tag = "1")]
    pub(super) forecast_horizon: u64,
    /// What was observed.
    #[prost(message, repeated, tag = "2")]
    pub(super) observations: Vec<Item>,
}

/// An observation.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Item {
    #[prost(message, optional, tag = "1")]
    pub(super) timestamp: Option<Time>,
    #[prost(double, tag = "2")]
    pub(super) value: f64,
    /// Name of the metric, the same for all.
    #[prost(string, tag = "3")]
    pub(super) metric_name: String,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Time {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

/// A forecast.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Forecast {
    #[prost(int64, tag = "1")]
    pub(super) result_metric: i64,
}
