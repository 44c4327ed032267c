//! What the driver keeps of one ScaledObject.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use keda_core::api::{ObjectMeta, ScaledObject};
use keda_core::engine::rules::annotation;
use keda_core::engine::{Definition, ObjectKey, Severity, Status};
use keda_scalers::plan::{self, Plan};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::driver::Question;
use super::reconcile::{FINALIZER, Target};
use super::status::Facts;
use crate::cluster::events::{About, Event};
use crate::exposition::{Metrics, ObjectSeries};

/// The first pause after a failed reconciliation; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1000);
/// The longest pause of a status that could not be written: it may be the API server that was away.
const LONGEST_WRITE_PAUSE: Duration = Duration::from_secs(60);
/// So many failures make a pause of some seconds.
const UNHURRIED: u32 = 10;

/// How long the first status of an object waits for the HPAs of others.
const PATIENCE: Duration = Duration::from_secs(10);

/// Annotations whose change takes effect at once.
const STEERING: [&str; 5] = [
    annotation::PAUSED,
    annotation::PAUSED_REPLICAS,
    annotation::PAUSED_SCALE_IN,
    annotation::PAUSED_SCALE_OUT,
    annotation::FORCE_ACTIVATION,
];

/// All ScaledObjects. Boxed, as a tree has room for more than it holds.
pub(super) type Objects = BTreeMap<ObjectKey, Box<Managed>>;

/// A ScaledObject and all that is under way for it.
#[derive(Debug)]
pub(super) struct Managed {
    pub(super) object: Arc<ScaledObject>,
    pub(super) work: Work,
    pub(super) target: Option<Target>,
    /// What is done about it; none while it cannot be used.
    pub(super) plan: Option<Arc<Plan>>,
    /// Whether it was changed since that was planned; only with a follower, who plans anew when somebody asks.
    pub(super) is_outdated: bool,
    /// Why nothing is decided about it, although what was planned before goes on.
    pub(super) held: Option<String>,
    /// Why it cannot be used.
    pub(super) rejected: Option<String>,
    pub(super) facts: Facts,
    /// What the engine says of it.
    pub(super) status: Option<Arc<Status>>,
    /// Whether its status is being written.
    pub(super) writing: bool,
    /// Whether it waits for its turn to have its status written.
    pub(super) waits_to_write: bool,
    /// When its status may be written at the earliest: a new object is mostly read within a moment, which then is one
    /// write and not two; and what could not be written waits longer each time.
    pub(super) write_after: Option<Instant>,
    /// Writes of its status in a row that failed.
    write_failures: u32,
    /// The change of its status that was sent last, as a number, while something is left to be said.
    pub(super) sent: Option<u64>,
    /// Since when it is known here.
    since: Instant,
    /// Whether its sources are read.
    pub(super) subscribed: bool,
    /// Its HPA is being taken away.
    pub(super) suspending: Option<Suspension>,
    /// Questions that came before there was a plan.
    pub(super) waiting: Vec<Question>,
    /// What is told of it; only by the leader.
    pub(super) series: Option<ObjectSeries>,
}

/// The reconciliations of an object: one at a time.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) queued: bool,
    pub(super) running: bool,
    /// It was changed while one was running.
    pub(super) again: bool,
    failures: u32,
    /// When to try again.
    pub(super) retry: Option<Instant>,
}

/// The HPA of a paused object on its way out. Who drops this stops it: an object that is paused no more keeps its HPA.
#[derive(Debug)]
pub(super) struct Suspension {
    /// Observations that wait until the HPA is gone.
    pub(super) waiting: Vec<u64>,
    task: AbortHandle,
}

impl Suspension {
    pub(super) fn new(task: AbortHandle) -> Self {
        Suspension { waiting: Vec::new(), task }
    }

    /// Ends it, and gives what waited for it.
    pub(super) fn end(mut self) -> Vec<u64> {
        std::mem::take(&mut self.waiting)
    }
}

impl Drop for Suspension {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The pause after so many failures, one more included; counts the failure.
fn pause_after(failures: &mut u32) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1u32.checked_shl(*failures).unwrap_or(u32::MAX)).min(LONGEST_PAUSE);
    *failures = failures.saturating_add(1).min(20);
    pause
}

impl Work {
    /// Plans another attempt, later each time.
    pub(super) fn failed(&mut self) -> Instant {
        *self.retry.insert(Instant::now() + pause_after(&mut self.failures))
    }

    /// Plans another attempt at something that goes on without it. Each may take its time, and others wait meanwhile.
    pub(super) fn unfinished(&mut self) -> Instant {
        self.failures = self.failures.max(UNHURRIED);
        self.failed()
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.retry = None;
    }
}

impl Managed {
    pub(super) fn new(object: Arc<ScaledObject>) -> Self {
        Managed {
            object,
            work: Work::default(),
            target: None,
            plan: None,
            is_outdated: false,
            held: None,
            rejected: None,
            facts: Facts::default(),
            status: None,
            writing: false,
            waits_to_write: false,
            write_after: None,
            write_failures: 0,
            sent: None,
            since: Instant::now(),
            subscribed: false,
            suspending: None,
            waiting: Vec::new(),
            series: None,
        }
    }

    /// Whether its first status may wait a little longer for the HPAs of others.
    pub(super) fn is_patient(&self) -> bool {
        self.since.elapsed() < PATIENCE
    }

    /// Its status could not be written; it may be after some time, longer after each failure.
    pub(super) fn write_failed(&mut self) -> Instant {
        self.sent = None;
        let pause = pause_after(&mut self.write_failures).min(LONGEST_WRITE_PAUSE);
        *self.write_after.insert(Instant::now() + pause)
    }

    pub(super) fn write_succeeded(&mut self) {
        self.write_failures = 0;
    }

    /// Name of the HPA that served it last, as far as it is known: the status may not say it yet.
    pub(super) fn last_hpa_name(&self) -> Option<&str> {
        let written = self.object.status.as_ref().and_then(|status| status.hpa_name.as_deref());
        self.facts.hpa_name.as_deref().or(written).filter(|name| !name.is_empty())
    }

    /// Whether the object is to go, and waits for us.
    pub(super) fn is_leaving(&self) -> bool {
        let metadata = &self.object.metadata;
        metadata.deletion_timestamp.is_some()
    }

    /// Whether it holds our finalizer.
    pub(super) fn is_held(&self) -> bool {
        self.object.metadata.finalizers.iter().any(|known| known == FINALIZER)
    }

    /// Takes the object as it is now. Says whether that asks for a reconciliation (`behaviour.md` §1.1); nothing when
    /// the news is older than what is known.
    pub(super) fn update(&mut self, mut object: Arc<ScaledObject>) -> bool {
        if is_older(&object.metadata, &self.object.metadata) {
            return false;
        }
        let (old, new) = (&self.object.metadata, &object.metadata);
        let steers = |name: &&str| old.annotation(name) != new.annotation(name);
        let is_another = old.uid != new.uid;
        let changed = is_another
            || old.generation != new.generation
            || old.deletion_timestamp.is_some() != new.deletion_timestamp.is_some()
            || STEERING.iter().any(steers);
        if is_another {
            // What was found out about one says nothing of the next one with its name.
            self.facts = Facts::default();
            self.sent = None;
        }
        if object.spec == self.object.spec {
            // One copy of it does.
            Arc::make_mut(&mut object).spec = Arc::clone(&self.object.spec);
        }
        self.object = object;
        changed
    }

    /// Tells of it anew after a reconciliation; what is done about it is known unless that failed.
    pub(super) fn tell(&mut self, metrics: &Metrics, definition: Option<&Definition>) {
        let series = self.series.get_or_insert_with(|| metrics.object(&plan::key(&self.object)));
        series.register(self.object.spec.triggers.iter().map(|trigger| trigger.r#type.as_str()));
        if let Some(definition) = definition {
            series.reconciled(definition);
        }
    }

    /// An event about the object. The action is the reason, or the text where KEDA has it so.
    pub(super) fn event(&self, severity: Severity, reason: &'static str, note: String) -> Event {
        let action = match reason {
            "ScaledObjectReady"
            | "ScaledObjectCheckFailed"
            | "ScaledObjectUpdateFailed"
            | "ScaledObjectDeleted"
            | "ScaledObjectPaused"
            | "ScaledObjectUnpaused" => note.clone(),
            "KEDAScalersStarted" if note.ends_with("watch") => "ScalersWatchStarted".to_string(),
            _ => reason.to_string(),
        };
        let metadata = &self.object.metadata;
        let about = About {
            api_version: "keda.sh/v1alpha1",
            kind: "ScaledObject",
            namespace: metadata.namespace().to_string(),
            name: metadata.name.clone(),
            uid: metadata.uid.clone().unwrap_or_default(),
        };
        Event { about, severity, reason, action, note }
    }
}

/// Whether an object comes from before another: versions are numbers that grow. Any text is taken for new.
pub(super) fn is_older(object: &ObjectMeta, known: &ObjectMeta) -> bool {
    let version = |object: &ObjectMeta| object.resource_version.as_deref()?.parse::<u64>().ok();
    matches!((version(object), version(known)), (Some(object), Some(known)) if object < known)
}

#[cfg(test)]
mod tests {
    use keda_core::api::ScaledObjectStatus;

    use super::*;

    fn object(version: &str, generation: i64, annotations: &[(&str, &str)]) -> Arc<ScaledObject> {
        let annotations = annotations.iter().map(|(key, value)| ((*key).to_string(), (*value).to_string()));
        let metadata = ObjectMeta {
            resource_version: Some(version.into()),
            generation: Some(generation),
            annotations: annotations.collect(),
            ..ObjectMeta::default()
        };
        Arc::new(ScaledObject { metadata, ..ScaledObject::default() })
    }

    #[test]
    fn a_change_of_the_specification_or_of_a_steering_annotation_counts() {
        let mut managed = Managed::new(object("5", 1, &[]));
        assert!(!managed.update(object("6", 1, &[("note", "x")])));
        assert!(managed.update(object("7", 1, &[(annotation::PAUSED, "true")])));
        assert!(managed.update(object("8", 2, &[(annotation::PAUSED, "true")])));
        assert!(!managed.update(object("7", 3, &[])), "late news is none");
        assert_eq!(managed.object.metadata.generation, Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_a_limit() {
        let mut work = Work::default();
        let mut last = Duration::ZERO;
        for _ in 0..30 {
            work.failed();
            last = work.retry.unwrap() - Instant::now();
        }
        assert_eq!(last, LONGEST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn what_goes_on_without_it_is_tried_again_without_hurry() {
        let mut work = Work::default();
        let pauses = [(); 2].map(|()| (work.unfinished() - Instant::now()).as_secs());
        assert_eq!(pauses, [5, 10]);
        work.succeeded();
        assert_eq!(work.failed() - Instant::now(), FIRST_PAUSE);
    }

    #[test]
    fn what_was_found_out_goes_with_its_object() {
        let named = |version: &str, uid: &str| {
            let metadata =
                ObjectMeta { uid: Some(uid.into()), resource_version: Some(version.into()), ..ObjectMeta::default() };
            Arc::new(ScaledObject { metadata, ..ScaledObject::default() })
        };
        let mut managed = Managed::new(named("5", "one"));
        managed.facts.original_replicas = Some(3);
        managed.sent = Some(7);
        assert!(!managed.update(named("6", "one")));
        assert_eq!((managed.facts.original_replicas, managed.sent), (Some(3), Some(7)));
        assert!(managed.update(named("7", "other")));
        assert_eq!((managed.facts.original_replicas, managed.sent), (None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_status_that_cannot_be_written_waits_longer_each_time_whatever_becomes_of_reconciliations() {
        let mut managed = Managed::new(object("5", 1, &[]));
        for expected in [5, 10, 20] {
            managed.work.succeeded();
            let pause = managed.write_failed() - Instant::now();
            assert_eq!(pause, Duration::from_millis(expected));
        }
        for _ in 0..30 {
            managed.write_failed();
        }
        assert_eq!(managed.write_failed() - Instant::now(), LONGEST_WRITE_PAUSE);
        managed.write_succeeded();
        assert_eq!(managed.write_failed() - Instant::now(), FIRST_PAUSE);
    }

    #[test]
    fn the_hpa_that_was_made_last_counts_before_the_status_says_so() {
        let mut managed = Managed::new(object("5", 1, &[]));
        assert_eq!(managed.last_hpa_name(), None);
        let status = ScaledObjectStatus { hpa_name: Some("old".into()), ..ScaledObjectStatus::default() };
        Arc::make_mut(&mut managed.object).status = Some(status);
        assert_eq!(managed.last_hpa_name(), Some("old"));
        managed.facts.hpa_name = Some("new".into());
        assert_eq!(managed.last_hpa_name(), Some("new"));
    }
}
