//! The operator: ScaledObjects of a cluster, their HPAs, and the decision between nothing and something.
//!
//! [`watches`] and tasks tell the [`driver`] what happens; [`reconcile`] makes of an object a plan and an HPA;
//! [`effects`] carries out what the engine decides.

mod answers;
mod authentications;
mod driver;
mod effects;
mod finalize;
mod hpa;
mod managed;
mod notes;
mod outcomes;
mod reconcile;
mod run;
mod status;
mod watches;
mod workloads;

pub use run::{Certificates, LeaderElection, OperatorSettings, run};
