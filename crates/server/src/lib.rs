//! The Kubernetes shell: watches, decisions carried out on a cluster, the external metrics API.

pub mod certificates;
pub mod cluster;
mod fingerprint;
pub mod metrics_api;
pub mod operator;
mod probes;
pub mod tls;

pub use tls::ServerError;
