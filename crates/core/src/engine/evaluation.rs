//! From the latest readings of all triggers to what the scale loop and the HPA see: values, activity, errors.

use std::collections::BTreeMap;

use super::fallback::{Health, Replicas, Substitute, substitute};
use super::input::{Definition, ExternalDefinition, TriggerDefinition};
use super::rules::Modifiers;
use super::view::Measure;
use crate::SmallMap;
use crate::formula::{self, Outcome};
use crate::names::COMPOSITE_METRIC;
use crate::quantity::Quantity;
use crate::sample::{Reading, Sample, SourceError};

/// What one external metric is worth.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Worth {
    /// As the source gave it.
    Read(Sample),
    /// Replaced by the fallback.
    Fallback(Quantity),
    /// Nil in the formula, as the fallback wants it.
    Nil,
    /// The source failed.
    Failed(SourceError),
}

/// All metrics of an object at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Evaluation {
    /// Per metric, in the order of the triggers.
    pub(super) metrics: Vec<(String, Worth)>,
    /// Whether the object is to be active.
    pub(super) active: bool,
    /// Whether some source failed and nothing stands in for it.
    pub(super) failing: bool,
    /// Names of the metrics that are active.
    pub(super) active_metrics: Vec<String>,
    /// The composite metric, when there is a formula.
    pub(super) composite: Option<Result<Quantity, String>>,
}

/// The latest result of each trigger; absent for those that have no external metric.
pub(super) type Latest<'a> = &'a [Option<&'a Result<Reading, SourceError>>];

/// Evaluates all triggers.
pub(super) fn evaluate(
    definition: &Definition,
    latest: Latest<'_>,
    health: &SmallMap<String, Health>,
    replicas: Replicas,
) -> Evaluation {
    let mut evaluation = Evaluation::default();
    let mut variables: BTreeMap<String, Option<f64>> = BTreeMap::new();
    for (trigger, result) in definition.triggers.iter().zip(latest) {
        evaluation.failing |= trigger.is_undescribed();
        for metric in &trigger.metrics {
            let worth = worth(definition, trigger, metric, *result, health, replicas);
            evaluation.take(metric, &worth);
            if let Some(value) = worth.value() {
                variables.insert(trigger.name.clone(), value);
            }
            evaluation.metrics.push((metric.name.clone(), worth));
        }
    }
    if let Some(modifiers) = &definition.rules.modifiers
        && modifiers.composite_target().is_some()
    {
        evaluation.compose(definition, modifiers, &variables);
    }
    // With nothing but cpu and memory the HPA alone decides, so the object counts as active.
    if definition.triggers.iter().all(TriggerDefinition::is_read_by_hpa) && !evaluation.failing {
        evaluation.active = true;
    }
    evaluation
}

fn worth(
    definition: &Definition,
    trigger: &TriggerDefinition,
    metric: &ExternalDefinition,
    result: Option<&Result<Reading, SourceError>>,
    health: &SmallMap<String, Health>,
    replicas: Replicas,
) -> Worth {
    let error = match result {
        Some(Ok(reading)) => match sample_of(metric, trigger, reading) {
            Some(sample) => return Worth::Read(sample),
            None => missing(metric),
        },
        Some(Err(error)) => error.clone(),
        None => missing(metric),
    };
    let health = health.get(&metric.name).copied().unwrap_or_default();
    match substitute(&definition.rules, health, &metric.target, &metric.target_type, replicas) {
        Substitute::Value(value) => Worth::Fallback(value),
        Substitute::Nil => Worth::Nil,
        Substitute::Error => Worth::Failed(error),
    }
}

/// A reading names metrics without `s<index>-`. What a source names by itself counts by that name alone, as it may have
/// other metrics by now.
pub(super) fn sample_of(metric: &ExternalDefinition, trigger: &TriggerDefinition, reading: &Reading) -> Option<Sample> {
    if let ([(_, sample)], [_], false) =
        (reading.as_slice(), trigger.metrics.as_slice(), trigger.is_described_by_source)
    {
        return Some(*sample);
    }
    let bare = metric.name.split_once('-').map_or(metric.name.as_str(), |(_, bare)| bare);
    reading.iter().find(|(name, _)| name == bare).map(|(_, sample)| *sample)
}

fn missing(metric: &ExternalDefinition) -> SourceError {
    SourceError::new(crate::sample::ErrorKind::Malformed, format!("the source gave no value for {}", metric.name))
}

impl Worth {
    /// The value in a formula; `None` when the metric failed.
    fn value(&self) -> Option<Option<f64>> {
        match self {
            Worth::Read(sample) => Some(Some(Quantity::from_float(sample.value).to_f64())),
            Worth::Fallback(value) => Some(Some(value.to_f64())),
            Worth::Nil => Some(None),
            Worth::Failed(_) => None,
        }
    }

    fn is_active(&self) -> bool {
        match self {
            Worth::Read(sample) => sample.active,
            Worth::Fallback(_) => true,
            Worth::Nil | Worth::Failed(_) => false,
        }
    }

    /// What the HPA is told.
    pub(super) fn quantity(&self) -> Result<Quantity, SourceError> {
        match self {
            Worth::Read(sample) => Ok(Quantity::from_float(sample.value)),
            Worth::Fallback(value) => Ok(value.clone()),
            Worth::Nil => Ok(Quantity::from_milli(-1000)),
            Worth::Failed(error) => Err(error.clone()),
        }
    }
}

impl Evaluation {
    fn take(&mut self, metric: &ExternalDefinition, worth: &Worth) {
        self.failing |= matches!(worth, Worth::Failed(_));
        if worth.is_active() {
            self.active = true;
            self.active_metrics.push(metric.name.clone());
        }
    }

    /// Replaces activity and values by those of the formula.
    fn compose(&mut self, definition: &Definition, modifiers: &Modifiers, variables: &BTreeMap<String, Option<f64>>) {
        let fallen_back = self.metrics.iter().find_map(|(_, worth)| match worth {
            Worth::Fallback(value) => Some(value.clone()),
            _ => None,
        });
        let composite = match fallen_back {
            Some(value) => Ok(value),
            None if self.failing => Err(self.first_error()),
            None => formula::evaluate(&modifiers.formula, variables).and_then(|outcome| match outcome {
                Outcome::Number(number) => Ok(formula::composite_quantity(number)),
                Outcome::Nil => {
                    let fallback =
                        definition.rules.fallback.as_ref().ok_or("the formula is nil, and there is no fallback")?;
                    let target: f64 = modifiers.target.parse().unwrap_or(0.0);
                    Ok(formula::composite_quantity(target * f64::from(fallback.replicas)))
                }
            }),
        };
        // What is no number neither activates nor puts to rest, as in KEDA; the HPA has its value all the same.
        let activation = match modifiers.activation_target.as_str() {
            "" => Some(0.0),
            text => text.parse::<f64>().ok(),
        };
        let is_above = |value: &Quantity| activation.is_some_and(|activation| value.to_f64() > activation);
        self.active = !self.failing && composite.as_ref().is_ok_and(is_above);
        self.active_metrics = if self.active { vec![COMPOSITE_METRIC.to_string()] } else { Vec::new() };
        self.failing |= composite.is_err() || activation.is_none();
        self.composite = Some(composite);
    }

    /// All metrics, then the composite one.
    pub(super) fn measures(&self) -> impl Iterator<Item = Measure<'_>> {
        let metrics = self.metrics.iter().map(|(metric, worth)| {
            let value = match worth {
                Worth::Failed(_) => None,
                worth => worth.quantity().ok().map(|value| value.to_f64()),
            };
            Measure { metric, value, active: worth.is_active() }
        });
        let composite = self.composite.iter().map(|value| {
            let value = value.as_ref().ok().map(Quantity::to_f64);
            Measure { metric: COMPOSITE_METRIC, value, active: self.active }
        });
        metrics.chain(composite)
    }

    /// Why a metric has no value.
    pub(super) fn error(&self, metric: &str) -> Option<&SourceError> {
        self.metrics.iter().find_map(|(name, worth)| match worth {
            Worth::Failed(error) if name == metric => Some(error),
            _ => None,
        })
    }

    /// The first failure, for a message.
    pub(super) fn first_error(&self) -> String {
        let error = self.metrics.iter().find_map(|(_, worth)| worth.quantity().err());
        error.map_or_else(|| "a source has not said yet which metrics it has".to_string(), |error| error.message)
    }
}
