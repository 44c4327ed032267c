//! The loop of `keda up`: carries the engine's effects out on local processes, and plays the HPA controller.
//!
//! One task owns the engine. Readings of sources, exits of workers, questions on the socket and the clock come in; what
//! the engine and the HPAs decide goes to the [`Supervisor`].

mod describing;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use keda_core::engine::{Definition, Effect, Engine, Input, Now, ObjectKey, Observation, Severity};
use keda_core::hpa::ControllerSettings;
use keda_core::resolve::References;
use keda_core::sample::SourceError;
use keda_scalers::client::Sources;
use keda_scalers::plan::{Plan, SharedReferences};
use keda_scalers::sampler::{Pushed, Report, Sampled, Sampler};
use keda_scalers::trigger::Push;

use super::instance::{Answer, Question};
use super::managed::{Managed, Round, is_failure, signed};
use super::output::{Level, News, Output};
use super::process::{ProcessEvent, ProcessEventKind, Supervisor, WorkloadKey, WorkloadStatus};
use super::store::Store;
use super::workloads::Described;
use crate::clock;
use describing::Describer;

/// How often what changed is written down at the most.
const WRITE_EVERY: Duration = Duration::from_secs(5);

/// How the driver works.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// How often each HPA is due.
    pub(crate) hpa_interval: Duration,
    /// The HPA controller's own settings.
    pub(crate) controller: ControllerSettings,
    /// Whether the workers' lines are passed on.
    pub(crate) show_logs: bool,
}

/// Everything that `keda up` looks after.
pub(crate) struct Driver {
    engine: Engine,
    sampler: Sampler,
    supervisor: Supervisor,
    sources: Arc<Sources>,
    references: Arc<References>,
    pub(crate) describer: Describer,
    store: Store,
    objects: BTreeMap<ObjectKey, Managed>,
    /// The replicas that the manifests of the workloads gave when they were last applied.
    written: BTreeMap<WorkloadKey, Option<i32>>,
    /// The failures that were told of, by object and trigger, so that each is told once.
    failures: HashMap<(ObjectKey, usize), String>,
    /// Which object's HPA asked, for which of its metrics.
    questions: HashMap<u64, (ObjectKey, usize)>,
    next_question: u64,
    options: Options,
    started: (std::time::Instant, Duration),
    saved: Duration,
    pub(crate) output: Output,
}

impl Driver {
    pub(crate) fn new(
        sampler: Sampler,
        supervisor: Supervisor,
        sources: Arc<Sources>,
        references: Arc<References>,
        store: Store,
        options: Options,
        output: Output,
    ) -> Self {
        let epoch = Duration::try_from(clock::wall().duration_since(jiff::Timestamp::UNIX_EPOCH)).unwrap_or_default();
        Driver {
            engine: Engine::new(),
            sampler,
            supervisor,
            sources,
            references,
            describer: Describer::new(),
            store,
            objects: BTreeMap::new(),
            written: BTreeMap::new(),
            failures: HashMap::new(),
            questions: HashMap::new(),
            next_question: 0,
            options,
            started: (clock::monotonic(), epoch),
            saved: Duration::ZERO,
            output,
        }
    }

    /// The time on both clocks. The monotonic one counts from 1970 at this process's start, so that ages in what is
    /// remembered across restarts mean something, and goes on steadily from there.
    fn now(&self) -> Now {
        let (started, epoch) = self.started;
        Now { wall: clock::wall(), monotonic: epoch + started.elapsed() }
    }

    /// Makes plans and workloads the present ones; what is no longer there is let go.
    pub(crate) fn apply(
        &mut self,
        plans: Vec<Plan>,
        described: Vec<Described>,
        references: Arc<References>,
    ) -> anyhow::Result<()> {
        self.references = references;
        let scaled: BTreeMap<WorkloadKey, &Plan> =
            plans.iter().map(|plan| (workload_of(&plan.definition), plan)).collect();
        let mut containers = BTreeMap::new();
        for workload in described {
            let key = workload.workload.key.clone();
            containers.insert(key.clone(), workload.container.clone());
            let is_known = self.supervisor.status(&key).is_some();
            let before = self.written.insert(key.clone(), workload.replicas);
            self.supervisor.apply(workload.workload)?;
            let replicas = match scaled.get(&key) {
                Some(_) if is_known => None,
                Some(plan) => Some(workload.replicas.unwrap_or_else(|| plan.definition.rules.at_rest())),
                // As when a Deployment is applied to a cluster: replicas that are not given, or not changed, stay.
                None if before == Some(workload.replicas) => None,
                None => workload.replicas.or((!is_known).then_some(1)),
            };
            if let Some(replicas) = replicas {
                self.supervisor.scale(&key, replicas);
            }
        }
        for status in self.supervisor.statuses() {
            if !containers.contains_key(&status.key) && (status.desired > 0 || !status.replicas.is_empty()) {
                let news = News::new(Level::Info, "processes", "stopping: it is no longer in the manifests");
                self.output.tell(&news.with("object", status.key.to_string()));
                self.supervisor.remove(&status.key);
                self.written.remove(&status.key);
            }
        }
        let present: BTreeSet<&ObjectKey> = plans.iter().map(|plan| &plan.definition.key).collect();
        let gone: Vec<ObjectKey> = self.objects.keys().filter(|key| !present.contains(key)).cloned().collect();
        for key in gone {
            self.remove(&key);
        }
        for plan in plans {
            let container = containers.get(&workload_of(&plan.definition));
            self.add(plan, container);
        }
        self.pump();
        Ok(())
    }

    fn add(&mut self, plan: Plan, container: Option<&keda_core::api::Container>) {
        let mut plan = self.complete(plan);
        let now = self.now();
        let key = plan.definition.key.clone();
        let known = self.objects.remove(&key);
        self.questions.retain(|_, (object, _)| *object != key);
        let remembered = known.as_ref().map(Managed::remembered).or_else(|| self.store.read(&key));
        // Of another target, the replicas and what was thought of them mean nothing.
        let known = known.filter(|known| known.has_target_of(&plan));
        let remembered = remembered.map(|remembered| match known {
            Some(_) => remembered,
            None => remembered.for_target(&plan),
        });
        match &remembered {
            Some(remembered) => {
                plan.definition.created = remembered.created;
                plan.definition.restored = remembered.restored.clone();
            }
            None => plan.definition.created = now.wall,
        }
        let definition = plan.definition.clone();
        let mut managed = match known {
            Some(known) => Managed { plan, round: None, ..known },
            None => Managed::new(plan, workload_of(&definition), remembered),
        };
        if let Some(container) = container {
            managed.resources.of(container);
        }
        managed.due = managed.next_due(now.monotonic, self.options.hpa_interval);
        let waits = managed.plan.waits_for_description();
        self.objects.insert(key.clone(), managed);
        if waits {
            let message = "replicas are held until its source says which metrics there are";
            self.output.tell(&News::new(Level::Info, "scaledobject", message).with("object", key.to_string()));
            self.sampler.unsubscribe(&key);
            self.engine.handle(now, Input::Deleted(key));
        } else {
            self.engine.handle(now, Input::Applied(Box::new(definition)));
        }
    }

    fn remove(&mut self, key: &ObjectKey) {
        let Some(managed) = self.objects.remove(key) else { return };
        self.describer.forget(key);
        self.questions.retain(|_, (object, _)| object != key);
        self.sampler.unsubscribe(key);
        self.failures.retain(|(object, _), _| object != key);
        self.store.forget(key);
        self.engine.handle(self.now(), Input::Deleted(key.clone()));
        let restores = managed.plan.object.restores_original_replica_count();
        let original = self.written.get(&managed.workload).copied().flatten().unwrap_or(1);
        if restores {
            self.supervisor.scale(&managed.workload, original);
        }
        let what =
            if restores { format!("gets its {original} replicas back") } else { "keeps its replicas".to_string() };
        let news = News::new(Level::Info, "scaledobject", format!("no longer in the manifests; its workload {what}"));
        self.output.tell(&news.with("object", key.to_string()));
    }

    /// A source was read, or spoke up by itself.
    pub(crate) fn reported(&mut self, report: Report) {
        match report {
            Report::Sampled(sampled) => self.sampled(sampled),
            Report::Pushed(pushed) => self.pushed(pushed),
        }
    }

    /// Work is a reason to look at once.
    fn pushed(&mut self, pushed: Pushed) {
        let Pushed { subscriber, fingerprint, push } = pushed;
        match push {
            Push::Active(true) => self.sampler.read(subscriber),
            Push::Active(false) => {}
            Push::Specs(specs) => self.learn(subscriber.0, subscriber.1, fingerprint, specs),
        }
    }

    fn sampled(&mut self, sampled: Sampled) {
        let (key, trigger) = sampled.subscriber;
        self.tell_of_failure(&key, trigger, sampled.result.as_ref().err());
        if let Ok(reading) = &sampled.result {
            self.look_at_metrics(&key, trigger, sampled.fingerprint, reading);
        }
        let input = Input::Sampled { object: key, trigger, fingerprint: sampled.fingerprint, result: sampled.result };
        self.engine.handle(self.now(), input);
        self.pump();
    }

    /// Tells when a source begins to fail, fails otherwise than before, or answers again.
    fn tell_of_failure(&mut self, key: &ObjectKey, trigger: usize, error: Option<&SourceError>) {
        let place = (key.clone(), trigger);
        let before = self.failures.get(&place);
        let news = match error {
            Some(error) if before != Some(&error.message) => {
                let news = News::new(Level::Warning, "scalers", error.message.clone());
                let news = news.with("kind", error.kind.to_string());
                self.failures.insert(place, error.message.clone());
                news
            }
            None if before.is_some() => {
                self.failures.remove(&place);
                News::new(Level::Info, "scalers", "the source answers again")
            }
            _ => return,
        };
        self.output.tell(&news.with("object", key.to_string()).with("trigger", trigger));
    }

    /// A worker did something.
    pub(crate) fn processed(&mut self, event: &ProcessEvent) {
        if let ProcessEventKind::Log { line } = &event.kind {
            if self.options.show_logs {
                self.output.worker_line(&event.replica(), line);
            }
            return;
        }
        self.output.tell(&super::news::of_process(event));
    }

    /// When [`Driver::tick`] is due.
    pub(crate) fn deadline(&self) -> tokio::time::Instant {
        let hpa = self.objects.values().filter(|managed| !managed.suspended).map(|managed| managed.due).min();
        let engine = self.engine.poll_timeout().map(|(at, _)| at);
        let write = self.objects.values().any(|managed| managed.dirty).then(|| self.saved + WRITE_EVERY);
        let now = self.now().monotonic;
        let next = [hpa, engine, write].into_iter().flatten().min().unwrap_or(now + Duration::from_secs(60));
        tokio::time::Instant::now() + next.saturating_sub(now)
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self) {
        let now = self.now();
        if self.engine.poll_timeout().is_some_and(|(at, _)| at <= now.monotonic) {
            self.engine.handle_timeout(now);
        }
        let due: Vec<ObjectKey> = self
            .objects
            .iter()
            .filter(|(_, managed)| !managed.suspended && managed.due <= now.monotonic)
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            self.begin_round(now, &key);
        }
        self.pump();
        if now.monotonic.saturating_sub(self.saved) >= WRITE_EVERY {
            self.write();
        }
    }

    /// Writes down what changed.
    pub(crate) fn write(&mut self) {
        self.saved = self.now().monotonic;
        for (key, managed) in self.objects.iter_mut().filter(|(_, managed)| managed.dirty) {
            write_down(&self.store, key, managed);
        }
    }

    /// Writes a change of replicas down at once: what `keda explain` tells must survive a kill.
    fn write_change(&mut self, key: &ObjectKey) {
        if let Some(managed) = self.objects.get_mut(key) {
            write_down(&self.store, key, managed);
        }
    }

    /// The HPA of an object is due: it asks for all its metrics.
    fn begin_round(&mut self, now: Now, key: &ObjectKey) {
        let Some(managed) = self.objects.get_mut(key) else { return };
        managed.due = managed.next_due(now.monotonic, self.options.hpa_interval);
        let running = self.supervisor.status(&managed.workload).is_some_and(|workload| workload.desired > 0);
        let Some(hpa) = managed.plan.hpa.as_ref().filter(|_| managed.round.is_none() && running) else { return };
        let mut answers = vec![None; hpa.spec.metrics.len()];
        let metrics = managed.external_metrics();
        for (index, answer) in answers.iter_mut().enumerate() {
            // Resource metrics are not asked for: the HPA takes them from the pods.
            *answer = (!metrics.iter().any(|(external, _)| *external == index)).then(|| Ok(Vec::new()));
        }
        if answers.iter().any(Option::is_some) {
            managed.resources.measure(now.monotonic, self.supervisor.usage(&managed.workload));
        }
        managed.round = Some(Round { answers });
        if metrics.is_empty() {
            self.finish_round(key);
            return;
        }
        for (index, metric) in metrics {
            self.next_question += 1;
            self.questions.insert(self.next_question, (key.clone(), index));
            let input = Input::Asked { object: key.clone(), metric, question: self.next_question };
            self.engine.handle(now, input);
        }
    }

    fn answered(&mut self, question: u64, result: Result<(String, keda_core::quantity::Quantity), String>) {
        let Some((key, index)) = self.questions.remove(&question) else { return };
        let Some(round) = self.objects.get_mut(&key).and_then(|managed| managed.round.as_mut()) else { return };
        if let Some(answer) = round.answers.get_mut(index) {
            *answer = Some(result.map(|(_, value)| vec![value]));
        }
        if round.answers.iter().all(Option::is_some) {
            self.finish_round(&key);
        }
    }

    /// All metrics of an HPA are there: it decides.
    fn finish_round(&mut self, key: &ObjectKey) {
        let now = self.now();
        let Some(managed) = self.objects.get_mut(key) else { return };
        let Some(workload) = self.supervisor.status(&managed.workload) else {
            managed.round = None;
            return;
        };
        let before = managed.verdict.clone();
        let Some(decision) = managed.decide(now.monotonic, &self.options.controller, &workload) else { return };
        let reason = managed.verdict.clone().unwrap_or_default();
        match &decision.rescale {
            Some(rescale) => {
                managed.changed(now, rescale.from, rescale.to, &reason);
                self.supervisor.scale(&managed.workload, rescale.to);
                let news =
                    News::new(Level::Info, "horizontalpodautoscaler", format!("{} → {}", rescale.from, rescale.to));
                let news = news.with("object", key.to_string()).with("from", rescale.from).with("to", rescale.to);
                self.output.tell(&news.with("reason", reason));
                self.write_change(key);
            }
            None if is_failure(&decision.cause) && before.as_ref() != Some(&reason) => {
                let news = News::new(Level::Warning, "horizontalpodautoscaler", "replicas are held");
                self.output.tell(&news.with("object", key.to_string()).with("reason", reason));
            }
            None => {}
        }
    }

    /// Carries out what the engine wants.
    fn pump(&mut self) {
        while let Some(effect) = self.engine.poll_effect() {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        let now = self.now();
        match effect {
            Effect::Observe { id, object, .. } => {
                let workload = self.workload_status(&object);
                let observation = match workload {
                    Some(workload) => Observation {
                        replicas: Ok(signed(workload.desired)),
                        ready_pods: Some(signed(workload.ready)),
                        hpa: None,
                    },
                    None => Observation::unreadable("the target does not run here"),
                };
                self.engine.handle(now, Input::Observed { id, observation });
            }
            Effect::Sample { object, trigger } => self.sampler.read((object, trigger)),
            Effect::Scale { id, object, from, to, cause } => {
                if let Some(managed) = self.objects.get_mut(&object) {
                    self.supervisor.scale(&managed.workload, to);
                    managed.changed(now, from, to, &cause.to_string());
                }
                let news = News::new(Level::Info, "scaleexecutor", format!("{from} → {to}"));
                let news = news.with("object", object.to_string()).with("from", from).with("to", to);
                self.output.tell(&news.with("reason", cause.to_string()));
                self.write_change(&object);
                self.engine.handle(now, Input::Outcome { id, result: Ok(()) });
            }
            Effect::Suspend(object) => {
                self.sampler.unsubscribe(&object);
                if let Some(managed) = self.objects.get_mut(&object) {
                    managed.suspended = true;
                    managed.round = None;
                }
            }
            Effect::Resume(object) => self.resume(&object),
            Effect::Status { object, status } => {
                if let Some(managed) = self.objects.get_mut(&object) {
                    managed.status = status;
                    managed.dirty = true;
                }
            }
            Effect::Event { object, severity, reason, message } => {
                let level = if severity == Severity::Warning { Level::Warning } else { Level::Info };
                // Scaling is told with its reason where it is carried out, a failing source where it is read.
                if !reason.starts_with("KEDAScaleTarget") && reason != "KEDAScalerFailed" {
                    let news = News::new(level, "events", message).with("object", object.to_string());
                    self.output.tell(&news.with("event", reason));
                }
            }
            Effect::Answer { question, result } => self.answered(question, result),
        }
    }

    fn resume(&mut self, object: &ObjectKey) {
        let Some(managed) = self.objects.get_mut(object) else { return };
        managed.suspended = false;
        let references: SharedReferences = self.references.clone();
        let queries = managed.plan.queries(&references, &self.sources);
        let positions: Vec<usize> = queries.iter().map(|(trigger, _)| *trigger).collect();
        self.failures.retain(|(key, trigger), _| key != object || positions.contains(trigger));
        self.sampler.retain(object, positions);
        for (trigger, query) in queries {
            self.sampler.subscribe((object.clone(), trigger), query);
        }
    }

    fn workload_status(&self, object: &ObjectKey) -> Option<WorkloadStatus> {
        self.objects.get(object).and_then(|managed| self.supervisor.status(&managed.workload))
    }

    /// Answers a question on the local socket.
    pub(crate) fn answers(&self, question: &Question) -> Vec<Answer> {
        let now = self.now();
        let wanted = |key: &&ObjectKey| {
            question.namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace)
                && question.name.as_ref().is_none_or(|name| *name == key.name)
        };
        let keys = self.objects.keys().filter(wanted);
        keys.filter_map(|key| {
            let managed = self.objects.get(key)?;
            let view = self.engine.view(now, key)?;
            Some(managed.answer(now, view, self.workload_status(key).as_ref()))
        })
        .collect()
    }

    /// Draws the live table.
    pub(crate) fn draw(&mut self) {
        if !self.output.is_live() {
            return;
        }
        let now = self.now();
        let rows: Vec<_> = self
            .objects
            .iter()
            .filter_map(|(key, managed)| {
                let view = self.engine.view(now, key)?;
                Some(managed.row(&view, self.supervisor.status(&managed.workload).as_ref()))
            })
            .collect();
        self.output.draw(&rows);
    }

    /// Stops every worker within its grace period.
    pub(crate) async fn stop(&mut self) {
        self.write();
        self.supervisor.stop_all().await;
    }
}

fn write_down(store: &Store, key: &ObjectKey, managed: &mut Managed) {
    match store.write(key, &managed.remembered()) {
        Ok(()) => managed.dirty = false,
        Err(error) => tracing::warn!(object = %key, %error, "cannot write down the state of an object"),
    }
}

fn workload_of(definition: &Definition) -> WorkloadKey {
    WorkloadKey::new(definition.key.namespace.clone(), definition.target_name.clone())
}
