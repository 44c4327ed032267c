//! One ScaledObject under `keda up`: its plan, its part of the HPA controller, and what is told about it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use keda_core::duration::next_in_phase;
use keda_core::engine::{Now, Status, View};
use keda_core::hpa::{Autoscaler, Cause, ControllerSettings, Decision, MetricSpec, Observed, Pods, Scale};
use keda_core::names::stable_hash;
use keda_core::quantity::Quantity;
use keda_scalers::plan::Plan;
use serde_json::{Value, json};

use super::instance::{Answer, Change, Replicas};
use super::process::{WorkloadKey, WorkloadStatus};
use super::resources::Resources;
use super::store::Remembered;
use super::table::Row;

/// How many changes are remembered.
const REMEMBERED: usize = 10;

/// An object, its HPA, and what was decided last.
#[derive(Debug)]
pub(crate) struct Managed {
    pub(crate) plan: Plan,
    /// The workload that it scales.
    pub(crate) workload: WorkloadKey,
    /// The HPA's memory.
    pub(crate) autoscaler: Autoscaler,
    /// When the HPA is due; time as in [`Now::monotonic`].
    pub(crate) due: Duration,
    /// Metrics that are being read for the HPA.
    pub(crate) round: Option<Round>,
    /// Whether the object is paused, so that there is no HPA.
    pub(crate) suspended: bool,
    /// The engine's latest status.
    pub(crate) status: Arc<Status>,
    /// What the HPA decided last.
    pub(crate) verdict: Option<String>,
    /// The last changes of the replicas, latest first.
    pub(crate) changes: VecDeque<Change>,
    /// CPU and memory of the workers.
    pub(crate) resources: Resources,
    /// Whether there is something to write down.
    pub(crate) dirty: bool,
}

/// Answers to the questions of one round of the HPA, in the order of its metrics.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) answers: Vec<Option<Result<Vec<Quantity>, String>>>,
}

impl Managed {
    pub(crate) fn new(plan: Plan, workload: WorkloadKey, remembered: Option<Remembered>) -> Self {
        let namespace = plan.definition.key.namespace.clone();
        let (autoscaler, changes) = match remembered {
            Some(remembered) => (remembered.autoscaler, remembered.changes.into()),
            None => (Autoscaler::new(namespace), VecDeque::new()),
        };
        Managed {
            workload,
            autoscaler,
            changes,
            due: Duration::ZERO,
            round: None,
            suspended: false,
            status: Arc::default(),
            verdict: None,
            resources: Resources::default(),
            dirty: true,
            plan,
        }
    }

    /// Whether it scales what the plan scales.
    pub(crate) fn has_target_of(&self, plan: &Plan) -> bool {
        target_of(&self.plan) == target_of(plan)
    }

    /// The first moment after `now` at which this object's HPA is due: each has its own phase of the interval.
    pub(crate) fn next_due(&self, now: Duration, interval: Duration) -> Duration {
        next_in_phase(stable_hash(&self.plan.definition.key.to_string()).into(), interval, now)
    }

    /// The HPA's metrics; none as long as there is no HPA.
    fn metrics(&self) -> &[MetricSpec] {
        self.plan.hpa.as_ref().map_or(&[], |hpa| &hpa.spec.metrics)
    }

    /// The names of the HPA's external metrics, with their places in its spec.
    pub(crate) fn external_metrics(&self) -> Vec<(usize, String)> {
        let metrics = self.metrics().iter().enumerate();
        metrics
            .filter_map(|(index, metric)| match metric {
                MetricSpec::External(external) => Some((index, external.metric.name.clone())),
                _ => None,
            })
            .collect()
    }

    /// Lets the HPA decide, once all its metrics were read; `None` when there is no HPA.
    pub(crate) fn decide(
        &mut self,
        now: Duration,
        settings: &ControllerSettings,
        workload: &WorkloadStatus,
    ) -> Option<Decision> {
        let readings = self.round.take().map(|round| round.answers).unwrap_or_default();
        let readings = readings.into_iter().map(|answer| answer.unwrap_or_else(|| Ok(Vec::new()))).collect();
        let existing = workload.replicas.iter().filter(|replica| !replica.stopping).count();
        let observed = Observed {
            scale: Ok(Scale {
                spec_replicas: signed(workload.desired),
                status_replicas: i32::try_from(existing).unwrap_or(i32::MAX),
                has_selector: true,
            }),
            readings,
            pods: self.pods(now, workload, existing),
        };
        let spec = &self.plan.hpa.as_ref()?.spec;
        let decision = self.autoscaler.decide(now, settings, spec, &observed);
        let decision = self.autoscaler.settle(now, settings, spec, decision, Ok(()));
        self.dirty = true;
        let failed = observed.readings.iter().find_map(|reading| reading.as_ref().err());
        self.verdict = Some(match (&decision.cause, failed) {
            (Cause::Failed { .. }, Some(error)) => format!("no decision: {error}"),
            _ => decision.reason(spec),
        });
        Some(decision)
    }

    fn pods(&self, now: Duration, workload: &WorkloadStatus, existing: usize) -> Pods {
        let only_external = self.external_metrics().len() == self.metrics().len();
        if only_external {
            let ready = usize::try_from(workload.ready).unwrap_or(usize::MAX);
            return Pods::Counted { ready, not_ready: existing.saturating_sub(ready) };
        }
        Pods::Listed(self.resources.pods(now, workload))
    }

    /// Notes a change of the replicas.
    pub(crate) fn changed(&mut self, now: Now, from: i32, to: i32, reason: &str) {
        self.changes.push_front(Change { at: now.wall, from, to, reason: reason.to_string() });
        self.changes.truncate(REMEMBERED);
        self.dirty = true;
    }

    /// What is written down of it.
    pub(crate) fn remembered(&self) -> Remembered {
        let restored = keda_core::engine::Restored {
            status: None,
            last_active: self.status.last_active_time.or(self.plan.definition.restored.last_active),
            health: self.status.health.clone(),
        };
        Remembered {
            target: target_of(&self.plan),
            created: self.plan.definition.created,
            restored,
            autoscaler: self.autoscaler.clone(),
            changes: self.changes.iter().cloned().collect(),
        }
    }

    /// Its line in the live table.
    pub(crate) fn row(&self, view: &View, workload: Option<&WorkloadStatus>) -> Row {
        let triggers = view.readings.iter().map(|reading| match (&reading.value, &reading.error) {
            (Some(value), None) => format!("{value} / {}", reading.target),
            (Some(value), Some(_)) => format!("{value} (fallback) / {}", reading.target),
            (None, Some(_)) => format!("fails / {}", reading.target),
            (None, None) => format!("… / {}", reading.target),
        });
        let reason = self.changes.front().map(|change| format!("{}→{}: {}", change.from, change.to, change.reason));
        let verdict = view.verdict.as_ref().map(|verdict| verdict.reason.clone());
        Row {
            object: self.plan.definition.key.to_string(),
            triggers: triggers.collect(),
            ready: workload.map_or(0, |workload| workload.ready),
            wanted: workload.map_or(0, |workload| workload.desired),
            reason: reason.or(verdict).unwrap_or_else(|| "not read yet".to_string()),
        }
    }

    /// The answer to a question on the local socket.
    pub(crate) fn answer(&self, now: Now, view: View, workload: Option<&WorkloadStatus>) -> Answer {
        let replicas = workload.map_or(Replicas { running: 0, ready: 0, wanted: 0 }, |workload| Replicas {
            running: u32::try_from(workload.replicas.iter().filter(|replica| replica.pid.is_some()).count())
                .unwrap_or(u32::MAX),
            ready: workload.ready,
            wanted: workload.desired,
        });
        let created = self.plan.definition.created;
        Answer {
            object: self.object(),
            view,
            age_seconds: now.wall.duration_since(created).as_secs(),
            replicas,
            autoscaler: self.verdict.clone(),
            changes: self.changes.iter().cloned().collect(),
        }
    }

    /// The ScaledObject as it would stand in a cluster, with its status.
    fn object(&self) -> Value {
        let mut object = serde_json::to_value(&*self.plan.object).unwrap_or_default();
        let definition = &self.plan.definition;
        let mut types: Vec<&str> = Vec::new();
        for trigger in &definition.triggers {
            if !types.contains(&trigger.trigger_type.as_str()) {
                types.push(&trigger.trigger_type);
            }
        }
        let mut authentications: Vec<&str> = Vec::new();
        for trigger in &self.plan.object.spec.triggers {
            if let Some(reference) = &trigger.authentication_ref
                && !authentications.contains(&reference.name.as_str())
            {
                authentications.push(&reference.name);
            }
        }
        let external: Vec<&str> = definition
            .triggers
            .iter()
            .flat_map(|trigger| &trigger.metrics)
            .map(|metric| metric.name.as_str())
            .collect();
        let activity = self.status.triggers_activity.iter();
        let activity: serde_json::Map<String, Value> =
            activity.map(|(name, active)| (name.clone(), json!({ "isActive": active }))).collect();
        let mut status = serde_json::to_value(&*self.status).unwrap_or_default();
        status["triggersActivity"] = Value::Object(activity);
        status["scaleTargetKind"] = json!(definition.target_kind);
        status["hpaName"] = json!(self.plan.hpa.as_ref().map(|hpa| &hpa.metadata.name));
        status["externalMetricNames"] = json!(external);
        status["triggersTypes"] = json!(types.join(","));
        if !authentications.is_empty() {
            status["authenticationsTypes"] = json!(authentications.join(","));
        }
        if let Some(map) = status.as_object_mut() {
            map.retain(|_, value| !value.is_null());
        }
        object["apiVersion"] = json!("keda.sh/v1alpha1");
        object["kind"] = json!("ScaledObject");
        object["metadata"]["namespace"] = json!(definition.key.namespace);
        object["metadata"]["creationTimestamp"] = json!(definition.created);
        object["status"] = status;
        object
    }
}

/// What a plan scales, as a text.
pub(crate) fn target_of(plan: &Plan) -> String {
    format!("{} {}", plan.definition.target_kind, plan.definition.target_name)
}

/// A number of replicas as Kubernetes counts them.
pub(crate) fn signed(replicas: u32) -> i32 {
    i32::try_from(replicas).unwrap_or(i32::MAX)
}

/// Whether a decision says something that is worth a line although nothing changed.
pub(crate) fn is_failure(cause: &Cause) -> bool {
    matches!(cause, Cause::Failed { .. } | Cause::Unreadable { .. })
}
