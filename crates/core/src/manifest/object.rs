//! The typed object of a document.

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::kind::Kind;
use super::node::Node;
use super::secret::Secret;
use crate::api::{
    CloudEventSource, ClusterCloudEventSource, ClusterTriggerAuthentication, ConfigMap, LimitRange, ScaledJob,
    ScaledObject, ServiceAccount, TriggerAuthentication, Workload,
};

/// What a document holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// A ScaledObject.
    ScaledObject(Box<ScaledObject>),
    /// A ScaledJob.
    ScaledJob(Box<ScaledJob>),
    /// A TriggerAuthentication.
    TriggerAuthentication(Box<TriggerAuthentication>),
    /// A ClusterTriggerAuthentication.
    ClusterTriggerAuthentication(Box<ClusterTriggerAuthentication>),
    /// A CloudEventSource.
    CloudEventSource(Box<CloudEventSource>),
    /// A ClusterCloudEventSource.
    ClusterCloudEventSource(Box<ClusterCloudEventSource>),
    /// A Deployment, StatefulSet or Job, or an object of an unknown kind that may hold a pod template.
    Workload(Box<Workload>),
    /// A Secret.
    Secret(Secret),
    /// A ConfigMap.
    ConfigMap(ConfigMap),
    /// A ServiceAccount.
    ServiceAccount(ServiceAccount),
    /// A LimitRange.
    LimitRange(LimitRange),
    /// An object of an unknown kind that is not shaped like a workload.
    Opaque(Json),
    /// An object whose errors keep it from being used; they are among the findings.
    Invalid,
}

impl Object {
    /// Types a document. The text is the reason why that is not possible.
    pub(super) fn typed(kind: Kind, document: &Node) -> Result<Object, String> {
        let json = document.to_json_without_nulls();
        Ok(match kind {
            Kind::ScaledObject => Object::ScaledObject(parse(json)?),
            Kind::ScaledJob => Object::ScaledJob(parse(json)?),
            Kind::TriggerAuthentication => Object::TriggerAuthentication(parse(json)?),
            Kind::ClusterTriggerAuthentication => Object::ClusterTriggerAuthentication(parse(json)?),
            Kind::CloudEventSource => Object::CloudEventSource(parse(json)?),
            Kind::ClusterCloudEventSource => Object::ClusterCloudEventSource(parse(json)?),
            Kind::Deployment | Kind::StatefulSet | Kind::Job => Object::Workload(parse(json)?),
            Kind::Secret => Object::Secret(Secret::from_json(&json)),
            Kind::ConfigMap => Object::ConfigMap(parse(json)?),
            Kind::ServiceAccount => Object::ServiceAccount(parse(json)?),
            Kind::LimitRange => Object::LimitRange(parse(json)?),
            Kind::Other => parse(json.clone()).map_or(Object::Opaque(json), Object::Workload),
        })
    }
}

fn parse<T: DeserializeOwned>(json: Json) -> Result<T, String> {
    serde_json::from_value(json).map_err(|error| error.to_string())
}
