//! The messages of package `api`; those of Kubernetes' protobuf have the same fields.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::metrics_api::{ExternalMetricValue, MetricError};

/// Which metric of which ScaledObject.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ScaledObjectRef {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) namespace: String,
    #[prost(string, tag = "3")]
    pub(super) metric_name: String,
}

/// The values of a metric.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ValueList {
    #[prost(message, optional, tag = "1")]
    pub(super) metadata: Option<ListMeta>,
    #[prost(message, repeated, tag = "2")]
    pub(super) items: Vec<Value>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ListMeta {
    #[prost(string, tag = "1")]
    pub(super) self_link: String,
    #[prost(string, tag = "2")]
    pub(super) resource_version: String,
    #[prost(string, tag = "3")]
    pub(super) r#continue: String,
    #[prost(int64, optional, tag = "4")]
    pub(super) remaining_item_count: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Value {
    #[prost(string, tag = "1")]
    pub(super) metric_name: String,
    #[prost(map = "string, string", tag = "2")]
    pub(super) metric_labels: HashMap<String, String>,
    #[prost(message, optional, tag = "3")]
    pub(super) timestamp: Option<Time>,
    #[prost(int64, optional, tag = "4")]
    pub(super) window: Option<i64>,
    #[prost(message, optional, tag = "5")]
    pub(super) value: Option<QuantityText>,
}

/// Since the epoch.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Time {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

/// A quantity as Kubernetes writes it.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct QuantityText {
    #[prost(string, tag = "1")]
    pub(super) string: String,
}

impl From<Vec<ExternalMetricValue>> for ValueList {
    fn from(values: Vec<ExternalMetricValue>) -> Self {
        let one = |value: ExternalMetricValue| Value {
            metric_name: value.metric_name,
            timestamp: Some(Time { seconds: value.timestamp.as_second(), nanos: value.timestamp.subsec_nanosecond() }),
            value: Some(QuantityText { string: value.value.to_string() }),
            ..Value::default()
        };
        ValueList { metadata: Some(ListMeta::default()), items: values.into_iter().map(one).collect() }
    }
}

impl TryFrom<Value> for ExternalMetricValue {
    type Error = MetricError;

    fn try_from(value: Value) -> Result<Self, MetricError> {
        let damaged = |what: String| MetricError::Rpc { code: "Internal", message: what };
        let time = value.timestamp.unwrap_or_default();
        let timestamp = Timestamp::new(time.seconds, time.nanos).map_err(|error| damaged(error.to_string()))?;
        // An absent value must not become 0.
        let text = value.value.ok_or_else(|| damaged(format!("metric {} has no value", value.metric_name)))?.string;
        let quantity =
            text.parse().map_err(|error| damaged(format!("value {text:?} of {}: {error}", value.metric_name)))?;
        Ok(ExternalMetricValue { metric_name: value.metric_name, timestamp, value: quantity })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_the_wire() {
        let timestamp = "2024-05-01T10:00:00.5Z".parse().unwrap();
        let value =
            ExternalMetricValue { metric_name: "s0-cron".to_owned(), timestamp, value: "1500m".parse().unwrap() };
        let bytes = prost::Message::encode_to_vec(&ValueList::from(vec![value]));
        let list: ValueList = prost::Message::decode(bytes.as_slice()).unwrap();
        let read = ExternalMetricValue::try_from(list.items[0].clone()).unwrap();
        assert_eq!(
            (read.metric_name.as_str(), read.timestamp, read.value.to_string()),
            ("s0-cron", timestamp, "1500m".to_owned())
        );
    }

    #[test]
    fn no_value_is_an_error() {
        assert!(ExternalMetricValue::try_from(Value::default()).is_err());
        let odd = Value { value: Some(QuantityText { string: "much".to_owned() }), ..Value::default() };
        assert!(ExternalMetricValue::try_from(odd).is_err());
    }
}
