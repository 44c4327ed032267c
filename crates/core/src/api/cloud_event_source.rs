//! CloudEventSource and ClusterCloudEventSource: where KEDA's own events are sent.

use serde::{Deserialize, Serialize};

use super::{AuthenticationRef, Condition, ObjectMeta};

/// Sends the events of one namespace to a receiver.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CloudEventSource {
    /// Metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// Receiver and filter.
    pub spec: CloudEventSourceSpec,
    /// What was observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<CloudEventSourceStatus>,
}

/// Sends the events of all namespaces to a receiver.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClusterCloudEventSource {
    /// Metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// Receiver and filter.
    pub spec: CloudEventSourceSpec,
    /// What was observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<CloudEventSourceStatus>,
}

/// Receiver and filter of events.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CloudEventSourceSpec {
    /// Name of the cluster in the events' source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
    /// Receiver.
    pub destination: Destination,
    /// Which events are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_subscription: Option<EventSubscription>,
    /// Credentials for the receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication_ref: Option<AuthenticationRef>,
}

/// Receiver of events; `http` wins when both are given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Destination {
    /// An HTTP endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpDestination>,
    /// A topic of Azure Event Grid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub azure_event_grid_topic: Option<AzureEventGridTopic>,
}

/// An HTTP endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HttpDestination {
    /// Its URI.
    pub uri: String,
}

/// A topic of Azure Event Grid.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AzureEventGridTopic {
    /// Its endpoint.
    pub endpoint: String,
}

/// Which events are sent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EventSubscription {
    /// Only these types, when given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub included_event_types: Vec<String>,
    /// All but these types.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub excluded_event_types: Vec<String>,
}

/// Observed state of a receiver.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CloudEventSourceStatus {
    /// Conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
