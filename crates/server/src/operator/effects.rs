//! What the engine wants, carried out on the cluster, and what became of it.

use std::sync::Arc;

use keda_core::api::ScaledObject;
use keda_core::engine::{Cause, Effect, Input, ObjectKey, Observation, Severity};
use serde_json::json;

use super::driver::{Driver, Message};
use super::managed::Suspension;
use super::reconcile::Target;
use super::status::{self, Facts};
use super::{finalize, hpa};
use crate::cluster::resource::SCALED_OBJECTS;
use crate::cluster::{ApiError, scale};
use crate::fingerprint;

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
        if let Some(suspension) = &mut managed.suspending {
            suspension.waiting.push(id);
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
            let _ = messages.send(Message::Scaled(id, key, target, to, result));
        });
    }

    pub(super) fn scaled(&mut self, id: u64, key: &ObjectKey, target: &Target, to: i32, result: Result<i32, ApiError>) {
        // The object may have another target by now.
        if let Ok(replicas) = &result {
            self.workloads.scaled(target, &key.namespace, *replicas);
        }
        let input = match result {
            Ok(replicas) if replicas == to => Input::Outcome { id, result: Ok(()) },
            Ok(replicas) => {
                tracing::info!(object = %key, replicas, to, "it was scaled meanwhile, so that it is decided anew");
                Input::Overtaken { id }
            }
            Err(error) => {
                tracing::warn!(object = %key, to, %error, "cannot scale");
                Input::Outcome { id, result: Err(error.message) }
            }
        };
        self.engine.handle(self.now(), input);
    }

    fn resume(&mut self, key: &ObjectKey) {
        let Some(managed) = self.objects.get_mut(key) else { return };
        let waiting = managed.suspending.take().map(Suspension::end).unwrap_or_default();
        for id in waiting {
            self.observe(id, key, false);
        }
        let Some(managed) = self.objects.get_mut(key) else { return };
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
        // It may be on its way out already.
        if !self.leading || managed.suspending.is_some() {
            return;
        }
        let name = managed.last_hpa_name().map_or_else(|| managed.object.hpa_name(), str::to_string);
        let (cluster, messages, key) = (self.tools.cluster.clone(), self.messages.clone(), key.clone());
        let task = tokio::spawn(async move {
            let result = loop {
                match hpa::delete(&cluster, &key.namespace, &name).await {
                    Err(error) if error.is_transient() => tokio::time::sleep(RETRY).await,
                    result => break result,
                }
            };
            let _ = messages.send(Message::HpaDeleted(key, result));
        });
        managed.suspending = Some(Suspension::new(task.abort_handle()));
    }

    pub(super) fn suspended(&mut self, key: &ObjectKey, result: Result<(), ApiError>) {
        let Some(managed) = self.objects.get_mut(key) else { return };
        // It may be paused no more.
        let Some(waiting) = managed.suspending.take().map(Suspension::end) else { return };
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
            managed.sent = None;
            return;
        };
        // An API server whose definitions are older than ours drops what they do not have: that is not told anew.
        let print = Some(fingerprint::number(&patch.to_string()));
        if managed.sent == print {
            return;
        }
        managed.sent = print;
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
                managed.write_succeeded();
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
                let at = managed.write_failed();
                self.wake(at, key);
            }
        }
    }

    /// Puts right what belongs to an object that is to go, and lets it go.
    pub(super) fn finalize(&mut self, key: &ObjectKey) {
        let Some(mut managed) = self.objects.remove(key) else { return };
        self.leave(key, &managed);
        managed.subscribed = false;
        managed.suspending = None;
        managed.plan = None;
        managed.rejected = Some("the ScaledObject is being deleted".to_string());
        let held = managed.is_held();
        let mut object = Arc::clone(&managed.object);
        if managed.facts != Facts::default() {
            let known = object.status.clone().unwrap_or_default();
            Arc::make_mut(&mut object).status = Some(managed.facts.on(&known));
        }
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

#[cfg(test)]
mod tests {
    use keda_core::api::GroupVersionKindResource;
    use keda_scalers::client::{SourceSettings, Sources};
    use keda_scalers::plan::SharedReferences;
    use keda_scalers::sampler::Sampler;
    use serde_json::Value;
    use tokio::sync::{mpsc, oneshot};

    use super::super::driver::Question;
    use super::super::managed::Managed;
    use super::super::reconcile::{FINALIZER, Tools};
    use super::super::workloads::Workloads;
    use super::*;
    use crate::cluster::discovery::Discovery;
    use crate::cluster::events::Events;
    use crate::cluster::lookup::ClusterReferences;
    use crate::cluster::testing::{self, Requests};
    use crate::cluster::tokens::Tokens;
    use crate::cluster::watch::Change;
    use crate::exposition::{Build, Metrics};

    /// The leader in a cluster that answers so, with one object.
    fn leader(
        answer: impl Fn(&str) -> Option<Value> + Send + 'static,
        object: &Value,
    ) -> (Driver, ObjectKey, mpsc::UnboundedReceiver<Message>, Requests) {
        let (cluster, requests) = testing::cluster(answer);
        let (messages, inbox) = mpsc::unbounded_channel();
        let (output, _) = mpsc::unbounded_channel();
        let discovery = Arc::new(Discovery::default());
        let lookups = Arc::new(ClusterReferences {
            cluster: cluster.clone(),
            discovery: Arc::clone(&discovery),
            authentications: Arc::default(),
            cluster_namespace: "keda".to_string(),
            restrict_secrets: false,
            files: None,
            tokens: Tokens::new(std::time::Duration::from_secs(3600)),
        });
        let references: SharedReferences = lookups.clone();
        let tools = Tools {
            cluster: cluster.clone(),
            discovery,
            lookups,
            references,
            sources: Arc::new(Sources::new(SourceSettings::default())),
            metrics: Metrics::new(Build::default()).unwrap(),
            tells_unknown_keys: false,
        };
        let events = Events::start(cluster.clone(), "keda-operator", "here");
        let workloads = Workloads::new(cluster, Vec::new(), messages.clone());
        let mut driver = Driver::new(Arc::new(tools), Sampler::start(output), events, workloads, messages, 1);
        driver.leading = true;
        let key = ObjectKey { namespace: "shop".to_string(), name: "web".to_string() };
        let object: ScaledObject = serde_json::from_value(object.clone()).unwrap();
        driver.objects.insert(key.clone(), Box::new(Managed::new(Arc::new(object))));
        (driver, key, inbox, requests)
    }

    fn scaled_object(status: &Value) -> Value {
        json!({
            "metadata": { "name": "web", "namespace": "shop", "resourceVersion": "5", "finalizers": [FINALIZER] },
            "spec": {
                "scaleTargetRef": { "name": "web" },
                "triggers": [],
                "advanced": { "restoreToOriginalReplicaCount": true },
            },
            "status": status,
        })
    }

    #[tokio::test]
    async fn what_the_api_server_does_not_keep_is_not_written_again_and_again() {
        let object = scaled_object(&json!({}));
        let kept = object.clone();
        let (mut driver, key, mut inbox, mut requests) = leader(move |_| Some(kept.clone()), &object);
        for (name, written) in [("keda-hpa-web", 1), ("keda-hpa-web", 0), ("other", 1)] {
            driver.objects.get_mut(&key).unwrap().facts.hpa_name = Some(name.to_string());
            driver.write_status(&key);
            while driver.writing > 0 {
                let message = inbox.recv().await.unwrap();
                driver.handle(message);
            }
            assert_eq!(requests.so_far().len(), written, "{name}");
        }
    }

    #[tokio::test]
    async fn what_was_found_out_counts_for_an_object_that_goes_before_it_is_written() {
        let answer = |request: &str| match request {
            "GET /apis/apps/v1/namespaces/shop/deployments/web/scale" => Some(json!({ "spec": { "replicas": 0 } })),
            _ => Some(json!({})),
        };
        let (mut driver, key, mut inbox, mut requests) = leader(answer, &scaled_object(&Value::Null));
        let resource = GroupVersionKindResource {
            group: "apps".to_string(),
            version: "v1".to_string(),
            kind: "Deployment".to_string(),
            resource: "deployments".to_string(),
        };
        let managed = driver.objects.get_mut(&key).unwrap();
        managed.facts.target = Some(("apps/v1.Deployment".to_string(), resource));
        managed.facts.original_replicas = Some(3);
        driver.finalize(&key);
        let Some(Message::Finalized(_, Ok(()))) = inbox.recv().await else { panic!("it is let go") };
        let given_back = "PUT /apis/apps/v1/namespaces/shop/deployments/web/scale";
        assert!(requests.so_far().iter().any(|request| request == given_back));
    }

    #[tokio::test]
    async fn what_is_asked_before_all_objects_are_known_waits_for_them() {
        let (mut driver, key, _inbox, _requests) = leader(|_| None, &scaled_object(&Value::Null));
        let ask = |driver: &mut Driver, name: &str| {
            let (answer, mut answered) = oneshot::channel();
            let object = ObjectKey { name: name.to_string(), ..key.clone() };
            driver.handle(Message::Question(Question { object, metric: "s0-jobs".to_string(), answer }));
            move || answered.try_recv().ok()
        };
        let mut early = ask(&mut driver, "new");
        assert!(early().is_none());
        driver.handle(Message::Object(Change::Synced));
        let mut late = ask(&mut driver, "new");
        for answer in [early(), late()] {
            assert!(answer.is_some_and(|answer| answer.is_err_and(|error| error.contains("\"new\" not found"))));
        }
    }

    /// What is said to somebody who asks for a metric.
    async fn refusal(driver: &mut Driver, inbox: &mut mpsc::UnboundedReceiver<Message>, key: &ObjectKey) -> String {
        let (answer, mut answered) = oneshot::channel();
        driver.handle(Message::Question(Question { object: key.clone(), metric: "s0-jobs".to_string(), answer }));
        loop {
            if let Ok(answer) = answered.try_recv() {
                return answer.unwrap_err();
            }
            let message = inbox.recv().await.unwrap();
            driver.handle(message);
        }
    }

    #[tokio::test]
    async fn a_follower_answers_by_what_goes_on_while_an_edit_cannot_be_used() {
        let mut object = scaled_object(&Value::Null);
        object["metadata"]["generation"] = json!(1);
        let times = json!({ "timezone": "UTC", "start": "0 6 * * *", "end": "0 7 * * *", "desiredReplicas": "3" });
        object["spec"]["triggers"] = json!([{ "type": "cron", "metadata": times }]);
        let answer = |request: &str| match request {
            "GET /apis/apps/v1/namespaces/shop/deployments/web" => Some(json!({ "spec": { "replicas": 1 } })),
            _ => None,
        };
        let (mut driver, key, mut inbox, _requests) = leader(answer, &object);
        driver.leading = false;
        for _ in 0..3 {
            driver.handle(Message::Hpa(Change::Synced));
        }
        let unknown = "no matching metrics found for s0-jobs";
        assert_eq!(refusal(&mut driver, &mut inbox, &key).await, unknown);
        object["metadata"]["generation"] = json!(2);
        object["metadata"]["resourceVersion"] = json!("6");
        object["spec"]["triggers"][0]["type"] = json!("nope");
        let edited: ScaledObject = serde_json::from_value(object).unwrap();
        let name = (key.namespace.clone(), key.name.clone());
        driver.handle(Message::Object(Change::Applied(name, Arc::new(edited))));
        assert_eq!(refusal(&mut driver, &mut inbox, &key).await, unknown);
        assert!(driver.objects[&key].held.as_ref().is_some_and(|why| why.contains("no scaler found for type: nope")));
        driver.lead(true);
        assert!(driver.engine.knows(&key), "it is led from where it was");
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_that_is_paused_no_more_keeps_its_hpa() {
        let busy = json!({ "kind": "Status", "code": 500, "reason": "InternalError", "message": "busy" });
        let (mut driver, key, _inbox, mut requests) = leader(move |_| Some(busy.clone()), &scaled_object(&Value::Null));
        driver.suspend(&key);
        tokio::time::sleep(RETRY * 3).await;
        let asked = requests.so_far();
        let hpa = "DELETE /apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/keda-hpa-web";
        assert!(asked.len() > 1 && asked.iter().all(|request| request == hpa), "{asked:?}");
        driver.resume(&key);
        tokio::time::sleep(RETRY * 3).await;
        assert_eq!(requests.so_far(), Vec::<String>::new());
    }
}
