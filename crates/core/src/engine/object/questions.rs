//! What the HPA asks of an object: answered at once by fresh readings, or once its triggers are read anew.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Object;
use crate::engine::Outbox;
use crate::engine::input::{Effect, Now};
use crate::names::COMPOSITE_METRIC;
use crate::quantity::Quantity;

/// A reading at most this old answers the HPA without asking the source again.
const FRESH: Duration = Duration::from_secs(5);
/// Time after which a question of the HPA is answered with an error.
const PATIENCE: Duration = Duration::from_secs(30);

/// A metric that the HPA waits for.
#[derive(Debug)]
pub(super) struct Question {
    id: u64,
    metric: String,
    /// Triggers that are read for it.
    pub(super) waiting_for: BTreeSet<usize>,
    deadline: Duration,
}

impl Object {
    /// The HPA asks for a metric.
    pub(in crate::engine) fn asked(&mut self, now: Now, metric: String, id: u64, outbox: &mut Outbox) {
        let composite = self.composite_in_use();
        let concerned: Vec<usize> = self
            .definition
            .triggers
            .iter()
            .enumerate()
            .filter(|(_, trigger)| {
                trigger.metrics.iter().any(|known| composite || known.name.eq_ignore_ascii_case(&metric))
            })
            .map(|(index, _)| index)
            .collect();
        if concerned.is_empty() {
            let result = Err(format!("no matching metrics found for {metric}"));
            outbox.push(Effect::Answer { question: id, result });
            return;
        }
        let stale: BTreeSet<usize> = concerned.into_iter().filter(|index| !self.is_fresh(now, *index)).collect();
        for trigger in &stale {
            outbox.push(Effect::Sample { object: self.definition.key.clone(), trigger: *trigger });
        }
        let ready = stale.is_empty();
        let deadline = now.monotonic + PATIENCE;
        self.questions.push(Question { id, metric, waiting_for: stale, deadline });
        if ready {
            self.observe(now, outbox);
        }
    }

    fn is_fresh(&self, now: Now, trigger: usize) -> bool {
        let (Some(Some(taken)), Some(definition)) = (self.readings.get(trigger), self.definition.triggers.get(trigger))
        else {
            return false;
        };
        let allowed = FRESH.min(self.definition.rules.polling_interval());
        definition.use_cached_metrics || now.monotonic.saturating_sub(taken.at) < allowed
    }

    /// When the first question is given up.
    pub(in crate::engine) fn next_deadline(&self) -> Option<Duration> {
        self.questions.iter().map(|question| question.deadline).min()
    }

    /// Gives up on questions whose triggers were not read in time.
    pub(in crate::engine) fn expire_questions(&mut self, now: Now, outbox: &mut Outbox) {
        let (expired, waiting) = self.questions.drain(..).partition(|question| question.deadline <= now.monotonic);
        self.questions = waiting;
        for Question { id, metric, .. } in expired {
            outbox.push(Effect::Answer { question: id, result: Err(format!("metric:{metric} was not read in time")) });
        }
    }

    /// Answers all of them with an error.
    pub(super) fn refuse_questions(&mut self, why: &str, outbox: &mut Outbox) {
        for Question { id, .. } in self.questions.drain(..) {
            outbox.push(Effect::Answer { question: id, result: Err(why.to_string()) });
        }
    }

    /// Answers the questions whose triggers are read.
    pub(super) fn answer_questions(&mut self, outbox: &mut Outbox) {
        let (ready, waiting): (Vec<_>, Vec<_>) =
            self.questions.drain(..).partition(|question| question.waiting_for.is_empty());
        self.questions = waiting;
        for Question { id, metric, .. } in ready {
            let result = match &self.evaluation.composite {
                Some(composite) if self.composite_in_use() => {
                    composite.clone().map(|value| (COMPOSITE_METRIC.to_string(), value))
                }
                _ => self.value_of(&metric),
            };
            outbox.push(Effect::Answer { question: id, result });
        }
    }

    fn value_of(&self, metric: &str) -> Result<(String, Quantity), String> {
        let found = self.evaluation.metrics.iter().find(|(name, _)| name.eq_ignore_ascii_case(metric));
        let (name, worth) = found.ok_or_else(|| format!("no matching metrics found for {metric}"))?;
        match worth.quantity() {
            Ok(value) => Ok((name.clone(), value)),
            Err(error) => Err(format!("{name} cannot be read: {error}")),
        }
    }
}
