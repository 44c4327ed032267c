//! The local shell: ScaledObjects scale processes on this machine, with no cluster at all.
//!
//! [`driver`] feeds the engine and carries out its effects; [`process`] runs the workers; [`instance`] answers `keda get`
//! and `keda explain`.

pub(crate) mod driver;
pub(crate) mod instance;
mod managed;
mod news;
pub(crate) mod output;
pub mod process;
mod resources;
pub(crate) mod store;
mod table;
pub(crate) mod workloads;
