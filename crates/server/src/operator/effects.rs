//! What the engine wants, carried out on the cluster, and what became of it.

use std::sync::Arc;

use keda_core::api::ScaledObject;
use keda_core::engine::{Cause, Effect, Input, ObjectKey, Observation, Severity};
use serde_json::json;

use super::driver::{Driver, Message};
use super::status::{self, Facts};
use super::{finalize, hpa};
use crate::cluster::resource::SCALED_OBJECTS;
use crate::cluster::{ApiError, scale};

/// How long the status of a new object waits for what else there is to say.
pub(super) const GATHER: std::time::Duration = std::time::Duration::from_millis(700);
/// Time between attempts to take away the HPA of a paused object: while it is there it scales.
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

impl Driver {
    /// Carries out what the engine wants. A follower only looks and answers.
    pub(super) fn pump(&mut self) {
        while let Some(effect) = self.engine.poll_effect() {
            match effect {
                Effect::Observe { id, object, pods } => self.observe(id, &object, pods),
                Effect::Sample { object, trigger } => self.sampler.read((object, trigger)),
                Effect::Answer { question, result } => {
                    if let Some(question) = self.questions.remove(&question) {
                        let _ = question.answer.send(result);
                    }
                }
                Effect::Resume(object) => self.resume(&object),
                Effect::Suspend(object) => self.suspend(&object),
                Effect::Scale { id, object, from, to, cause } if self.leading => {
                    self.scale(id, object, (from, to), &cause);
                }
                Effect::Status { object, status } => {
                    if let Some(managed) = self.objects.get_mut(&object) {
                        managed.status = Some(status);
                        self.write_status(&object);
                    }
                }
                Effect::Event { object, severity, reason, message } if self.leading => {
                    if let Some(managed) = self.objects.get(&object) {
                        self.events.publish(managed.event(severity, reason, message));
                    }
                }
                Effect::Scale { .. } | Effect::Event { .. } => {}
            }
        }
    }

    /// Looks at the target of an object: in what watches know, or else by asking.
    fn observe(&mut self, id: u64, key: &ObjectKey, pods: bool) {
        let Some(managed) = self.objects.get_mut(key) else { return };
        if let Some(waiting) = &mut managed.suspending {
            waiting.push(id);
            return;
        }
        let Some(target) = self.target(key) else {
            self.evaluate(id, key, Observation::unreadable("the target is not known"));
            return;
        };
        let health = self.known_hpa_health(key);
        let known = self.workloads.replicas(&target, &key.namespace);
        if let (Some(replicas), false) = (&known, pods) {
            let observation = Observation { replicas: replicas.clone(), ready_pods: None, hpa: health };
            self.evaluate(id, key, observation);
            return;
        }
        let (cluster, messages, key) = (self.tools.cluster.clone(), self.messages.clone(), key.clone());
        tokio::spawn(async move {
            let read = scale::read(&cluster, &target.resource, &key.namespace, &target.name).await;
            let ready_pods = match &read {
                Ok(scale) if pods => super::workloads::ready_pods(&cluster, &key.namespace, scale).await,
                _ => None,
            };
            let replicas = read.map(|scale| scale.replicas()).map_err(|error| error.message);
            let observation = Observation { replicas, ready_pods, hpa: health };
            let _ = messages.send(Message::Observed(id, key, observation));
        });
    }

    fn known_hpa_health(&self, key: &ObjectKey) -> Option<keda_core::engine::HpaHealth> {
        let name = self.objects.get(key)?.object.hpa_name();
        self.hpas.get(&(key.namespace.clone(), name))?.health.clone()
    }

    pub(super) fn observed(&mut self, id: u64, key: &ObjectKey, observation: Observation) {
        if self.objects.contains_key(key) {
            self.evaluate(id, key, observation);
        }
    }

    /// Has the engine evaluate the metrics of an object, and tells of them.
    fn evaluate(&mut self, id: u64, key: &ObjectKey, observation: Observation) {
        self.engine.handle(self.now(), Input::Observed { id, observation });
        if let Some(series) = self.objects.get_mut(key).and_then(|managed| managed.series.as_mut()) {
            series.evaluated(self.engine.measures(key));
        }
    }

    fn scale(&mut self, id: u64, key: ObjectKey, (from, to): (i32, i32), cause: &Cause) {
        let Some(target) = self.target(&key) else {
            let result = Err("the target is not known".to_string());
            self.engine.handle(self.now(), Input::Outcome { id, result });
            return;
        };
        tracing::info!(object = %key, target = %target.name, from, to, reason = %cause, "scaling");
        let (cluster, messages) = (self.tools.cluster.clone(), self.messages.clone());
        // The annotation means what it says, whatever the replicas are by now.
        let from = (!matches!(cause, Cause::PausedAt(_))).then_some(from);
        tokio::spawn(async move {
            let place = (key.namespace.as_str(), target.name.as_str());
            let result = scale::write(&cluster, &target.resource, place, from, to).await;
            let _ = messages.send(Message::Scaled(id, key, to, result));
        });
    }

    pub(super) fn scaled(&mut self, id: u64, key: &ObjectKey, to: i32, result: Result<(), ApiError>) {
        match &result {
            Ok(()) => {
                if let Some(target) = self.target(key) {
                    self.workloads.scaled(&target, &key.namespace, to);
                }
            }
            Err(error) => tracing::warn!(object = %key, to, %error, "cannot scale"),
        }
        let result = result.map_err(|error| error.message);
        self.engine.handle(self.now(), Input::Outcome { id, result });
    }

    fn resume(&mut self, key: &ObjectKey) {
        let Some(managed) = self.objects.get_mut(key) else { return };
        managed.suspending = None;
        let Some(plan) = managed.plan.clone() else { return };
        let was_subscribed = std::mem::replace(&mut managed.subscribed, true);
        if self.leading {
            for trigger in &plan.object.spec.triggers {
                let note = format!("Scaler {} is built", trigger.r#type);
                self.events.publish(managed.event(Severity::Normal, "KEDAScalersStarted", note));
            }
            if !was_subscribed {
                let note = "Started scalers watch".to_string();
                self.events.publish(managed.event(Severity::Normal, "KEDAScalersStarted", note));
            }
        }
        self.subscribe(key, &plan);
    }

    /// Stops reading the sources of a paused object, and takes its HPA away; its replicas are looked at afterwards.
    fn suspend(&mut self, key: &ObjectKey) {
        self.sampler.unsubscribe(key);
        let Some(managed) = self.objects.get_mut(key) else { return };
        if std::mem::replace(&mut managed.subscribed, false) && self.leading {
            let note = "Stopped scalers watch".to_string();
            self.events.publish(managed.event(Severity::Normal, "KEDAScalersStopped", note));
        }
        if !self.leading {
            return;
        }
        managed.suspending.get_or_insert_default();
        let status = managed.object.status.as_ref();
        let name = status.and_then(|status| status.hpa_name.clone()).unwrap_or_else(|| managed.object.hpa_name());
        let (cluster, messages, key) = (self.tools.cluster.clone(), self.messages.clone(), key.clone());
        tokio::spawn(async move {
            let result = loop {
                match hpa::delete(&cluster, &key.namespace, &name).await {
                    Err(error) if error.is_transient() => tokio::time::sleep(RETRY).await,
                    result => break result,
                }
            };
            let _ = messages.send(Message::HpaDeleted(key, result));
        });
    }

    pub(super) fn suspended(&mut self, key: &ObjectKey, result: Result<(), ApiError>) {
        let Some(managed) = self.objects.get_mut(key) else { return };
        let waiting = managed.suspending.take().unwrap_or_default();
        if result.is_ok() && managed.target.is_some() {
            managed.work.succeeded();
        }
        if let Err(error) = result {
            let message = format!("failed to delete HPA for paused ScaledObject: {error}");
            self.engine.handle(self.now(), Input::Failed(key.clone(), message));
            self.retry(key);
        }
        for id in waiting {
            self.observe(id, key, false);
        }
    }

    /// Writes the status of an object if it does not say what it should; one write at a time.
    pub(super) fn write_status(&mut self, key: &ObjectKey) {
        let leading = self.leading;
        let Some(managed) = self.objects.get_mut(key) else { return };
        if !leading || managed.writing || managed.waits_to_write || managed.write_after.is_some() {
            return;
        }
        if self.writing >= self.limit {
            // Many at once would hold up everything else that is asked of the API server. What is to be written, if
            // anything, is found out when it is its turn.
            managed.waits_to_write = true;
            self.unwritten.push_back(key.clone());
            return;
        }
        let known = managed.object.status.clone().unwrap_or_default();
        let Some(patch) = status::patch(&known, &managed.facts, managed.status.as_deref()) else {
            // The status says it all, and need not be held twice.
            managed.facts = Facts::default();
            return;
        };
        managed.writing = true;
        self.writing += 1;
        let path = SCALED_OBJECTS.object(Some(&key.namespace), &key.name).below("status");
        let (cluster, messages, key) = (self.tools.cluster.clone(), self.messages.clone(), key.clone());
        tokio::spawn(async move {
            let result = cluster.merge::<ScaledObject>(&path, &json!({ "status": patch })).await;
            let _ = messages.send(Message::StatusWritten(key, Box::new(result)));
        });
    }

    /// A status was written, or could not be: the next one's turn.
    pub(super) fn write_next(&mut self) {
        self.writing = self.writing.saturating_sub(1);
        while self.writing < self.limit
            && let Some(key) = self.unwritten.pop_front()
        {
            if let Some(managed) = self.objects.get_mut(&key) {
                managed.waits_to_write = false;
                self.write_status(&key);
            }
        }
    }

    pub(super) fn status_written(&mut self, key: &ObjectKey, result: Result<ScaledObject, ApiError>) {
        let Some(managed) = self.objects.get_mut(key) else { return };
        managed.writing = false;
        match result {
            Ok(object) => {
                if managed.update(Arc::new(object)) {
                    self.enqueue(key);
                }
                self.write_status(key);
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => {
                tracing::warn!(object = %key, %error, "cannot write the status");
                if !error.is_transient() {
                    let note = error.message.clone();
                    self.events.publish(managed.event(Severity::Warning, "ScaledObjectUpdateFailed", note));
                }
                self.retry(key);
            }
        }
    }

    /// Puts right what belongs to an object that is to go, and lets it go.
    pub(super) fn finalize(&mut self, key: &ObjectKey) {
        let Some(mut managed) = self.objects.remove(key) else { return };
        self.leave(key, &managed);
        managed.subscribed = false;
        managed.plan = None;
        managed.rejected = Some("the ScaledObject is being deleted".to_string());
        let held = managed.is_held();
        let object = Arc::clone(&managed.object);
        // A Warning, as in KEDA.
        let told = managed.event(Severity::Warning, "ScaledObjectDeleted", "ScaledObject was deleted".to_string());
        self.objects.insert(key.clone(), managed);
        let writes = held && self.leading;
        if writes {
            self.authentications.forget(key, &self.objects);
        }
        let (cluster, messages, key) = (self.tools.cluster.clone(), self.messages.clone(), key.clone());
        let events = self.events.clone();
        tokio::spawn(async move {
            let result = if writes { finalize::finalize(&cluster, &object).await } else { Ok(()) };
            if writes && result.is_ok() {
                events.publish(told);
            }
            let _ = messages.send(Message::Finalized(key, result));
        });
    }

    pub(super) fn finalized(&mut self, key: &ObjectKey, result: Result<(), ApiError>) {
        if let Some(managed) = self.objects.get_mut(key) {
            match result {
                Ok(()) => managed.work.succeeded(),
                Err(error) => {
                    tracing::warn!(object = %key, %error, "cannot let go of a ScaledObject; trying again");
                    self.retry(key);
                }
            }
        }
        self.task_ended(key);
    }
}
