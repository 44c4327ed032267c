//! `kubernetes-resource`: a number in a ConfigMap or Secret (`scalers/kubernetes-resource.md`).

mod scan;

use std::sync::Arc;

use async_trait::async_trait;
use keda_core::cluster::Cluster;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::quantity::Quantity;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;
use serde_json::Value;

use crate::client::Sources;
use crate::format::dotted_path;
use crate::format::gjson;
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};

/// Scale on a number that a ConfigMap or Secret in the object's namespace holds.
///
/// What counts is the number under `key`; whoever knows the load writes it there. The replicas are that number divided
/// by `targetValue`. The target leaves zero when it is above `activationTargetValue`.
///
/// The text under the key is a plain number, or JSON or YAML in which `valueLocation` says where the number is. A plain
/// number may be followed by anything, which is ignored: `12abc` counts as 12, and `1k` as 1. Amounts such as `500m` or
/// `1k` need `valueType: quantity`, and then nothing else may follow, not even the end of a line.
///
/// An object or key that does not exist, or a text without a number, is an error and never 0. The object is in the
/// namespace of the ScaledObject. No login is needed: the operator asks the cluster with its own rights. Under `keda
/// up` there is no cluster, and each reading fails.
///
/// ```yaml
/// type: kubernetes-resource
/// metadata:
///   resourceKind: ConfigMap
///   resourceName: campaign
///   key: plan.json
///   format: json
///   valueLocation: visitors.expected
///   targetValue: "400"
///   activationTargetValue: "50"
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct KubernetesResource {
    /// Kind of the object that holds the number.
    #[meta(trigger, one_of("ConfigMap", "Secret"))]
    resource_kind: String,
    /// Name of the object, in the namespace of the ScaledObject.
    #[meta(trigger)]
    resource_name: String,
    /// Key inside its `data`, such as `plan.json`.
    #[meta(trigger)]
    key: String,
    /// What the text under the key is; `json` and `yaml` need `valueLocation`.
    #[meta(trigger, default = "number", one_of("number", "json", "yaml"))]
    format: String,
    /// Where the number is: in JSON a gjson path such as `jobs.#`, in YAML names with dots between them such as
    /// `queues.0.length`. Needed with `json` and `yaml`, refused with `number`.
    #[meta(trigger, optional)]
    value_location: String,
    /// How the number is written: `quantity` is an amount of Kubernetes such as `500m` or `2Gi`, and `int64` cuts off
    /// what follows the point.
    #[meta(trigger, default = "float64", one_of("float64", "int64", "quantity"))]
    value_type: String,
    /// The part of the number that one replica is expected to handle; above 0.
    #[meta(trigger)]
    target_value: f64,
    /// Value above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_target_value: f64,
}

impl KubernetesResource {
    fn check(&mut self, reader: &mut Reader<'_>) {
        reader.asks_for("namespace", &reader.context().namespace);
        if reader.has_errors() {
            return;
        }
        if self.target_value <= 0.0 && !reader.context().as_metric_source {
            reader.error("targetValue must be a float greater than 0");
        }
        match (self.format.as_str(), self.value_location.is_empty()) {
            ("number", false) => reader.error("valueLocation is only supported with json or yaml format"),
            ("json" | "yaml", true) => {
                reader.error(format!("valueLocation is required for {} format", self.format));
            }
            _ => {}
        }
    }

    fn metric_name(&self) -> String {
        normalize(&format!("{}-{}-{}", self.resource_kind.to_ascii_lowercase(), self.resource_name, self.key))
    }

    /// The number in the text under the key.
    fn value(&self, text: &str) -> Result<f64, String> {
        match self.format.as_str() {
            "number" => match self.value_type.as_str() {
                "float64" => scan::float(text),
                "int64" => scan::integer(text).map(float),
                "quantity" => quantity(text),
                other => Err(format!("unsupported valueType: {other}")),
            },
            "json" => {
                let json: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
                let path = &self.value_location;
                let found = gjson::get(&json, path).ok_or_else(|| format!("path {path} not found in json"))?;
                self.of_json(&found)
            }
            "yaml" => {
                let yaml =
                    keda_core::manifest::parse_value(text).map_err(|error| format!("it is not YAML: {error}"))?;
                let path = &self.value_location;
                let found = dotted_path::walk(&yaml, path)
                    .map_err(|message| format!("path {path} not found in yaml: {message}"))?;
                self.of_yaml(found)
            }
            other => Err(format!("unsupported format: {other}")),
        }
    }

    fn of_json(&self, found: &Value) -> Result<f64, String> {
        match (self.value_type.as_str(), found) {
            ("float64" | "quantity", Value::Number(number)) => {
                number.as_f64().ok_or_else(|| "the number is too large".to_string())
            }
            ("float64" | "quantity", Value::String(text)) => quantity(text),
            // A cast saturates.
            #[allow(clippy::cast_possible_truncation)]
            ("int64", Value::Number(number)) => {
                let truncated = number.as_i64().or_else(|| number.as_f64().map(|number| number as i64));
                truncated.map(float).ok_or_else(|| "the number is too large".to_string())
            }
            ("float64" | "quantity" | "int64", other) => Err(not_a_number(other)),
            (other, _) => Err(format!("unsupported valueType: {other}")),
        }
    }

    /// Numbers of YAML count as they are, whatever the type.
    fn of_yaml(&self, found: &Value) -> Result<f64, String> {
        match found {
            Value::Number(number) => number.as_f64().ok_or_else(|| not_a_number(found)),
            Value::String(text) if self.value_type == "quantity" => quantity(text),
            Value::String(text) => scan::float(text),
            other => Err(not_a_number(other)),
        }
    }
}

fn quantity(text: &str) -> Result<f64, String> {
    text.parse::<Quantity>().map(|quantity| quantity.to_f64()).map_err(|error| format!("it is not a quantity: {error}"))
}

fn not_a_number(value: &Value) -> String {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number that is too large",
        Value::String(_) => "a text",
        Value::Array(_) | Value::Object(_) => "a collection",
    };
    format!("a number is expected, not {found}")
}

impl Trigger for KubernetesResource {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Float(self.target_value)))
    }

    fn connect(self, context: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let cluster = sources.cluster_for(&context.trigger_type)?;
        Ok(Box::new(Resource { cluster, namespace: context.namespace.clone(), trigger: self }))
    }
}

struct Resource {
    cluster: Arc<dyn Cluster>,
    namespace: String,
    trigger: KubernetesResource,
}

#[async_trait]
impl Scaler for Resource {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let trigger = &self.trigger;
        let value = self.read().await;
        let value = value
            .map_err(|error| error.within(&format!("error getting metric value from {}", trigger.resource_kind)))?;
        Ok(vec![(trigger.metric_name(), Sample::above(value, trigger.activation_target_value))])
    }
}

impl Resource {
    async fn read(&self) -> Result<f64, SourceError> {
        let KubernetesResource { resource_kind: kind, resource_name: name, key, .. } = &self.trigger;
        let namespace = &self.namespace;
        let missing = || SourceError::configuration(format!("{kind} {namespace}/{name} not found"));
        let text = match kind.as_str() {
            "ConfigMap" => {
                let data = self.cluster.config_map(namespace, name).await?.ok_or_else(missing)?;
                data.get(key).map(Secret::new)
            }
            "Secret" => self.cluster.secret(namespace, name).await?.ok_or_else(missing)?.remove(key),
            other => return Err(SourceError::configuration(format!("unsupported resourceKind: {other}"))),
        };
        let text = text
            .ok_or_else(|| SourceError::configuration(format!("key {key} not found in {kind} {namespace}/{name}")))?;
        self.trigger.value(text.expose()).map_err(|message| {
            // What cannot be read may be a credential that was put in the wrong place.
            let message = if kind == "Secret" { "it does not hold such a number".to_string() } else { message };
            SourceError::malformed(format!("{namespace}/{name}, key {key}: {message}"))
        })
    }
}

#[cfg(test)]
mod tests;
