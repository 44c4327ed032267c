//! One ScaledObject: its latest readings, what it waits for, and what it was told.

mod questions;
mod scaling;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::activation::{Decision, LastActive, Situation, decide};
use super::conditions::{Condition, ConditionType, Truth};
use super::evaluation::{Evaluation, evaluate, sample_of};
use super::fallback::{self, Health, Replicas};
use super::input::{
    Cause, Definition, Effect, ExternalDefinition, Now, Observation, Severity, Status, TriggerDefinition,
};
use super::view::{Measure, ReadingView, Verdict, View};
use super::{Outbox, Purpose};
use crate::SmallMap;
use crate::sample::{Reading, SourceError};
use questions::Question;

#[derive(Debug)]
pub(super) struct Object {
    definition: Definition,
    readings: Vec<Option<Taken>>,
    health: SmallMap<String, Health>,
    last_active: Option<Moment>,
    conditions: Vec<Condition>,
    observation: Option<Observation>,
    observing: bool,
    scaling: bool,
    decision_due: bool,
    /// Whether nothing is decided, as it was changed to something that cannot be used.
    held: bool,
    questions: Vec<Question>,
    evaluation: Evaluation,
    /// The metric whose source said by itself that there is work.
    pushed: Option<String>,
    verdict: Option<Verdict>,
    written: Arc<Status>,
    /// When it is looked at next, where no reading occasions that.
    next_look: Option<Duration>,
    /// Triggers whose failure is not told yet: whether something stands in for them is seen when all are evaluated.
    untold: Vec<usize>,
}

/// A reading and when it was taken.
#[derive(Debug, Clone)]
struct Taken {
    at: Duration,
    result: Result<Reading, SourceError>,
}

/// A moment on both clocks.
#[derive(Debug, Clone, Copy)]
struct Moment {
    wall: Timestamp,
    monotonic: Option<Duration>,
}

impl Object {
    pub(super) fn new(now: Now, definition: Definition, outbox: &mut Outbox) -> Self {
        let mut object = Object::restored(definition);
        object.begin(now, outbox);
        object
    }

    /// An object that cannot be used from the beginning.
    pub(super) fn rejected(definition: Definition, error: &str, outbox: &mut Outbox) -> Self {
        let mut object = Object::restored(definition);
        object.take_annotations(outbox);
        object.failed(error, outbox);
        object
    }

    fn restored(mut definition: Definition) -> Self {
        let restored = std::mem::take(&mut definition.restored);
        let written = restored.status.unwrap_or_default();
        let mut conditions = Condition::initial();
        for known in &written.conditions {
            set_condition(&mut conditions, known.clone());
        }
        Object {
            readings: vec![None; definition.triggers.len()],
            health: restored.health,
            last_active: restored.last_active.map(|wall| Moment { wall, monotonic: None }),
            conditions,
            pushed: None,
            observation: None,
            observing: false,
            scaling: false,
            decision_due: false,
            held: false,
            questions: Vec::new(),
            evaluation: Evaluation::default(),
            verdict: None,
            written,
            next_look: None,
            untold: Vec::new(),
            definition,
        }
    }

    /// The object was changed to something that cannot be used, or its surroundings were.
    pub(super) fn reject(&mut self, definition: Definition, error: &str, outbox: &mut Outbox) {
        self.refuse_questions(error, outbox);
        self.held = false;
        self.definition = definition;
        self.forget_readings();
        self.stop_looking(outbox);
        self.take_annotations(outbox);
        self.failed(error, outbox);
    }

    /// The object was changed to something that cannot be used. The HPA that is there goes on with what is known of it.
    pub(super) fn hold(&mut self, error: &str, outbox: &mut Outbox) {
        self.held = true;
        // What a source said before the time that this lasts is no news after it.
        self.pushed = None;
        self.stop_looking(outbox);
        self.failed(error, outbox);
    }

    /// The manifest has changed. Readings of triggers that ask the same are kept.
    pub(super) fn redefine(&mut self, now: Now, definition: Definition, outbox: &mut Outbox) {
        self.held = false;
        let unchanged = definition.rules == self.definition.rules
            && definition.triggers == self.definition.triggers
            && definition.target_kind == self.definition.target_kind
            && definition.target_name == self.definition.target_name;
        if unchanged {
            self.definition = definition;
            self.recover(now, outbox);
            return;
        }
        self.refuse_questions("the ScaledObject was changed", outbox);
        if (&definition.target_kind, &definition.target_name)
            != (&self.definition.target_kind, &self.definition.target_name)
        {
            // What is seen of one target says nothing of another.
            self.stop_observing(outbox);
        }
        let old: BTreeMap<u128, Taken> = self
            .definition
            .triggers
            .iter()
            .zip(std::mem::take(&mut self.readings))
            .filter_map(|(trigger, taken)| Some((trigger.fingerprint, taken?)))
            .collect();
        self.readings = definition.triggers.iter().map(|trigger| old.get(&trigger.fingerprint).cloned()).collect();
        self.definition = definition;
        let names = self.metric_names();
        self.pushed = self.pushed.take().filter(|name| names.contains(name));
        if !self.definition.rules.pause.is_full() {
            self.health.retain(|name, _| names.contains(name));
        }
        self.begin(now, outbox);
    }

    /// What could not be done before can be now.
    fn recover(&mut self, now: Now, outbox: &mut Outbox) {
        let ready = self.conditions.iter().find(|condition| condition.kind == ConditionType::Ready);
        if ready.is_none_or(|ready| ready.reason != Condition::CHECK_FAILED) {
            return;
        }
        if self.definition.rules.pause.is_full() {
            self.begin(now, outbox);
            return;
        }
        self.become_ready(Condition::ready(), outbox);
        self.decide_if_known(now, outbox);
        self.write_status(outbox);
    }

    fn forget_readings(&mut self) {
        self.readings = vec![None; self.definition.triggers.len()];
        self.pushed = None;
        self.untold.clear();
    }

    /// A decision is due, unless something has not been read yet.
    fn decide_if_known(&mut self, now: Now, outbox: &mut Outbox) {
        self.decision_due = self.is_known();
        if self.decision_due {
            self.observe(now, outbox);
        }
    }

    /// A new or changed definition takes effect.
    fn begin(&mut self, now: Now, outbox: &mut Outbox) {
        let key = self.definition.key.clone();
        self.stop_looking(outbox);
        self.take_annotations(outbox);
        if self.definition.rules.pause.is_full() {
            // What is read before the pause says nothing about the time after it.
            self.forget_readings();
            // Nor does what was seen before the HPA is gone.
            self.stop_observing(outbox);
            self.refuse_questions("the ScaledObject is paused", outbox);
            outbox.push(Effect::Suspend(key));
            self.decision_due = true;
            self.observe(now, outbox);
        } else if let Err(error) = self.definition.rules.check_bounds() {
            let text = format!("ScaledObject doesn't have correct Idle/Min/Max Replica Counts specification: {error}");
            outbox.push(Effect::Suspend(key));
            self.fail(&text, outbox);
            return;
        } else {
            self.become_ready(Condition::ready(), outbox);
            outbox.push(Effect::Resume(key));
            self.decide_if_known(now, outbox);
        }
        self.write_status(outbox);
    }

    /// The conditions that follow from what the user wrote, whether it can be used or not.
    fn take_annotations(&mut self, outbox: &mut Outbox) {
        let pause = &self.definition.rules.pause;
        let is_paused = pause.is_full() || pause.scale_in || pause.scale_out;
        let was_paused = self.condition(ConditionType::Paused) == Some(Truth::True);
        match (was_paused, is_paused) {
            (true, true) => self.set_condition(Condition::paused()),
            (false, true) => {
                self.set_condition(Condition::paused());
                self.event(Severity::Normal, "ScaledObjectPaused", "ScaledObject is paused".to_string(), outbox);
            }
            (true, false) => {
                self.set_condition(Condition::unpaused());
                let message = "pause annotation removed for ScaledObject";
                self.event(Severity::Normal, "ScaledObjectUnpaused", message.to_string(), outbox);
            }
            (false, false) => {}
        }
        if fallback::valid(&self.definition.rules).is_none() {
            self.set_condition(Condition::fallback(false));
        }
    }

    /// The object is defined correctly; whether its sources answer is seen later.
    fn become_ready(&mut self, ready: Condition, outbox: &mut Outbox) {
        if self.condition(ConditionType::Ready) != Some(Truth::True) {
            let message = "ScaledObject is ready for scaling".to_string();
            self.event(Severity::Normal, "ScaledObjectReady", message, outbox);
        }
        self.set_condition(ready);
    }

    /// Something about the object could not be carried out. What it had to wait for is not there, so that nothing is
    /// decided.
    pub(super) fn failed(&mut self, text: &str, outbox: &mut Outbox) {
        self.decision_due = false;
        self.fail(text, outbox);
    }

    fn fail(&mut self, text: &str, outbox: &mut Outbox) {
        self.set_condition(Condition::check_failed(text));
        self.set_condition(Condition::activity_unknown());
        self.event(Severity::Warning, "ScaledObjectCheckFailed", text.to_string(), outbox);
        self.write_status(outbox);
    }

    /// Whether the trigger at this position asks what a reading answers.
    pub(super) fn asks(&self, trigger: usize, fingerprint: u128) -> bool {
        self.definition.triggers.get(trigger).is_some_and(|trigger| trigger.fingerprint == fingerprint)
    }

    /// A source was read.
    pub(super) fn sampled(
        &mut self,
        now: Now,
        trigger: usize,
        result: Result<Reading, SourceError>,
        outbox: &mut Outbox,
    ) {
        let (Some(place), Some(definition)) = (self.readings.get_mut(trigger), self.definition.triggers.get(trigger))
        else {
            return;
        };
        // A source may have a value for one of its metrics and none for another.
        let has = |metric: &ExternalDefinition| {
            result.as_ref().is_ok_and(|reading| sample_of(metric, definition, reading).is_some())
        };
        let failed = result.is_err() || !definition.metrics.iter().all(has);
        if fallback::valid(&self.definition.rules).is_some() {
            for metric in &definition.metrics {
                let health = self.health.entry(metric.name.clone()).or_default();
                *health = health.after(has(metric));
            }
        }
        *place = Some(Taken { at: now.monotonic, result });
        if failed && !self.untold.contains(&trigger) {
            self.untold.push(trigger);
        }
        for question in &mut self.questions {
            question.waiting_for.remove(&trigger);
        }
        if self.definition.rules.pause.is_full() {
            return;
        }
        self.decision_due |= self.is_known();
        if self.decision_due || self.questions.iter().any(|question| question.waiting_for.is_empty()) {
            self.observe(now, outbox);
        }
    }

    /// A source says by itself that there is work: the target is activated without asking anybody else
    /// (`behaviour.md` §2.7). That there is none, polling finds out.
    pub(super) fn pushed(&mut self, now: Now, trigger: usize, outbox: &mut Outbox) {
        let metrics = self.definition.triggers.get(trigger).map(|trigger| trigger.metrics.as_slice());
        let Some([metric, ..]) = metrics else { return };
        if !self.definition.rules.pause.is_full() && !self.held {
            self.pushed = Some(metric.name.clone());
            self.decision_due = true;
            self.observe(now, outbox);
        }
    }

    /// The target was looked at.
    pub(super) fn observed(&mut self, now: Now, observation: Observation, outbox: &mut Outbox) {
        self.observing = false;
        let replicas = Replicas { current: observation.replicas.clone().ok(), ready: observation.ready_pods };
        if let Some(health) = &observation.hpa {
            self.set_condition(Condition::hpa_active(health));
        }
        self.observation = Some(observation);
        let latest: Vec<_> = self.readings.iter().map(|taken| taken.as_ref().map(|taken| &taken.result)).collect();
        self.evaluation = evaluate(&self.definition, &latest, &self.health, replicas);
        self.tell_failures(outbox);
        self.update_fallback_condition(outbox);
        // What is being scaled is looked at again when that has ended.
        if !self.scaling && std::mem::take(&mut self.decision_due) && !self.held {
            self.decide(now, outbox);
        }
        if self.next_look.is_none() && !self.held && self.is_scaled_by_the_hpa_alone() {
            self.look_later(now, self.definition.rules.polling_interval(), outbox);
        }
        self.answer_questions(outbox);
        self.write_status(outbox);
    }

    fn decide(&mut self, now: Now, outbox: &mut Outbox) {
        let Some(observation) = &self.observation else { return };
        let current = observation.replicas.clone();
        if self.definition.rules.pause.is_full() {
            self.rest(now, current, outbox);
            return;
        }
        let mut active_metrics = self.evaluation.active_metrics.clone();
        if let Some(metric) = self.pushed.take() {
            self.evaluation.active = true;
            self.evaluation.failing = false;
            if !active_metrics.contains(&metric) {
                self.evaluation.active_metrics.push(metric.clone());
            }
            active_metrics = vec![metric];
        }
        let situation = Situation {
            current: current.clone(),
            active: self.evaluation.active,
            failing: self.evaluation.failing,
            active_metrics,
            since_creation: elapsed(now.wall, self.definition.created),
            since_active: self.last_active.map(|moment| moment.elapsed(now)),
        };
        let Decision { scale_to, last_active, conditions, reason } = decide(&self.definition.rules, &situation);
        for condition in conditions {
            self.set_condition(condition);
        }
        if last_active == LastActive::Now {
            self.last_active = Some(Moment::at(now));
        }
        let text = reason.to_string();
        self.verdict = Some(Verdict { at: now.wall, from: current.clone().ok(), to: scale_to, reason: text });
        if let (Ok(from), Some(to)) = (current, scale_to) {
            self.scale(now, from, to, Cause::Decision(reason), outbox);
        }
    }

    /// Looks at the object again after some time, whatever else happens until then.
    fn look_later(&mut self, now: Now, pause: Duration, outbox: &mut Outbox) {
        self.stop_looking(outbox);
        let at = now.monotonic + pause;
        self.next_look = Some(at);
        outbox.looks.insert((at, self.definition.key.clone()));
    }

    pub(super) fn stop_looking(&mut self, outbox: &mut Outbox) {
        if let Some(at) = self.next_look.take() {
            outbox.looks.remove(&(at, self.definition.key.clone()));
        }
    }

    /// The time has come to look at the object again.
    pub(super) fn look(&mut self, now: Now, outbox: &mut Outbox) {
        self.next_look = None;
        self.decision_due = true;
        self.observe(now, outbox);
    }

    fn composite_in_use(&self) -> bool {
        self.definition.rules.modifiers.as_ref().is_some_and(|modifiers| modifiers.composite_target().is_some())
    }

    /// Whether every trigger that can be read has been read once.
    fn is_known(&self) -> bool {
        let triggers = self.definition.triggers.iter();
        triggers.zip(&self.readings).all(|(trigger, taken)| trigger.is_read_by_hpa() || taken.is_some())
    }

    /// Whether it has nothing but `cpu` and `memory`, whose readings are no occasion for a decision.
    fn is_scaled_by_the_hpa_alone(&self) -> bool {
        let triggers = &self.definition.triggers;
        let is_running = !triggers.is_empty() && !self.definition.rules.pause.is_full();
        is_running && triggers.iter().all(TriggerDefinition::is_read_by_hpa)
    }

    /// Waits no more for what is being looked at.
    fn stop_observing(&mut self, outbox: &mut Outbox) {
        let key = &self.definition.key;
        outbox.tickets.retain(|_, ticket| ticket.object != *key || ticket.purpose != Purpose::Observe);
        self.observing = false;
    }

    fn observe(&mut self, now: Now, outbox: &mut Outbox) {
        if std::mem::replace(&mut self.observing, true) {
            return;
        }
        let object = self.definition.key.clone();
        let id = outbox.ticket(now, &object, Purpose::Observe);
        let pods = self.counts_ready_pods();
        outbox.push(Effect::Observe { id, object, pods });
    }

    /// Whether a fallback is due that shares its replicas out among the ready pods.
    fn counts_ready_pods(&self) -> bool {
        let Some(fallback) = fallback::valid(&self.definition.rules) else { return false };
        let by_value = match self.definition.rules.modifiers.as_ref().filter(|modifiers| modifiers.in_use()) {
            Some(modifiers) => modifiers.metric_type == "Value",
            None => {
                let mut metrics = self.definition.triggers.iter().flat_map(|trigger| &trigger.metrics);
                metrics.any(|metric| metric.target_type == crate::metric::TargetType::Value)
            }
        };
        by_value && self.health.values().any(|health| health.exceeds(fallback))
    }

    /// Tells of triggers that failed since this was done last, unless the fallback stands in for them.
    fn tell_failures(&mut self, outbox: &mut Outbox) {
        let of_metrics = if self.composite_in_use() { "KEDAMetricSourceFailed" } else { "KEDAScalerFailed" };
        for trigger in std::mem::take(&mut self.untold) {
            let Some(definition) = self.definition.triggers.get(trigger) else { continue };
            let (reason, error) = match definition.is_undescribed() {
                // It has no metrics yet that could fail.
                true => ("KEDAScalerFailed", self.failure(trigger)),
                false => {
                    let error = definition.metrics.iter().find_map(|metric| self.evaluation.error(&metric.name));
                    (of_metrics, error)
                }
            };
            if let Some(error) = error {
                self.event(Severity::Warning, reason, error.message.clone(), outbox);
            }
        }
    }

    /// Why a trigger could not be read last.
    fn failure(&self, trigger: usize) -> Option<&SourceError> {
        self.readings.get(trigger)?.as_ref()?.result.as_ref().err()
    }

    fn update_fallback_condition(&mut self, outbox: &mut Outbox) {
        let Some(fallback) = fallback::valid(&self.definition.rules).cloned() else { return };
        let exists = self.health.values().any(|health| health.exceeds(&fallback));
        let before = self.condition(ConditionType::Fallback) == Some(Truth::True);
        self.set_condition(Condition::fallback(exists));
        if exists != before {
            let (reason, message) = match exists {
                true => ("ScaledObjectFallbackActivated", "ScaledObject fallback is active"),
                false => ("ScaledObjectFallbackDeactivated", "ScaledObject fallback is no longer active"),
            };
            self.event(Severity::Normal, reason, message.to_string(), outbox);
        }
    }

    fn condition(&self, kind: ConditionType) -> Option<Truth> {
        self.conditions.iter().find(|condition| condition.kind == kind).map(|condition| condition.status)
    }

    fn set_condition(&mut self, condition: Condition) {
        set_condition(&mut self.conditions, condition);
    }

    fn event(&self, severity: Severity, reason: &'static str, message: String, outbox: &mut Outbox) {
        outbox.push(Effect::Event { object: self.definition.key.clone(), severity, reason, message });
    }

    fn metric_names(&self) -> BTreeSet<String> {
        let metrics = self.definition.triggers.iter().flat_map(|trigger| &trigger.metrics);
        metrics.map(|metric| metric.name.clone()).collect()
    }

    fn status(&self) -> Status {
        let mut status = self.newest_status();
        if self.definition.rules.pause.is_full() || self.definition.triggers.is_empty() {
            // Nothing is read during a pause, nor of an object that cannot be used: what was said before is said until
            // there is something new.
            status.last_active_time = self.written.last_active_time;
            status.triggers_activity = self.written.triggers_activity.clone();
        }
        status
    }

    fn newest_status(&self) -> Status {
        // Until it was evaluated, what was said of it before holds.
        let known = self.observation.is_none().then_some(&self.written.triggers_activity);
        let activity = self.metric_names().into_iter().map(|name| {
            let active = match known {
                Some(known) => known.get(&name).copied().unwrap_or_default(),
                None => self.evaluation.active_metrics.contains(&name),
            };
            (name, active)
        });
        Status {
            conditions: self.conditions.clone(),
            last_active_time: self.last_active.map(|moment| moment.wall),
            health: self.health.clone(),
            triggers_activity: activity.collect(),
            paused_replica_count: self.definition.rules.pause.replicas.clone().and_then(Result::ok),
        }
    }

    fn write_status(&mut self, outbox: &mut Outbox) {
        let status = self.status();
        if status != *self.written {
            self.written = Arc::new(status);
            let status = Arc::clone(&self.written);
            outbox.push(Effect::Status { object: self.definition.key.clone(), status });
        }
    }

    pub(super) fn measures(&self) -> impl Iterator<Item = Measure<'_>> {
        self.evaluation.measures()
    }

    pub(super) fn view(&self, now: Now) -> View {
        let readings = self.definition.triggers.iter().zip(&self.readings).flat_map(|(trigger, taken)| {
            trigger.metrics.iter().map(move |metric| {
                let worth = self.evaluation.metrics.iter().find(|(name, _)| *name == metric.name);
                let value = worth.map(|(_, worth)| worth.quantity());
                ReadingView {
                    trigger_type: trigger.trigger_type.clone(),
                    metric: metric.name.clone(),
                    value: value.clone().and_then(Result::ok).map(|value| value.to_string()),
                    target: metric.target.to_string(),
                    target_type: metric.target_type.as_str().to_string(),
                    active: self.evaluation.active_metrics.contains(&metric.name),
                    age: taken.as_ref().map(|taken| now.monotonic.saturating_sub(taken.at)),
                    error: taken.as_ref().and_then(|taken| taken.result.clone().err()).map(|error| error.message),
                    fallback: matches!(worth, Some((_, super::evaluation::Worth::Fallback(_)))),
                }
            })
        });
        View {
            status: self.status(),
            readings: readings.collect(),
            composite: self.evaluation.composite.clone().map(|result| result.map(|value| value.to_string())),
            verdict: self.verdict.clone(),
            replicas: self.observation.as_ref().and_then(|observation| observation.replicas.clone().ok()),
        }
    }
}

impl Moment {
    fn at(now: Now) -> Self {
        Moment { wall: now.wall, monotonic: Some(now.monotonic) }
    }

    /// Time since; a moment that an earlier process saw has only a wall clock.
    fn elapsed(self, now: Now) -> Duration {
        match self.monotonic {
            Some(monotonic) => now.monotonic.saturating_sub(monotonic),
            None => elapsed(now.wall, self.wall),
        }
    }
}

fn set_condition(conditions: &mut Vec<Condition>, condition: Condition) {
    match conditions.iter_mut().find(|known| known.kind == condition.kind) {
        Some(known) => *known = condition,
        None => conditions.push(condition),
    }
}

fn elapsed(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or(Duration::ZERO)
}
