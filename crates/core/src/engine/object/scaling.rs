//! Setting the replicas of the target, and what is told of it.

use super::super::activation::Reason;
use super::super::conditions::{Condition, ConditionType, Truth};
use super::super::input::{Cause, Effect, Now, Severity};
use super::super::view::Verdict;
use super::super::{Outbox, Purpose};
use super::{Moment, Object};

impl Object {
    /// Carries a pause out: the target gets the replicas that the annotation tells, or stays as it is.
    pub(super) fn rest(&mut self, now: Now, current: Result<i32, String>, outbox: &mut Outbox) {
        let wanted = self.definition.rules.pause.replicas.clone().transpose();
        let to = wanted.as_ref().ok().copied().flatten().filter(|to| current.as_ref().is_ok_and(|from| from != to));
        let reason = Reason::Paused.to_string();
        self.verdict = Some(Verdict { at: now.wall, from: current.clone().ok(), to, reason });
        match (wanted, current) {
            (Ok(Some(to)), Ok(from)) if from != to => self.scale(now, from, to, Cause::PausedAt(to), outbox),
            (Ok(Some(_)), Err(error)) => self.cannot_rest(now, &error, outbox),
            (Ok(_), _) => self.become_ready(Condition::ready_while_paused(), outbox),
            (Err(error), _) => self.fail(&unpausable(&error), outbox),
        }
    }

    /// The target does not have the replicas that the annotation tells; that is tried again.
    fn cannot_rest(&mut self, now: Now, error: &str, outbox: &mut Outbox) {
        self.fail(&unpausable(error), outbox);
        self.look_later(now, self.definition.rules.polling_interval(), outbox);
    }

    pub(super) fn scale(&mut self, now: Now, from: i32, to: i32, cause: Cause, outbox: &mut Outbox) {
        self.scaling = true;
        let object = self.definition.key.clone();
        let id = outbox.ticket(now, &object, Purpose::Scale { from, to, cause: cause.clone() });
        outbox.push(Effect::Scale { id, object, from, to, cause });
    }

    /// The replicas were set, or could not be: why.
    pub(in crate::engine) fn scaled(
        &mut self,
        now: Now,
        (from, to): (i32, i32),
        cause: &Cause,
        result: Result<(), String>,
        outbox: &mut Outbox,
    ) {
        self.scaling = false;
        if let (Ok(()), Some(observation)) = (&result, &mut self.observation) {
            observation.replicas = Ok(to);
        }
        match (cause, result) {
            // It was for a pause that has ended.
            (Cause::PausedAt(_), _) if !self.definition.rules.pause.is_full() => {}
            (Cause::PausedAt(_), Ok(())) => self.become_ready(Condition::ready_while_paused(), outbox),
            (Cause::PausedAt(_), Err(error)) => self.cannot_rest(now, &error, outbox),
            // Nobody is told, as in KEDA.
            (Cause::Decision(Reason::RaisedToMinimum { .. }), _) => {}
            (Cause::Decision(reason), result) => self.tell_scaling(now, (from, to), reason, result.is_ok(), outbox),
        }
        if self.decision_due {
            self.observe(now, outbox);
        }
        self.write_status(outbox);
    }

    /// The replicas were others by then than those that the decision was for: it is made anew for what is there now.
    pub(in crate::engine) fn overtaken(&mut self, now: Now, outbox: &mut Outbox) {
        self.scaling = false;
        let is_running = !self.definition.triggers.is_empty() && !self.definition.rules.pause.is_full();
        self.decision_due |= is_running && self.is_known();
        if self.decision_due {
            self.observe(now, outbox);
        }
    }

    fn tell_scaling(&mut self, now: Now, (from, to): (i32, i32), reason: &Reason, done: bool, outbox: &mut Outbox) {
        let target = format!(
            "{} {}/{}",
            self.definition.target_kind, self.definition.key.namespace, self.definition.target_name
        );
        let (severity, reason, message) = match (done, to > from) {
            (true, true) => {
                if self.condition(ConditionType::Active) == Some(Truth::True) {
                    self.last_active = Some(Moment::at(now));
                }
                let message = format!("Scaled {target} from {from} to {to}, {}", trigger_text(reason));
                (Severity::Normal, "KEDAScaleTargetActivated", message)
            }
            (true, false) => {
                let message = format!("Deactivated {target} from {from} to {to}");
                (Severity::Normal, "KEDAScaleTargetDeactivated", message)
            }
            (false, true) => {
                let message = format!("Failed to scale {target} from {from} to {to}");
                (Severity::Warning, "KEDAScaleTargetActivationFailed", message)
            }
            (false, false) => {
                let message = format!("Failed to deactivate {target} from {from} to {to}");
                (Severity::Warning, "KEDAScaleTargetDeactivationFailed", message)
            }
        };
        self.event(severity, reason, message, outbox);
    }
}

fn trigger_text(reason: &Reason) -> String {
    match reason {
        Reason::Activated { metrics, .. } => format!("triggered by {}", metrics.join(";")),
        _ => "caused by forced activation annotation".to_string(),
    }
}

fn unpausable(error: &str) -> String {
    format!("failed to scale target to paused replica count: {error}")
}
