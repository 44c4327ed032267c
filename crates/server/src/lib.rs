//! The Kubernetes shell: watches, decisions carried out on a cluster, the external metrics API.

pub mod cluster;
pub mod exposition;
pub mod operator;
mod probes;

/// Why a role cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address is taken, or may not be used.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        error: std::io::Error,
    },
    /// The cluster cannot be used at all.
    #[error("cannot use the cluster: {0}")]
    Cluster(String),
    /// Metrics cannot be exposed.
    #[error("cannot expose metrics: {0}")]
    Metrics(String),
}
