//! The outcome of a reconcile and the reason for it, as data that reads as plain English.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::calculator::Basis;
use super::conditions::Conditions;
use super::object::{HorizontalPodAutoscalerSpec, MetricValueStatus, ScalingPolicy, TargetType};
use crate::quantity::Quantity;

/// What a reconcile came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decision {
    /// The replicas that the target has afterwards; `None` if its scale could not be read.
    pub replicas: Option<i32>,
    /// The scaling to do, or that was done.
    pub rescale: Option<Rescale>,
    /// Whether the scaling was done.
    pub rescaled: bool,
    /// All conditions of the HPA's status, also those that this reconcile did not touch.
    pub conditions: Conditions,
    /// What the status shows of each metric of the spec; `None` for those that failed. Empty if none was computed.
    pub current_metrics: Vec<Option<MetricValueStatus>>,
    /// What went wrong; there may be a scaling in spite of it.
    pub error: Option<String>,
    pub cause: Cause,
}

impl Decision {
    /// Why the target has the replicas that it has afterwards, with the numbers that decided: what a person asks for
    /// first.
    pub fn reason(&self, spec: &HorizontalPodAutoscalerSpec) -> String {
        let Cause::Metric(cause) = &self.cause else { return self.cause.to_string() };
        let metric = spec.metrics.get(cause.index);
        let current = self.current_metrics.get(cause.index).and_then(Option::as_ref);
        let (Some(metric), Some(current)) = (metric, current) else { return self.cause.to_string() };
        let target = metric.target();
        let average = |value: &Quantity| format!("averages {value} per replica");
        let (value, target) = match target.target_type {
            TargetType::Utilization => (
                current.average_utilization.map(|percent| format!("is at {percent} % of the request")),
                target.average_utilization.map(|percent| format!("{percent} %")),
            ),
            TargetType::AverageValue => {
                (current.average_value.as_ref().map(average), target.average_value.as_ref().map(Quantity::to_string))
            }
            TargetType::Value => (
                current.value.as_ref().map(|value| format!("is {value}")),
                target.value.as_ref().map(Quantity::to_string),
            ),
        };
        let (Some(value), Some(target)) = (value, target) else { return self.cause.to_string() };
        format!("{} {value} against a target of {target}: {}", metric.metric_name(), cause.outcome())
    }
}

/// A change of the target's replicas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rescale {
    pub from: i32,
    pub to: i32,
    /// In Kubernetes' words; may be empty.
    pub reason: String,
}

impl fmt::Display for Rescale {
    /// The message of the event that Kubernetes records.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "New size: {}; reason: {}", self.to, self.reason)
    }
}

/// Why a reconcile came to what it came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Cause {
    /// The target's scale could not be read.
    Unreadable { error: String },
    /// The target stands at zero, and not because the autoscaler put it there.
    Disabled,
    /// The target was above the upper bound; metrics were not asked.
    AboveMaximum { current: i32, max: i32 },
    /// The target was below the lower bound; metrics were not asked.
    BelowMinimum { current: i32, min: i32 },
    /// No metric could be used, or not enough of them to scale down.
    Failed { error: String },
    /// A metric decided.
    Metric(MetricCause),
}

/// The metric that asked for the most, and what became of its wish.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricCause {
    /// Its place in the spec.
    pub index: usize,
    /// In Kubernetes' words.
    pub metric: String,
    /// Usage divided by target.
    pub ratio: f64,
    pub basis: Basis,
    /// The replicas that the target had.
    pub current: i32,
    /// The replicas that the metric asked for.
    pub proposed: i32,
    /// What changed that, in order.
    pub limits: Vec<Limit>,
    /// How many metrics of the spec failed.
    pub failed: usize,
}

/// The way a target moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Direction {
    Up,
    Down,
}

/// Something that changed the number of replicas a metric asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Limit {
    /// Recommendations within the window did not agree.
    Stabilized { direction: Direction, window: Duration, wanted: i32, held: i32 },
    /// The target would move too fast; `policy` is `None` for the rule that holds without `behavior`, and where the
    /// direction is disabled.
    Rate { direction: Direction, policy: Option<ScalingPolicy>, wanted: i32, held: i32 },
    /// More than `maxReplicas`.
    Maximum { wanted: i32, held: i32 },
    /// Fewer than `minReplicas`.
    Minimum { wanted: i32, held: i32 },
}

impl Limit {
    /// Reason and message of the condition that tells of it, in Kubernetes' words.
    pub fn condition(&self) -> (&'static str, &'static str) {
        match self {
            Limit::Stabilized { direction: Direction::Up, .. } => (
                "ScaleUpStabilized",
                "recent recommendations were lower than current one, applying the lowest recent recommendation",
            ),
            Limit::Stabilized { direction: Direction::Down, .. } => (
                "ScaleDownStabilized",
                "recent recommendations were higher than current one, applying the highest recent recommendation",
            ),
            Limit::Rate { direction: Direction::Up, .. } => {
                ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
            }
            Limit::Rate { direction: Direction::Down, .. } => {
                ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")
            }
            Limit::Maximum { .. } => {
                ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
            }
            Limit::Minimum { .. } => {
                ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
            }
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Unreadable { error } => write!(f, "the target's replicas cannot be read: {error}"),
            Cause::Disabled => f.write_str("the target stands at 0 replicas, so autoscaling is off"),
            Cause::AboveMaximum { current, max } => {
                write!(f, "{current} replicas are more than the maximum of {max}")
            }
            Cause::BelowMinimum { current, min } => {
                write!(f, "{current} replicas are fewer than the minimum of {min}")
            }
            Cause::Failed { error } => write!(f, "no decision without metrics: {error}"),
            Cause::Metric(cause) => cause.fmt(f),
        }
    }
}

impl fmt::Display for MetricCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is at {:.3} of its target: {}", self.metric, self.ratio, self.outcome())
    }
}

impl MetricCause {
    /// What the metric asked for and what became of it.
    fn outcome(&self) -> String {
        let MetricCause { proposed, current, .. } = self;
        let mut text = match self.basis {
            Basis::WithinTolerance => format!("close enough to stay at {proposed}"),
            Basis::Undecided => {
                format!("pods without a sample might turn that round, so it stays at {proposed}")
            }
            Basis::Ratio => {
                let replicas = if *proposed == 1 { "replica" } else { "replicas" };
                format!("{proposed} {replicas} wanted (from {current})")
            }
        };
        for limit in &self.limits {
            text.push_str(&format!("; {limit}"));
        }
        match self.failed {
            0 => {}
            1 => text.push_str("; 1 metric failed"),
            failed => text.push_str(&format!("; {failed} metrics failed")),
        }
        text
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Stabilized { direction, window, held, .. } => {
                let extreme = if *direction == Direction::Up { "lower" } else { "higher" };
                write!(f, "recommendations of the last {} s were {extreme}, held at {held}", window.as_secs_f64())
            }
            Limit::Rate { direction, policy: Some(policy), held, .. } => {
                write!(f, "the {direction} policy of {policy} allows {held}")
            }
            Limit::Rate { direction, policy: None, held, .. } => write!(f, "the {direction} rate allows {held}"),
            Limit::Maximum { held, .. } => write!(f, "the maximum is {held}"),
            Limit::Minimum { held, .. } => write!(f, "the minimum is {held}"),
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Direction::Up { "scale-up" } else { "scale-down" })
    }
}

#[cfg(test)]
mod tests {
    use super::super::object::PolicyType;
    use super::*;

    #[test]
    fn a_cause_reads_as_a_sentence() {
        let policy = ScalingPolicy { policy_type: PolicyType::Pods, value: 4, period_seconds: 15 };
        let cause = MetricCause {
            index: 0,
            metric: "external metric s0-queue(nil)".to_owned(),
            ratio: 2.5,
            basis: Basis::Ratio,
            current: 4,
            proposed: 10,
            limits: vec![Limit::Rate { direction: Direction::Up, policy: Some(policy), wanted: 10, held: 8 }],
            failed: 1,
        };
        assert_eq!(
            Cause::Metric(cause).to_string(),
            "external metric s0-queue(nil) is at 2.500 of its target: 10 replicas wanted (from 4); \
             the scale-up policy of 4 pods per 15 s allows 8; 1 metric failed"
        );
    }
}
