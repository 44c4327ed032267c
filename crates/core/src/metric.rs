//! The metrics that a trigger gives the HPA: names, targets and their types (`behaviour.md` §1.8).

use crate::quantity::Quantity;

/// One metric of a trigger.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricSpec {
    /// A number that we serve.
    External(ExternalMetric),
    /// A resource of the pods, which the HPA reads by itself.
    Resource(ResourceMetric),
}

impl MetricSpec {
    /// An external metric with the trigger's own metric type. `name` comes without `s<index>-`.
    pub fn external(name: impl Into<String>, target: Target) -> Self {
        MetricSpec::External(ExternalMetric { name: name.into(), target, target_type: None })
    }
}

/// A number that we serve.
#[derive(Debug, Clone, PartialEq)]
pub struct ExternalMetric {
    /// The name without `s<index>-`.
    pub name: String,
    /// The target.
    pub target: Target,
    /// Set where a trigger ignores `metricType`.
    pub target_type: Option<TargetType>,
}

/// The threshold of a trigger, whose type decides how it is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// A whole number.
    Integer(i64),
    /// A number with up to three decimals; 0 where it is negative or not finite.
    Float(f64),
}

impl Target {
    /// The target as the HPA shows it.
    pub fn quantity(self) -> Quantity {
        match self {
            Target::Integer(number) => Quantity::from_integer(number),
            Target::Float(number) => Quantity::from_float(number),
        }
    }
}

/// How the HPA compares a metric with its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetType {
    /// Divided by the number of replicas.
    AverageValue,
    /// As it is.
    Value,
    /// A word that Kubernetes will refuse; KEDA passes it on.
    Other(String),
}

impl TargetType {
    /// The type that `metricType` of a trigger means for an external metric.
    ///
    /// # Errors
    /// KEDA's text when it is `Utilization`.
    pub fn of_external(metric_type: &str) -> Result<Self, String> {
        match metric_type {
            "" | "AverageValue" => Ok(TargetType::AverageValue),
            "Value" => Ok(TargetType::Value),
            "Utilization" => Err("error getting scaler metric type: 'Utilization' metric type is unsupported for \
                external metrics, allowed values are 'Value' or 'AverageValue'"
                .to_string()),
            other => Ok(TargetType::Other(other.to_string())),
        }
    }

    /// The word in the HPA.
    pub fn as_str(&self) -> &str {
        match self {
            TargetType::AverageValue => "AverageValue",
            TargetType::Value => "Value",
            TargetType::Other(other) => other,
        }
    }
}

/// A resource of the pods.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceMetric {
    /// `cpu` or `memory`.
    pub name: String,
    /// The container to look at; all of them when absent.
    pub container: Option<String>,
    /// The target.
    pub target: ResourceTarget,
}

/// The target of a resource metric.
#[derive(Debug, Clone, PartialEq)]
pub enum ResourceTarget {
    /// Per cent of what the pods request.
    Utilization(i32),
    /// An amount per pod.
    AverageValue(Quantity),
}
