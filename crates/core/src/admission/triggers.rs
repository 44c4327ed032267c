//! Checks of triggers, for ScaledObjects and ScaledJobs alike.

use std::collections::BTreeSet;

use crate::api::Trigger;

/// What is wrong with the triggers of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TriggerFault<'a> {
    /// There is none.
    None,
    /// A type that cannot answer from the last poll is told to. The position and the trigger.
    CachedMetrics(usize, &'a Trigger),
    /// A name stands for two triggers. The position of the second one and the name.
    DuplicateName(usize, &'a str),
}

impl TriggerFault<'_> {
    /// KEDA's text.
    pub fn message(&self) -> String {
        match self {
            TriggerFault::None => "no triggers defined in the ScaledObject/ScaledJob".to_string(),
            TriggerFault::CachedMetrics(_, trigger) => {
                format!("property \"useCachedMetrics\" is not supported for {:?} scaler", trigger.r#type)
            }
            TriggerFault::DuplicateName(_, name) => format!(
                "triggerName {name:?} is defined multiple times in the ScaledObject/ScaledJob, but it must be unique"
            ),
        }
    }
}

/// Whether a trigger measures the pods themselves, so that the HPA alone reads it.
pub fn is_resource(trigger: &Trigger) -> bool {
    matches!(trigger.r#type.as_str(), "cpu" | "memory")
}

/// All faults, in the order of the triggers.
pub fn check_triggers(triggers: &[Trigger]) -> Vec<TriggerFault<'_>> {
    if triggers.is_empty() {
        return vec![TriggerFault::None];
    }
    let mut names = BTreeSet::new();
    let mut faults = Vec::new();
    for (index, trigger) in triggers.iter().enumerate() {
        if trigger.use_cached_metrics && (is_resource(trigger) || trigger.r#type == "cron") {
            faults.push(TriggerFault::CachedMetrics(index, trigger));
        }
        let name = trigger.name.as_deref().unwrap_or_default();
        if !name.is_empty() && !names.insert(name) {
            faults.push(TriggerFault::DuplicateName(index, name));
        }
    }
    faults
}
