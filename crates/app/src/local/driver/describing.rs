//! Triggers whose source alone knows their metrics: it is asked until it answers, and its answer completes the plan.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use keda_core::engine::ObjectKey;
use keda_core::metric::MetricSpec;
use keda_core::sample::{Reading, SourceError};
use keda_scalers::client::Sources;
use keda_scalers::plan::{self, Descriptions, Plan, SharedReferences};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::super::managed::Managed;
use super::super::output::{Level, News};
use super::Driver;

/// How long to wait before a source is asked again, at first and at the most.
const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(60);

/// What a source answered.
#[derive(Debug)]
pub(crate) struct Description {
    object: ObjectKey,
    trigger: usize,
    fingerprint: u128,
    result: Result<Vec<MetricSpec>, SourceError>,
}

/// Asks sources for the metrics of their triggers, and remembers what they answered.
#[derive(Debug)]
pub(crate) struct Describer {
    sender: mpsc::UnboundedSender<Description>,
    receiver: mpsc::UnboundedReceiver<Description>,
    /// What is being asked, by object.
    asking: HashMap<ObjectKey, JoinSet<()>>,
    /// What is being asked once more, by object and trigger.
    again: HashMap<(ObjectKey, usize), AbortHandle>,
    /// By object and trigger: the answer, and to what.
    known: HashMap<ObjectKey, BTreeMap<usize, (u128, Vec<MetricSpec>)>>,
}

impl Describer {
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Describer { sender, receiver, asking: HashMap::new(), again: HashMap::new(), known: HashMap::new() }
    }

    /// The next answer.
    pub(crate) async fn next(&mut self) -> Option<Description> {
        self.receiver.recv().await
    }

    /// Asks what a plan does not know after a pause, and nothing else for its object any more.
    fn ask(&mut self, plan: &Plan, references: &SharedReferences, sources: &Arc<Sources>, mut pause: Duration) {
        let object = &plan.definition.key;
        self.asking.remove(object);
        let mut tasks = JoinSet::new();
        for &trigger in &plan.undescribed {
            let Some(definition) = plan.definition.triggers.get(trigger) else { continue };
            let (fingerprint, object, sender) = (definition.fingerprint, object.clone(), self.sender.clone());
            let (scaled, references, sources) = (Arc::clone(&plan.object), Arc::clone(references), Arc::clone(sources));
            tasks.spawn(async move {
                loop {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).clamp(FIRST, LONGEST);
                    let result = plan::describe(&scaled, trigger, &references, &sources).await;
                    let done = result.is_ok();
                    let description = Description { object: object.clone(), trigger, fingerprint, result };
                    if sender.send(description).is_err() || done {
                        return;
                    }
                }
            });
        }
        if !tasks.is_empty() {
            self.asking.insert(object.clone(), tasks);
        }
    }

    /// Asks a source once, unless that is being done, although it may have answered before.
    fn ask_again(&mut self, plan: &Plan, trigger: usize, references: &SharedReferences, sources: &Arc<Sources>) {
        let Some(definition) = plan.definition.triggers.get(trigger) else { return };
        let place = (plan.definition.key.clone(), trigger);
        if self.again.get(&place).is_some_and(|task| !task.is_finished()) {
            return;
        }
        let (fingerprint, object, sender) = (definition.fingerprint, place.0.clone(), self.sender.clone());
        let (scaled, references, sources) = (Arc::clone(&plan.object), Arc::clone(references), Arc::clone(sources));
        let task = tokio::spawn(async move {
            let result = plan::describe(&scaled, trigger, &references, &sources).await;
            // Nobody listens any more at the end.
            let _ = sender.send(Description { object, trigger, fingerprint, result });
        });
        self.again.insert(place, task.abort_handle());
    }

    /// What is known of a plan's triggers, where they still ask the same.
    fn known(&mut self, plan: &Plan) -> Descriptions {
        let Some(known) = self.known.get_mut(&plan.definition.key) else { return Descriptions::new() };
        known.retain(|trigger, (fingerprint, _)| {
            let now = plan.definition.triggers.get(*trigger);
            plan.described_by_source.contains(trigger) && now.is_some_and(|now| now.fingerprint == *fingerprint)
        });
        known.iter().map(|(trigger, (_, specs))| (*trigger, specs.clone())).collect()
    }

    pub(super) fn forget(&mut self, object: &ObjectKey) {
        self.asking.remove(object);
        self.known.remove(object);
        for (_, task) in self.again.extract_if(|(known, _), _| known == object) {
            task.abort();
        }
    }
}

impl Driver {
    /// The plan with what sources said about their metrics; the others are asked.
    pub(super) fn complete(&mut self, plan: Plan) -> Plan {
        let key = plan.definition.key.clone();
        let known = self.describer.known(&plan);
        let mut pause = Duration::ZERO;
        let plan = match known.is_empty() {
            true => plan,
            false => match plan::plan(&plan.object, &*self.references, &known) {
                (Some(complete), _) => complete,
                (None, problems) => {
                    let message = "the metrics that its sources give cannot be used";
                    let news = News::new(Level::Error, "scaledobject", message).with("object", key.to_string());
                    let reason = problems.first().map(|problem| problem.message.clone()).unwrap_or_default();
                    self.output.tell(&news.with("reason", reason));
                    self.describer.forget(&key);
                    pause = LONGEST;
                    plan
                }
            },
        };
        let references: SharedReferences = self.references.clone();
        self.describer.ask(&plan, &references, &self.sources, pause);
        plan
    }

    /// A source was asked for its metrics.
    pub(crate) fn described(&mut self, description: Description) {
        let Description { object, trigger, fingerprint, result } = description;
        match result {
            Ok(specs) => self.learn(object, trigger, fingerprint, specs),
            Err(error) => self.tell_of_failure(&object, trigger, Some(&error)),
        }
    }

    /// A source was read. Where it has other metrics than it said, it is asked for them.
    pub(super) fn look_at_metrics(&mut self, object: &ObjectKey, trigger: usize, fingerprint: u128, reading: &Reading) {
        let Some(Managed { plan, .. }) = self.objects.get(object) else { return };
        let definition = plan.definition.triggers.get(trigger);
        if definition.is_some_and(|known| known.fingerprint == fingerprint && known.is_behind(trigger, reading)) {
            let references: SharedReferences = self.references.clone();
            self.describer.ask_again(plan, trigger, &references, &self.sources);
        }
    }

    /// A source said which metrics it has.
    pub(super) fn learn(&mut self, object: ObjectKey, trigger: usize, fingerprint: u128, specs: Vec<MetricSpec>) {
        let Some(managed) = self.objects.get(&object) else { return };
        let plan = managed.plan.clone();
        let asked = plan.definition.triggers.get(trigger).map(|trigger| trigger.fingerprint);
        let known = self.describer.known.entry(object).or_default();
        let answer = Some((fingerprint, specs));
        if asked != Some(fingerprint) || known.get(&trigger) == answer.as_ref() {
            return;
        }
        known.extend(answer.map(|answer| (trigger, answer)));
        self.add(plan, None);
        self.pump();
    }
}
