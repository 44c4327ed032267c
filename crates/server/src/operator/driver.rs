//! The loop of the operator: one task owns the engine and all objects. What happens comes in as messages; what takes
//! time is done by tasks that answer with messages.
//!
//! As a follower it only answers questions: objects are planned when somebody asks for them, sources are read then, and
//! nothing is written. When the leadership changes the engine begins anew, from what the objects' statuses say.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use keda_core::api::ScaledObject;
use keda_core::engine::{Engine, Input, Now, ObjectKey, Observation};
use keda_core::quantity::Quantity;
use keda_scalers::plan::Plan;
use keda_scalers::sampler::{Pushed, Report, Sampled, Sampler};
use keda_scalers::trigger::Push;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::authentications::AuthenticationBook;
use super::hpa::{Known, KnownHpa};
use super::managed::{Managed, Objects};
use super::reconcile::{self, Outcome, Target, Tools};
use super::status::{Facts, restore};
use super::workloads::Workloads;
use crate::cluster::ApiError;
use crate::cluster::events::Events;
use crate::cluster::watch::{Change, Name};

/// Watches of TriggerAuthentications, ClusterTriggerAuthentications and HPAs.
const AWAITED: usize = 3;
/// Time after which the driver goes on without them: it may not be allowed to watch some of them.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// What the driver is told.
pub(crate) enum Message {
    /// Of ScaledObjects.
    Object(Change<Arc<ScaledObject>>),
    /// Of HorizontalPodAutoscalers.
    Hpa(Change<Box<KnownHpa>>),
    /// Of TriggerAuthentications and ClusterTriggerAuthentications.
    Authentication(super::authentications::News),
    /// Of Deployments and StatefulSets: the plural name, and their replicas.
    Workload(String, Change<i32>),
    /// A reconciliation ended.
    Reconciled(ObjectKey, Box<Outcome>, Facts),
    /// An object was put right before it goes, and let go.
    Finalized(ObjectKey, Result<(), ApiError>),
    /// The target of an object was read.
    Observed(u64, ObjectKey, Observation),
    /// A target was scaled for an object to so many replicas, or was not: how many are wanted now.
    Scaled(u64, ObjectKey, Target, i32, Result<i32, ApiError>),
    /// The HPA of a paused object is gone, or will not go.
    HpaDeleted(ObjectKey, Result<(), ApiError>),
    /// The status of an object was written: the object as it is now.
    StatusWritten(ObjectKey, Box<Result<ScaledObject, ApiError>>),
    /// Somebody wants to know a metric.
    Question(Question),
}

/// A question for a metric of an object.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) object: ObjectKey,
    pub(crate) metric: String,
    pub(crate) answer: oneshot::Sender<Result<(String, Quantity), String>>,
}

/// Everything that the operator looks after.
pub(crate) struct Driver {
    pub(super) engine: Engine,
    pub(super) sampler: Sampler,
    pub(super) tools: Arc<Tools>,
    pub(super) events: Events,
    pub(super) messages: mpsc::UnboundedSender<Message>,
    pub(super) objects: Objects,
    pub(super) hpas: HashMap<Name, Box<KnownHpa>>,
    pub(super) workloads: Workloads,
    pub(super) authentications: AuthenticationBook,
    pub(super) leading: bool,
    /// Watches that must be complete before anything is reconciled: what objects refer to, and their HPAs.
    awaited: usize,
    queue: VecDeque<ObjectKey>,
    /// When which object is to be looked at again; an entry may be out of date.
    pub(super) timers: BTreeSet<(Instant, ObjectKey)>,
    running: usize,
    pub(super) limit: usize,
    /// Objects whose status waits to be written, and how many are being written: at most `limit`.
    pub(super) unwritten: VecDeque<ObjectKey>,
    pub(super) writing: usize,
    pub(super) questions: HashMap<u64, Question>,
    /// Questions about objects that are not known yet; `None` once all that are there are known.
    early: Option<Vec<Question>>,
    next_question: u64,
    epoch: Instant,
}

impl Driver {
    pub(crate) fn new(
        tools: Arc<Tools>,
        sampler: Sampler,
        events: Events,
        workloads: Workloads,
        messages: mpsc::UnboundedSender<Message>,
        limit: usize,
    ) -> Self {
        Driver {
            engine: Engine::new(),
            sampler,
            authentications: AuthenticationBook::new(
                tools.cluster.clone(),
                tools.metrics.clone(),
                events.clone(),
                Arc::clone(&tools.lookups.authentications),
                messages.clone(),
            ),
            tools,
            events,
            messages,
            objects: Objects::new(),
            hpas: HashMap::new(),
            workloads,
            leading: false,
            awaited: AWAITED,
            queue: VecDeque::new(),
            timers: BTreeSet::new(),
            running: 0,
            limit,
            unwritten: VecDeque::new(),
            writing: 0,
            questions: HashMap::new(),
            early: Some(Vec::new()),
            next_question: 0,
            epoch: Instant::now(),
        }
    }

    pub(super) fn now(&self) -> Now {
        Now { wall: keda_scalers::sampler::wall_clock(), monotonic: self.epoch.elapsed() }
    }

    /// Takes in what happened.
    pub(crate) fn handle(&mut self, message: Message) {
        match message {
            Message::Object(Change::Applied(name, object)) => self.applied(&key_of(name), object),
            Message::Object(Change::Deleted(name)) => self.deleted(&key_of(name)),
            Message::Hpa(Change::Applied(name, hpa)) => self.hpa_applied(name, hpa),
            Message::Hpa(Change::Deleted(name)) => self.hpa_deleted(&name),
            Message::Authentication(super::authentications::News::Changed(Change::Synced))
            | Message::Hpa(Change::Synced) => self.complete(1),
            Message::Authentication(news) => self.authentications.handle(news),
            Message::Workload(plural, Change::Applied(name, replicas)) => {
                self.workload_applied(&plural, &name, replicas);
            }
            Message::Workload(plural, Change::Deleted(name)) => self.workloads.deleted(&plural, &name),
            Message::Workload(plural, Change::Synced) => self.workloads.synced(&plural),
            Message::Object(Change::Synced) => self.ask_early(),
            Message::Reconciled(key, outcome, facts) => self.reconciled(&key, *outcome, facts),
            Message::Finalized(key, result) => self.finalized(&key, result),
            Message::Observed(id, key, observation) => self.observed(id, &key, observation),
            Message::Scaled(id, key, target, to, result) => self.scaled(id, &key, &target, to, result),
            Message::HpaDeleted(key, result) => self.suspended(&key, result),
            Message::StatusWritten(key, result) => {
                self.status_written(&key, *result);
                self.write_next();
            }
            Message::Question(question) => self.asked(question),
        }
        self.pump();
    }

    /// A source was read, or spoke up by itself.
    pub(crate) fn reported(&mut self, report: Report) {
        let input = match report {
            Report::Sampled(sampled) => {
                self.tell(&sampled);
                if self.has_other_metrics(&sampled) {
                    self.enqueue(&sampled.subscriber.0);
                }
                let Sampled { subscriber: (object, trigger), fingerprint, result, .. } = sampled;
                Input::Sampled { object, trigger, fingerprint, result }
            }
            Report::Pushed(Pushed { subscriber: (object, trigger), fingerprint, push: Push::Active(true) }) => {
                Input::Pushed { object, trigger, fingerprint }
            }
            // Its metrics are asked for again when the object is planned anew.
            Report::Pushed(Pushed { subscriber: (object, _), push: Push::Specs(_), .. }) => {
                if self.leading {
                    self.enqueue(&object);
                }
                return;
            }
            Report::Pushed(_) => return,
        };
        self.engine.handle(self.now(), input);
        self.pump();
    }

    /// Whether a source that alone knows its metrics has others than it said, or answers and has not said them yet: what
    /// stands in for them may have other targets.
    fn has_other_metrics(&self, sampled: &Sampled) -> bool {
        let (object, trigger) = &sampled.subscriber;
        let Some(plan) = self.objects.get(object).and_then(|managed| managed.plan.as_ref()) else { return false };
        let (Some(definition), Ok(reading)) = (plan.definition.triggers.get(*trigger), &sampled.result) else {
            return false;
        };
        let is_behind = plan.undescribed.contains(trigger) || definition.is_behind(*trigger, reading);
        is_behind && definition.fingerprint == sampled.fingerprint
    }

    /// Tells of a reading, unless it answers what is asked no more.
    fn tell(&mut self, sampled: &Sampled) {
        let (object, trigger) = &sampled.subscriber;
        let Some(managed) = self.objects.get_mut(object) else { return };
        let (Some(series), Some(plan)) = (&mut managed.series, &managed.plan) else { return };
        let definition = plan.definition.triggers.get(*trigger);
        if let Some(definition) = definition.filter(|definition| definition.fingerprint == sampled.fingerprint) {
            series.sampled(definition, sampled);
        }
    }

    /// This replica leads from now on, or no longer does.
    pub(crate) fn lead(&mut self, leading: bool) {
        if std::mem::replace(&mut self.leading, leading) == leading {
            return;
        }
        self.engine = self.engine.anew();
        let now = self.now();
        // Statuses that still wait to be written are those of another time.
        self.unwritten.clear();
        for (key, managed) in &mut self.objects {
            managed.writing = false;
            managed.waits_to_write = false;
            self.sampler.unsubscribe(key);
            managed.subscribed = false;
            managed.suspending = None;
            managed.sent = None;
            managed.status = None;
            managed.series = None;
            // Another leader may have found out something else since.
            managed.facts = Facts::default();
            managed.work.succeeded();
            if std::mem::take(&mut managed.is_outdated) {
                // Good enough to answer by, but not to decide by.
                managed.plan = None;
                managed.held = None;
            }
            if let Some(plan) = &managed.plan {
                let mut definition = plan.definition.clone();
                definition.restored = restore(&managed.object.status.clone().unwrap_or_default(), now.wall);
                self.engine.handle(now, Input::Applied(Box::new(definition)));
                if let Some(why) = &managed.held {
                    self.engine.handle(now, Input::Held(key.clone(), why.clone()));
                }
            }
        }
        if leading {
            let keys: Vec<ObjectKey> = self.objects.keys().cloned().collect();
            for key in keys {
                self.enqueue(&key);
            }
        }
        self.authentications.lead(leading);
        let open: Vec<Question> = self.questions.drain().map(|(_, question)| question).collect();
        for question in open {
            self.asked(question);
        }
        self.pump();
    }

    /// When [`Driver::tick`] is due.
    pub(crate) fn deadline(&self) -> Instant {
        let engine = self.engine.poll_timeout().map(|(at, _)| self.epoch + at);
        let timer = self.timers.first().map(|(at, _)| *at);
        let far = Instant::now() + std::time::Duration::from_secs(60);
        let impatient = (self.awaited > 0 || self.early.is_some()).then(|| self.epoch + PATIENCE);
        [engine, timer, impatient].into_iter().flatten().min().unwrap_or(far)
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self) {
        let now = self.now();
        if self.engine.poll_timeout().is_some_and(|(at, _)| at <= now.monotonic) {
            self.engine.handle_timeout(now);
        }
        let instant = Instant::now();
        if self.awaited > 0 && instant >= self.epoch + PATIENCE {
            tracing::warn!("HPAs or TriggerAuthentications cannot be watched so far; going on without them");
            self.complete(AWAITED);
        }
        if self.early.is_some() && instant >= self.epoch + PATIENCE {
            self.ask_early();
        }
        let is_busy = self.is_busy();
        while let Some((at, key)) = self.timers.pop_first() {
            if at > instant {
                self.timers.insert((at, key));
                break;
            }
            let Some(managed) = self.objects.get_mut(&key) else { continue };
            if managed.write_after.take_if(|at| *at <= instant).is_some() {
                if is_busy && managed.is_patient() {
                    let later = instant + super::effects::GATHER;
                    managed.write_after = Some(later);
                    self.timers.insert((later, key.clone()));
                } else {
                    self.write_status(&key);
                }
            }
            let retry = self.objects.get(&key).and_then(|managed| managed.work.retry);
            if retry.is_some_and(|at| at <= instant) {
                self.enqueue(&key);
            }
        }
        self.pump();
    }

    fn applied(&mut self, key: &ObjectKey, object: Arc<ScaledObject>) {
        let wanted = match self.objects.get_mut(key) {
            Some(managed) => managed.update(object),
            None => {
                self.objects.insert(key.clone(), Box::new(Managed::new(object)));
                true
            }
        };
        if wanted && self.leading {
            self.enqueue(key);
        } else if wanted && let Some(managed) = self.objects.get_mut(key) {
            // A follower plans anew when somebody asks.
            managed.is_outdated = managed.plan.is_some();
            managed.rejected = None;
        }
    }

    fn deleted(&mut self, key: &ObjectKey) {
        let Some(managed) = self.objects.remove(key) else { return };
        self.leave(key, &managed);
        for question in managed.waiting {
            let _ = question.answer.send(Err(format!("ScaledObject {key} was deleted")));
        }
    }

    /// Stops whatever goes on for an object.
    pub(super) fn leave(&mut self, key: &ObjectKey, managed: &Managed) {
        self.sampler.unsubscribe(key);
        self.engine.handle(self.now(), Input::Deleted(key.clone()));
        if managed.subscribed && self.leading {
            let note = "Stopped scalers watch".to_string();
            self.events.publish(managed.event(keda_core::engine::Severity::Normal, "KEDAScalersStopped", note));
        }
        let theirs: Vec<u64> =
            self.questions.iter().filter(|(_, question)| question.object == *key).map(|(id, _)| *id).collect();
        for id in theirs {
            if let Some(question) = self.questions.remove(&id) {
                let _ = question.answer.send(Err(format!("ScaledObject {key} was deleted")));
            }
        }
    }

    fn hpa_applied(&mut self, name: Name, hpa: Box<KnownHpa>) {
        let key = hpa.owner(&name.0);
        let before = self.hpas.get(&name);
        // What the controller writes into the status is of no concern.
        let is_changed = before.is_some_and(|before| before.differs(&hpa));
        self.hpas.insert(name, hpa);
        if let Some(key) = key.filter(|_| is_changed && self.leading) {
            self.enqueue(&key);
        }
    }

    fn hpa_deleted(&mut self, name: &Name) {
        let Some(hpa) = self.hpas.remove(name) else { return };
        if let Some(key) = hpa.owner(&name.0).filter(|_| self.leading) {
            self.enqueue(&key);
        }
    }

    fn workload_applied(&mut self, plural: &str, name: &Name, replicas: i32) {
        let is_new = self.workloads.applied(plural, name.clone(), replicas);
        if !is_new || !self.leading {
            return;
        }
        // A target that was missing is there now.
        let waits = |managed: &Managed| {
            let reference = &managed.object.spec.scale_target_ref;
            managed.rejected.is_some()
                && reference.name == name.1
                && managed.object.metadata.namespace() == name.0
                && plural.starts_with(&reference.kind().to_lowercase())
        };
        let keys: Vec<ObjectKey> =
            self.objects.iter().filter(|(_, managed)| waits(managed)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.enqueue(&key);
        }
    }

    /// Looks at an object at that time, whatever is due by then.
    pub(super) fn wake(&mut self, at: Instant, key: &ObjectKey) {
        self.timers.insert((at, key.clone()));
    }

    /// Plans another reconciliation of an object, later after each failure.
    pub(super) fn retry(&mut self, key: &ObjectKey) {
        if let Some(managed) = self.objects.get_mut(key) {
            let at = managed.work.failed();
            self.wake(at, key);
        }
    }

    /// The same of an object that goes on without it.
    pub(super) fn retry_unhurried(&mut self, key: &ObjectKey) {
        if let Some(managed) = self.objects.get_mut(key) {
            let at = managed.work.unfinished();
            self.wake(at, key);
        }
    }

    /// Plans a reconciliation of an object.
    pub(super) fn enqueue(&mut self, key: &ObjectKey) {
        let Some(managed) = self.objects.get_mut(key) else { return };
        let work = &mut managed.work;
        work.retry = None;
        if work.running {
            work.again = true;
        } else if !std::mem::replace(&mut work.queued, true) {
            self.queue.push_back(key.clone());
        }
        self.start_queued();
    }

    /// So many more watches are complete.
    fn complete(&mut self, watches: usize) {
        self.awaited = self.awaited.saturating_sub(watches);
        self.start_queued();
    }

    fn start_queued(&mut self) {
        while self.awaited == 0
            && self.running < self.limit
            && let Some(key) = self.queue.pop_front()
        {
            let Some(managed) = self.objects.get_mut(&key) else { continue };
            managed.work.queued = false;
            managed.work.running = true;
            self.running += 1;
            if managed.is_leaving() {
                self.finalize(&key);
            } else {
                self.reconcile(&key);
            }
        }
        self.events.hold(self.is_busy());
    }

    /// Whether there are HPAs to be made, which matters more than to tell of those that are.
    fn is_busy(&self) -> bool {
        self.running > 0 || !self.queue.is_empty()
    }

    fn reconcile(&mut self, key: &ObjectKey) {
        let Some(managed) = self.objects.get(key) else { return };
        let name = (key.namespace.clone(), managed.object.hpa_name());
        let current = self.hpas.get(&name).map(|known| known.current.clone());
        let former = managed.last_hpa_name().map(str::to_string);
        let known = Known { current, former, running: managed.plan.clone() };
        let (tools, object) = (Arc::clone(&self.tools), Arc::clone(&managed.object));
        let (messages, key, writes) = (self.messages.clone(), key.clone(), self.leading);
        let now = self.now().wall;
        tokio::spawn(async move {
            let (outcome, facts) = reconcile::reconcile(&tools, object, known, writes, now).await;
            let _ = messages.send(Message::Reconciled(key, Box::new(outcome), facts));
        });
    }

    /// A task for an object has ended.
    pub(super) fn task_ended(&mut self, key: &ObjectKey) {
        self.running = self.running.saturating_sub(1);
        if let Some(managed) = self.objects.get_mut(key) {
            managed.work.running = false;
            if std::mem::take(&mut managed.work.again) {
                self.enqueue(key);
            }
        }
        self.start_queued();
    }

    fn asked(&mut self, question: Question) {
        let key = question.object.clone();
        let Some(managed) = self.objects.get_mut(&key) else {
            if let Some(early) = &mut self.early {
                early.retain(|question| !question.answer.is_closed());
                early.push(question);
                return;
            }
            let why = format!("error getting scalers ScaledObject.keda.sh {:?} not found", key.name);
            let _ = question.answer.send(Err(why));
            return;
        };
        if managed.plan.is_some() && !managed.is_outdated {
            self.next_question += 1;
            let id = self.next_question;
            let input = Input::Asked { object: key, metric: question.metric.clone(), question: id };
            self.questions.insert(id, question);
            self.engine.handle(self.now(), input);
        } else if let Some(why) = &managed.rejected {
            if let Some(series) = &managed.series {
                series.refused();
            }
            let _ = question.answer.send(Err(format!("error getting scalers {why}")));
        } else {
            managed.waiting.push(question);
            let begun = managed.work.running || managed.work.queued || managed.work.retry.is_some();
            if !begun {
                self.enqueue(&key);
            }
        }
    }

    /// Answers what was asked before all objects were known.
    fn ask_early(&mut self) {
        for question in self.early.take().into_iter().flatten() {
            self.asked(question);
        }
    }

    /// Asks the engine what was asked before there was a plan, or refuses it.
    pub(super) fn ask_waiting(&mut self, key: &ObjectKey) {
        let Some(managed) = self.objects.get_mut(key) else { return };
        let waiting = std::mem::take(&mut managed.waiting);
        // Who has given up is no longer there to be answered.
        for question in waiting.into_iter().filter(|question| !question.answer.is_closed()) {
            self.asked(question);
        }
    }

    /// Reads the sources of an object by its plan: on schedule as the leader, only when asked as a follower.
    pub(super) fn subscribe(&mut self, key: &ObjectKey, plan: &Plan) {
        let queries = plan.queries(&self.tools.references, &self.tools.sources);
        self.sampler.retain(key, queries.iter().map(|(trigger, _)| *trigger).collect());
        for (trigger, mut query) in queries {
            if !self.leading {
                query.interval = None;
            }
            self.sampler.subscribe((key.clone(), trigger), query);
        }
    }

    /// The target of an object.
    pub(super) fn target(&self, key: &ObjectKey) -> Option<Target> {
        self.objects.get(key)?.target.clone()
    }
}

fn key_of((namespace, name): Name) -> ObjectKey {
    ObjectKey { namespace, name }
}
