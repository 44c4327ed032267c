//! The HorizontalPodAutoscaler: the object that is written to a cluster, and the arithmetic that Kubernetes applies
//! to it, for shells that have no Kubernetes (`keda up`, `keda simulate`) and for `explain`.
//!
//! Read on in this order: [`object`] and its [`defaults`]; [`calculator`], one metric into a replica proposal, for
//! which [`pods`] tells which pods count; [`behavior`], how fast a target may move, and [`memory`], what that needs
//! to know about the past; [`controller`], a whole reconcile; [`decision`], its outcome and the reason for it.
//!
//! The rules are those of the HPA controller of Kubernetes v1.36. Where its integers wrap around, ours saturate.

pub mod behavior;
pub mod build;
pub mod calculator;
pub mod conditions;
pub mod controller;
pub mod decision;
pub mod defaults;
mod limits;
pub mod memory;
pub mod object;
pub mod pods;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod stories;
mod wording;

pub use calculator::{Basis, MetricError, Proposal, Tolerances};
pub use conditions::{Condition, Conditions};
pub use controller::{Autoscaler, ControllerSettings, Observed, Scale};
pub use decision::{Cause, Decision, Limit};
pub use limits::check_behavior;
pub use memory::Memory;
pub use object::{
    Behavior, ExternalMetricSource, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec, MetricTarget,
    ScalingRules, TargetType,
};
pub use pods::{Pod, Pods};
