//! What follows from a reconciliation that ended.

use std::sync::Arc;

use keda_core::api::{ObjectMeta, ScaledObject};
use keda_core::engine::{Definition, Input, ObjectKey, Restored, Severity};
use keda_scalers::plan::Plan;
use tokio::time::Instant;

use super::driver::Driver;
use super::effects::GATHER;
use super::managed::Managed;
use super::reconcile::{Note, Outcome, Target};
use super::status::Facts;

impl Driver {
    /// A reconciliation ended.
    pub(super) fn reconciled(&mut self, key: &ObjectKey, outcome: Outcome, facts: Facts) {
        let Some(managed) = self.objects.get_mut(key) else {
            self.task_ended(key);
            return;
        };
        let again = managed.work.again;
        let failed = matches!(outcome, Outcome::Rejected { .. } | Outcome::Failed { .. });
        managed.facts = facts;
        if managed.object.status.is_none() && !failed {
            let at = Instant::now() + GATHER;
            managed.write_after = Some(at);
            self.timers.insert((at, key.clone()));
        }
        if self.leading {
            managed.tell(&self.tools.metrics, outcome.definition().filter(|_| !again));
        }
        match outcome {
            // What was found out is of yesterday: the object is looked at again in a moment.
            _ if again => {}
            Outcome::Ready { plan, target, replicas, created } => {
                if created {
                    tracing::info!(object = %key, "made an HPA");
                }
                self.accept(key, *plan, target, replicas);
            }
            Outcome::Paused { definition, target } => self.pause(key, definition, target),
            Outcome::Rejected { definition, message, notes } => self.reject(key, definition, message, notes),
            Outcome::Failed { message, notes } => {
                tracing::warn!(object = %key, reason = %message, "a reconciliation failed; it is tried again");
                self.tell_notes(key, notes);
                self.engine.handle(self.now(), Input::Failed(key.clone(), message));
            }
        }
        if failed && !again {
            self.retry(key);
        }
        self.task_ended(key);
        self.write_status(key);
        self.ask_waiting(key);
    }

    fn accept(&mut self, key: &ObjectKey, mut plan: Plan, target: Target, replicas: Option<i32>) {
        let now = self.now();
        let Some(managed) = self.objects.get_mut(key) else { return };
        managed.work.succeeded();
        managed.rejected = None;
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
        if self.leading {
            self.authentications.use_by(key, &self.objects);
        }
    }

    fn pause(&mut self, key: &ObjectKey, definition: Box<Definition>, target: Option<Target>) {
        let now = self.now();
        let Some(managed) = self.objects.get_mut(key) else { return };
        managed.work.succeeded();
        managed.rejected = Some("the ScaledObject is paused".to_string());
        managed.plan = None;
        if let Some(target) = &target {
            self.workloads.want(target);
        }
        managed.target = target;
        self.engine.handle(now, Input::Applied(definition));
    }

    fn reject(&mut self, key: &ObjectKey, definition: Box<Definition>, message: String, notes: Vec<Note>) {
        let now = self.now();
        let Some(managed) = self.objects.get_mut(key) else { return };
        managed.rejected = Some(message.clone());
        managed.plan = None;
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
        let told = |(reason, note): Note| Managed::event(managed, Severity::Warning, reason, note);
        notes.into_iter().map(told).for_each(|event| self.events.publish(event));
    }
}

/// What sources are set up by: the rest of an object changes with its status, and would be held twice.
fn without_status(object: &ScaledObject) -> ScaledObject {
    let ObjectMeta { name, namespace, .. } = object.metadata.clone();
    let metadata = ObjectMeta { name, namespace, ..ObjectMeta::default() };
    ScaledObject { metadata, spec: Arc::clone(&object.spec), status: None }
}
