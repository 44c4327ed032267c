//! The Kubernetes API as the operator uses it: requests, watches, the scale subresource, events, the lease.

mod client;
pub(crate) mod connection;
pub(crate) mod discovery;
pub(crate) mod events;
mod for_triggers;
pub(crate) mod lease;
pub(crate) mod lookup;
pub(crate) mod object;
mod path;
pub(crate) mod pods;
pub mod resource;
pub(crate) mod scale;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod tokens;
pub(crate) mod trouble;
pub(crate) mod watch;

pub use client::{ApiError, ApiErrorKind, Cluster};
pub use path::ApiPath;
