//! The Kubernetes shell: watches, decisions carried out on a cluster, the external metrics API.

pub mod adapter;
pub mod certificates;
pub mod cluster;
pub mod exposition;
mod fingerprint;
pub mod grpc;
pub mod metrics_api;
pub mod operator;
mod probes;
pub mod tls;
mod watch_one;
pub mod webhooks;

pub use tls::ServerError;
