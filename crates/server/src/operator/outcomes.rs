//! What follows from a reconciliation that ended.

use std::sync::Arc;

use keda_core::api::{ObjectMeta, ScaledObject};
use keda_core::engine::{Definition, Input, ObjectKey, Restored};
use keda_scalers::plan::Plan;
use tokio::time::Instant;

use super::driver::Driver;
use super::effects::GATHER;
use super::managed::Managed;
use super::notes::Note;
use super::reconcile::{Outcome, Target};
use super::status::Facts;

impl Driver {
    /// A reconciliation ended.
    pub(super) fn reconciled(&mut self, key: &ObjectKey, outcome: Outcome, facts: Facts) {
        let Some(managed) = self.objects.get_mut(key) else {
            self.task_ended(key);
            return;
        };
        let again = managed.work.again;
        let failed = !matches!(outcome, Outcome::Ready { .. } | Outcome::Paused { .. });
        let is_complete = !matches!(&outcome, Outcome::Ready { plan, .. } if !plan.undescribed.is_empty());
        let before = std::mem::replace(&mut managed.facts, facts);
        managed.facts.keep(before);
        managed.is_outdated &= again || matches!(outcome, Outcome::Overtaken);
        if managed.object.status.is_none() && !failed {
            let at = Instant::now() + GATHER;
            managed.write_after = Some(at);
            self.timers.insert((at, key.clone()));
        }
        if self.leading {
            let running = managed.plan.clone();
            managed.tell(&self.tools.metrics, outcome.definition(running.as_deref()).filter(|_| !again));
        }
        match outcome {
            // What was found out is of yesterday: the object is looked at again in a moment.
            _ if again => {}
            Outcome::Ready { plan, target, replicas, created, notes } => {
                if created {
                    tracing::info!(object = %key, "made an HPA");
                }
                if is_complete {
                    managed.work.succeeded();
                }
                self.accept(key, *plan, target, replicas);
                self.tell_notes(key, notes);
            }
            Outcome::Paused { definition, target } => self.pause(key, definition, target),
            Outcome::WithoutHpa { plan, target, definition, message } => {
                self.go_on_without_hpa(key, plan.map(|plan| *plan), target, definition, message);
            }
            Outcome::Unplanned { definition, message, notes } => self.hold(key, definition, message, notes),
            Outcome::Rejected { definition, message, notes } => self.reject(key, definition, message, notes),
            Outcome::Overtaken => {}
            Outcome::Failed { definition, message, notes } => {
                tracing::warn!(object = %key, reason = %message, "a reconciliation failed; it is tried again");
                self.tell_notes(key, notes);
                let input = match self.engine.knows(key) {
                    true => Input::Failed(key.clone(), message),
                    false => Input::Rejected(definition, message),
                };
                self.engine.handle(self.now(), input);
            }
        }
        if failed && !again {
            self.retry(key);
        } else if !is_complete && !again {
            self.retry_unhurried(key);
        }
        if self.leading {
            self.authentications.use_by(key, &self.objects);
        }
        self.task_ended(key);
        self.write_status(key);
        self.ask_waiting(key);
    }

    fn accept(&mut self, key: &ObjectKey, mut plan: Plan, target: Target, replicas: Option<i32>) {
        let now = self.now();
        let Some(managed) = self.objects.get_mut(key) else { return };
        managed.rejected = None;
        managed.held = None;
        self.workloads.want(&target);
        if let Some(replicas) = replicas {
            self.workloads.seen(&target, &key.namespace, replicas);
        }
        managed.target = Some(target);
        let definition = plan.definition.clone();
        // The HPA is in the cluster by now, and what was restored in the engine.
        plan.hpa = None;
        plan.object = Arc::new(without_status(&plan.object));
        plan.definition.restored = Restored::default();
        managed.plan = Some(Arc::new(plan));
        self.engine.handle(now, Input::Applied(Box::new(definition)));
    }

    /// What is read and scaled already goes on, with the HPA that is there, as in KEDA; a new object does not begin.
    fn go_on_without_hpa(
        &mut self,
        key: &ObjectKey,
        plan: Option<Plan>,
        target: Target,
        definition: Box<Definition>,
        message: String,
    ) {
        let managed = self.objects.get(key);
        let is_held = managed.is_some_and(|managed| managed.held.is_some());
        let Some(running) = managed.and_then(|managed| managed.plan.clone()) else {
            self.reject(key, definition, message, Vec::new());
            return;
        };
        tracing::warn!(object = %key, reason = %message, "the ScaledObject cannot be used as it is now; what runs goes on");
        if let Some(plan) = plan {
            let (old, new) = (&running.definition, &plan.definition);
            let is_elsewhere = self.target(key).as_ref() != Some(&target);
            if is_held || is_elsewhere || (&old.rules, &old.triggers) != (&new.rules, &new.triggers) {
                self.accept(key, plan, target, None);
            }
        }
        self.engine.handle(self.now(), Input::Failed(key.clone(), message));
    }

    /// What is asked about an object that runs already is answered as before, so that its HPA goes on; a new object does
    /// not begin.
    fn hold(&mut self, key: &ObjectKey, definition: Box<Definition>, message: String, notes: Vec<Note>) {
        let Some(managed) = self.objects.get_mut(key).filter(|managed| managed.plan.is_some()) else {
            self.reject(key, definition, message, notes);
            return;
        };
        managed.held = Some(message.clone());
        if self.leading {
            tracing::warn!(object = %key, reason = %message, "the ScaledObject cannot be used as it is now; its HPA goes on");
        }
        self.tell_notes(key, notes);
        self.engine.handle(self.now(), Input::Held(key.clone(), message));
    }

    fn pause(&mut self, key: &ObjectKey, definition: Box<Definition>, target: Option<Target>) {
        let now = self.now();
        let Some(managed) = self.objects.get_mut(key) else { return };
        managed.rejected = Some("the ScaledObject is paused".to_string());
        managed.plan = None;
        managed.held = None;
        match &target {
            Some(target) => self.workloads.want(target),
            None => self.workloads.want_kind_of(&managed.object),
        }
        let is_missing = target.is_none() && definition.rules.pause.replicas.is_some();
        managed.target = target;
        self.engine.handle(now, Input::Applied(definition));
        if is_missing {
            self.retry(key);
        }
    }

    fn reject(&mut self, key: &ObjectKey, definition: Box<Definition>, message: String, notes: Vec<Note>) {
        let now = self.now();
        let Some(managed) = self.objects.get_mut(key) else { return };
        managed.rejected = Some(message.clone());
        managed.plan = None;
        managed.held = None;
        managed.subscribed = false;
        self.sampler.unsubscribe(key);
        self.workloads.want_kind_of(&managed.object);
        if self.leading {
            tracing::warn!(object = %key, reason = %message, "the ScaledObject cannot be used");
        }
        self.tell_notes(key, notes);
        self.engine.handle(now, Input::Rejected(definition, message));
    }

    fn tell_notes(&self, key: &ObjectKey, notes: Vec<Note>) {
        let Some(managed) = self.objects.get(key).filter(|_| self.leading) else { return };
        let told = |Note { severity, reason, text }| Managed::event(managed, severity, reason, text);
        notes.into_iter().map(told).for_each(|event| self.events.publish(event));
    }
}

/// What sources are set up by: the rest of an object changes with its status, and would be held twice.
fn without_status(object: &ScaledObject) -> ScaledObject {
    let ObjectMeta { name, namespace, .. } = object.metadata.clone();
    let metadata = ObjectMeta { name, namespace, ..ObjectMeta::default() };
    ScaledObject { metadata, spec: Arc::clone(&object.spec), status: None }
}
