//! A whole reconcile of one HPA: from the target's scale and its metrics to a number of replicas and conditions.
//!
//! [`Autoscaler::decide`] asks for a scaling, [`Autoscaler::settle`] is told what became of it;
//! [`Autoscaler::reconcile`] does both where a scaling cannot fail. Nothing here reads a clock: times are durations
//! since an epoch of the caller's choice that must not change while the autoscaler lives.

use std::cmp::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::behavior::{self, Range, Rules};
use super::calculator::{self, Proposal, Reading, Situation, Tolerances};
use super::conditions::{Conditions, set};
use super::decision::{Cause, Decision, Limit, MetricCause, Rescale};
use super::defaults::MIN_REPLICAS;
use super::memory::Memory;
use super::object::{Behavior, HorizontalPodAutoscalerSpec, MetricSpec, MetricValueStatus, ScalingRules};
use super::pods::Pods;
use super::wording::{self, Failure};
use crate::quantity::{Format, Quantity};

/// The controller's flags and gates.
#[derive(Debug, Clone, PartialEq)]
pub struct ControllerSettings {
    /// `--horizontal-pod-autoscaler-tolerance`.
    pub tolerance: f64,
    /// `--horizontal-pod-autoscaler-downscale-stabilization`.
    pub downscale_stabilization: Duration,
    /// `--horizontal-pod-autoscaler-cpu-initialization-period`.
    pub cpu_initialization_period: Duration,
    /// `--horizontal-pod-autoscaler-initial-readiness-delay`.
    pub initial_readiness_delay: Duration,
    /// The gate HPAScaleToZero.
    pub scale_to_zero: bool,
}

impl Default for ControllerSettings {
    fn default() -> Self {
        ControllerSettings {
            tolerance: 0.1,
            downscale_stabilization: Duration::from_secs(300),
            cpu_initialization_period: Duration::from_secs(300),
            initial_readiness_delay: Duration::from_secs(30),
            scale_to_zero: false,
        }
    }
}

/// The target's scale subresource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Replicas that the target should have.
    pub spec_replicas: i32,
    /// Replicas that it has.
    pub status_replicas: i32,
    /// Whether it tells which pods are its own.
    pub has_selector: bool,
}

impl Scale {
    /// A target that has what it should have.
    pub fn settled(replicas: i32) -> Self {
        Scale { spec_replicas: replicas, status_replicas: replicas, has_selector: true }
    }
}

/// What a reconcile is based on.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// The target's scale, or why it cannot be read.
    pub scale: Result<Scale, String>,
    /// What the metrics APIs said, parallel to the metrics of the spec (with defaults applied).
    pub readings: Vec<Reading>,
    pub pods: Pods,
}

/// One HPA with what its controller remembers of it and its conditions. Serialise it to survive a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Autoscaler {
    /// For texts only.
    pub namespace: String,
    pub memory: Memory,
    pub conditions: Conditions,
}

impl Autoscaler {
    /// An HPA that was never looked at.
    pub fn new(namespace: impl Into<String>) -> Self {
        Autoscaler { namespace: namespace.into(), ..Autoscaler::default() }
    }

    /// Decides and takes the scaling for done.
    pub fn reconcile(
        &mut self,
        now: Duration,
        settings: &ControllerSettings,
        spec: &HorizontalPodAutoscalerSpec,
        observed: &Observed,
    ) -> Decision {
        let decision = self.decide(now, settings, spec, observed);
        self.settle(now, settings, spec, decision, Ok(()))
    }

    /// Decides on a number of replicas. If the decision has a `rescale`, do it and call [`Self::settle`].
    pub fn decide(
        &mut self,
        now: Duration,
        settings: &ControllerSettings,
        spec: &HorizontalPodAutoscalerSpec,
        observed: &Observed,
    ) -> Decision {
        let spec = &spec.with_defaults();
        let decision = match &observed.scale {
            Ok(scale) => Reconcile { autoscaler: self, now, settings, spec, observed, scale: *scale }.run(),
            Err(error) => self.unreadable(now, spec, error),
        };
        Decision { conditions: self.conditions.clone(), ..decision }
    }

    /// Notes what became of a decision's scaling; does nothing if there was none.
    #[must_use]
    pub fn settle(
        &mut self,
        now: Duration,
        settings: &ControllerSettings,
        spec: &HorizontalPodAutoscalerSpec,
        mut decision: Decision,
        outcome: Result<(), String>,
    ) -> Decision {
        let Some(rescale) = &decision.rescale else { return decision };
        match outcome {
            Ok(()) => {
                self.rescaled(now, settings, &spec.with_defaults(), rescale);
                decision.replicas = Some(rescale.to);
                decision.rescaled = true;
            }
            Err(error) => {
                let message = format!("the HPA controller was unable to update the target scale: {error}");
                set(&mut self.conditions.able_to_scale, now, false, "FailedUpdateScale", message);
                decision.error = Some(format!("failed to rescale {}: {error}", self.reference(spec)));
            }
        }
        Decision { conditions: self.conditions.clone(), ..decision }
    }

    fn rescaled(
        &mut self,
        now: Duration,
        settings: &ControllerSettings,
        spec: &HorizontalPodAutoscalerSpec,
        rescale: &Rescale,
    ) {
        let Rescale { from, to, .. } = *rescale;
        let message = format!("the HPA controller was able to update the target scale to {to}");
        set(&mut self.conditions.able_to_scale, now, true, "SucceededRescale", message);
        if let Some((up, down)) = rules(spec, settings) {
            if to > from {
                self.memory.scale_ups.add(now, to.saturating_sub(from), up.longest_period());
            } else {
                self.memory.scale_downs.add(now, from.saturating_sub(to), down.longest_period());
            }
        }
        let slot = &mut self.conditions.scaled_to_zero;
        if !settings.scale_to_zero {
            *slot = None;
        } else if from > 0 && to == 0 && spec.min_replicas == Some(0) && can_scale_from_zero(spec) {
            set(slot, now, true, "ScaledToZero", "the HPA controller scaled the workload to zero");
        } else {
            set(slot, now, false, "NotScaledToZero", "the HPA controller did not scale the workload to zero");
        }
    }

    fn unreadable(&mut self, now: Duration, spec: &HorizontalPodAutoscalerSpec, error: &str) -> Decision {
        let message = format!("the HPA controller was unable to get the target's current scale: {error}");
        set(&mut self.conditions.able_to_scale, now, false, "FailedGetScale", message);
        let text = format!("failed to query scale subresource for {}: {error}", self.reference(spec));
        Decision { error: Some(text), ..undecided(None, Cause::Unreadable { error: error.to_owned() }) }
    }

    fn reference(&self, spec: &HorizontalPodAutoscalerSpec) -> String {
        format!("{}/{}/{}", spec.scale_target_ref.kind, self.namespace, spec.scale_target_ref.name)
    }
}

/// A decision that leaves the target alone.
fn undecided(replicas: Option<i32>, cause: Cause) -> Decision {
    Decision {
        replicas,
        rescale: None,
        rescaled: false,
        conditions: Conditions::default(),
        current_metrics: Vec::new(),
        error: None,
        cause,
    }
}

/// One reconcile of a readable target with a complete spec.
struct Reconcile<'a> {
    autoscaler: &'a mut Autoscaler,
    now: Duration,
    settings: &'a ControllerSettings,
    spec: &'a HorizontalPodAutoscalerSpec,
    observed: &'a Observed,
    scale: Scale,
}

/// What all metrics together ask for.
struct Wish {
    /// The metric that asks for the most.
    index: usize,
    proposal: Proposal,
    failed: usize,
    /// Of the first metric that failed.
    error: Option<String>,
}

impl Reconcile<'_> {
    fn run(self) -> Decision {
        let message = "the HPA controller was able to get the target's current scale";
        set(&mut self.autoscaler.conditions.able_to_scale, self.now, true, "SucceededGetScale", message);
        let Range { min, max, current } = self.range();
        self.autoscaler.memory.begin(self.now, current);
        if current == 0 {
            if self.stays_at_zero(min) {
                return self.disabled();
            }
        } else if current > max {
            let cause = Cause::AboveMaximum { current, max };
            return self.bounded(max, "Current number of replicas above Spec.MaxReplicas", cause);
        } else if current < min {
            let cause = Cause::BelowMinimum { current, min };
            return self.bounded(min, "Current number of replicas below Spec.MinReplicas", cause);
        }
        self.by_metrics()
    }

    fn range(&self) -> Range {
        let min = self.spec.min_replicas.unwrap_or(MIN_REPLICAS);
        Range { min, max: self.spec.max_replicas, current: self.scale.spec_replicas }
    }

    /// A target at zero is left there unless the autoscaler itself put it there and can, or must, bring it back.
    fn stays_at_zero(&self, min: i32) -> bool {
        !(self.scaled_to_zero() && (min != 0 || can_scale_from_zero(self.spec)))
    }

    fn scaled_to_zero(&self) -> bool {
        let condition = self.autoscaler.conditions.scaled_to_zero.as_ref();
        self.settings.scale_to_zero && condition.is_some_and(|condition| condition.status)
    }

    fn disabled(self) -> Decision {
        let conditions = &mut self.autoscaler.conditions;
        let message = "scaling is disabled since the replica count of the target is zero";
        set(&mut conditions.scaling_active, self.now, false, "ScalingDisabled", message);
        if !self.settings.scale_to_zero {
            conditions.scaled_to_zero = None;
        }
        undecided(Some(0), Cause::Disabled)
    }

    fn bounded(self, bound: i32, reason: &str, cause: Cause) -> Decision {
        let current = self.scale.spec_replicas;
        let rescale = Rescale { from: current, to: bound, reason: reason.to_owned() };
        Decision { rescale: Some(rescale), ..undecided(Some(current), cause) }
    }

    fn by_metrics(mut self) -> Decision {
        let current = self.scale.spec_replicas;
        let (wish, current_metrics) = self.ask_metrics();
        let wish = match wish {
            Ok(wish) => wish,
            Err(error) => {
                let text = format!(
                    "failed to compute desired number of replicas based on listed metrics for {}: {error}",
                    self.autoscaler.reference(self.spec)
                );
                let cause = Cause::Failed { error };
                return Decision { current_metrics, error: Some(text), ..undecided(Some(current), cause) };
            }
        };
        let metric = self.spec.metrics.get(wish.index).map(wording::name).unwrap_or_default();
        let desired = wish.proposal.replicas.max(0);
        let mut reason = match desired.cmp(&current) {
            Ordering::Greater => format!("{metric} above target"),
            Ordering::Less => "All metrics below target".to_owned(),
            Ordering::Equal => String::new(),
        };
        let (mut replicas, mut limits) = self.normalize(desired);
        let min = self.range().min;
        if current == 0 && min != 0 && replicas < min {
            limits.push(Limit::Minimum { wanted: replicas, held: min });
            replicas = min;
            if reason.is_empty() {
                "Current number of replicas below Spec.MinReplicas".clone_into(&mut reason);
            }
        }
        let rescale = (replicas != current).then_some(Rescale { from: current, to: replicas, reason });
        let Proposal { ratio, basis, replicas: proposed, .. } = wish.proposal;
        let cause =
            MetricCause { index: wish.index, metric, ratio, basis, current, proposed, limits, failed: wish.failed };
        let decision = undecided(Some(current), Cause::Metric(cause));
        Decision { rescale, current_metrics, error: wish.error, ..decision }
    }

    /// The largest proposal of the metrics. Some may fail, but then the others must not scale down.
    fn ask_metrics(&mut self) -> (Result<Wish, String>, Vec<Option<MetricValueStatus>>) {
        if !self.scale.has_selector {
            let message = "the HPA target's scale is missing a selector";
            self.set_active(false, "InvalidSelector", message);
            return (Err("selector is required".to_owned()), Vec::new());
        }
        let mut statuses = Vec::with_capacity(self.spec.metrics.len());
        let mut largest: Option<(usize, Proposal)> = None;
        let mut first_failure: Option<Failure> = None;
        let mut failed = 0;
        for (index, metric) in self.spec.metrics.iter().enumerate() {
            match self.ask(index, metric) {
                Ok(proposal) => {
                    statuses.push(Some(status(metric, &proposal)));
                    // A proposal of 0 yields to whatever comes after it.
                    if largest.as_ref().is_none_or(|(_, top)| top.replicas == 0 || proposal.replicas > top.replicas) {
                        largest = Some((index, proposal));
                    }
                }
                Err(failure) => {
                    statuses.push(None);
                    failed += 1;
                    first_failure.get_or_insert(failure);
                }
            }
        }
        (self.judge(largest, first_failure, failed), statuses)
    }

    fn ask(&self, index: usize, metric: &MetricSpec) -> Result<Proposal, Failure> {
        let situation = Situation {
            now: self.now,
            spec_replicas: self.scale.spec_replicas,
            status_replicas: self.scale.status_replicas,
            tolerances: tolerances(self.spec, self.settings),
            pods: &self.observed.pods,
            settings: self.settings,
        };
        let unread = Err("no reading".to_owned());
        let reading = self.observed.readings.get(index).unwrap_or(&unread);
        calculator::propose(metric, reading, &situation)
            .map_err(|error| wording::failure(metric, &self.autoscaler.namespace, &error))
    }

    fn judge(
        &mut self,
        largest: Option<(usize, Proposal)>,
        failure: Option<Failure>,
        failed: usize,
    ) -> Result<Wish, String> {
        let error = failure.as_ref().map(|failure| {
            let all = self.spec.metrics.len();
            format!("invalid metrics ({failed} invalid out of {all}), first error is: {}", failure.error)
        });
        let current = self.scale.spec_replicas;
        match (largest, failure) {
            (Some((index, proposal)), failure) if failure.is_none() || proposal.replicas >= current => {
                let metric = self.spec.metrics.get(index).map(wording::name).unwrap_or_default();
                let message = format!("the HPA was able to successfully calculate a replica count from {metric}");
                self.set_active(true, "ValidMetricFound", &message);
                Ok(Wish { index, proposal, failed, error })
            }
            (_, failure) => {
                if let Some(Failure { reason, message, .. }) = failure {
                    self.set_active(false, reason, &message);
                }
                Err(error.unwrap_or_default())
            }
        }
    }

    /// Applies stabilization, rates and bounds, remembers the wish, and sets the conditions that tell of it.
    fn normalize(&mut self, desired: i32) -> (i32, Vec<Limit>) {
        let (now, range) = (self.now, self.range());
        let memory = &mut self.autoscaler.memory;
        let ((stable, stabilized), (replicas, limited)) = match rules(self.spec, self.settings) {
            None => {
                let window = self.settings.downscale_stabilization;
                let (stable, limit) = behavior::stabilize(memory, now, desired, window);
                ((stable, limit), behavior::limit(range, stable))
            }
            Some((up, down)) => {
                let (stable, limit) = behavior::stabilize_with_rules(memory, now, range.current, desired, &up, &down);
                ((stable, limit), behavior::limit_with_rules(memory, now, range, stable, &up, &down))
            }
        };
        let conditions = &mut self.autoscaler.conditions;
        let (reason, message) =
            stabilized.as_ref().map_or(("ReadyForNewScale", "recommended size matches current size"), Limit::condition);
        set(&mut conditions.able_to_scale, now, true, reason, message);
        let within = ("DesiredWithinRange", "the desired count is within the acceptable range");
        let (reason, message) = limited.as_ref().map_or(within, Limit::condition);
        set(&mut conditions.scaling_limited, now, replicas != stable, reason, message);
        (replicas, stabilized.into_iter().chain(limited).collect())
    }

    fn set_active(&mut self, status: bool, reason: &str, message: &str) {
        set(&mut self.autoscaler.conditions.scaling_active, self.now, status, reason, message);
    }
}

/// The rules of both directions, if the spec has a `behavior`.
fn rules<'a>(spec: &'a HorizontalPodAutoscalerSpec, settings: &ControllerSettings) -> Option<(Rules<'a>, Rules<'a>)> {
    let Behavior { scale_up, scale_down } = spec.behavior.as_ref()?;
    let window = settings.downscale_stabilization;
    Some((Rules::new(scale_up.as_ref()?, window), Rules::new(scale_down.as_ref()?, window)))
}

fn tolerances(spec: &HorizontalPodAutoscalerSpec, settings: &ControllerSettings) -> Tolerances {
    let of = |rules: Option<&ScalingRules>| {
        rules.and_then(|rules| rules.tolerance.as_ref()).map_or(settings.tolerance, Quantity::to_f64)
    };
    let behavior = spec.behavior.as_ref();
    Tolerances {
        up: of(behavior.and_then(|behavior| behavior.scale_up.as_ref())),
        down: of(behavior.and_then(|behavior| behavior.scale_down.as_ref())),
    }
}

/// Whether there is a metric that has a value without pods.
fn can_scale_from_zero(spec: &HorizontalPodAutoscalerSpec) -> bool {
    spec.metrics.iter().any(|metric| matches!(metric, MetricSpec::External(_) | MetricSpec::Object(_)))
}

/// What the HPA's status shows of a metric.
fn status(metric: &MetricSpec, proposal: &Proposal) -> MetricValueStatus {
    let usage = |format| proposal.usage.map(|usage| Quantity::from_milli_as(usage, format));
    let average_utilization = proposal.utilization;
    match metric {
        MetricSpec::External(source) if source.target.average_value.is_none() => {
            MetricValueStatus { value: usage(Format::DecimalSi), ..MetricValueStatus::default() }
        }
        MetricSpec::Object(source) if source.target.value.is_some() => {
            MetricValueStatus { value: usage(Format::DecimalSi), ..MetricValueStatus::default() }
        }
        MetricSpec::Resource(source) if source.name == "memory" => {
            MetricValueStatus { average_value: usage(Format::BinarySi), average_utilization, value: None }
        }
        MetricSpec::ContainerResource(source) if source.name == "memory" => {
            MetricValueStatus { average_value: usage(Format::BinarySi), average_utilization, value: None }
        }
        _ => MetricValueStatus { average_value: usage(Format::DecimalSi), average_utilization, value: None },
    }
}
