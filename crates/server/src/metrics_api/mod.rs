//! The aggregated API server behind `external.metrics.k8s.io/v1beta1`.
//!
//! A request goes through four steps: who asks ([`authentication`], against the CAs of [`trust`]), what is asked
//! ([`attributes`]), whether that is allowed ([`authorization`]), and the answer ([`handler`]), where a value comes from a
//! [`MetricSource`]. All errors are a `metav1.Status`.

mod attributes;
mod authentication;
mod authorization;
mod cache;
mod discovery;
mod handler;
mod selector;
mod settings;
mod source;
mod status;
mod trust;
mod trust_watch;

pub use handler::MetricsApi;
pub use settings::{AuthenticationSettings, AuthorizationSettings, MetricsApiSettings, RequestHeaderSettings};
pub use source::{ExternalMetricValue, MetricError, MetricSource};

/// The API group served.
pub const GROUP: &str = "external.metrics.k8s.io";
/// The one version of it.
pub const VERSION: &str = "v1beta1";
