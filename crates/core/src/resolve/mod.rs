//! From references to texts: the environment of a container, the parameters of a TriggerAuthentication.
//!
//! Pure, over a [`Lookup`] that the manifest loader, the operator and tests implement (`authentication.md`). Like KEDA
//! this goes on where something is missing, and says so: what a trigger cannot do without, its own checks will miss.

mod authentication;
mod environment;
mod references;

use std::collections::BTreeMap;

pub use authentication::{Authentication, authentication};
pub use environment::{environment, expand};
pub use references::References;

use crate::api::{PodSpec, ScaleTarget, TriggerAuthenticationSpec};

/// The objects that others refer to. `None` means that there is no such object.
pub trait Lookup {
    /// The pod template's spec of a target: `Ok(None)` when the target has none.
    ///
    /// # Errors
    /// That there is no such target, as a sentence.
    fn pod_spec(&self, namespace: &str, target: &ScaleTarget) -> Result<Option<PodSpec>, String>;

    /// The decoded data of a Secret.
    fn secret(&self, namespace: &str, name: &str) -> Option<BTreeMap<String, String>>;

    /// The data of a ConfigMap.
    fn config_map(&self, namespace: &str, name: &str) -> Option<BTreeMap<String, String>>;

    /// A TriggerAuthentication.
    fn trigger_authentication(&self, namespace: &str, name: &str) -> Option<TriggerAuthenticationSpec>;

    /// A ClusterTriggerAuthentication.
    fn cluster_trigger_authentication(&self, name: &str) -> Option<TriggerAuthenticationSpec>;

    /// The annotations of a ServiceAccount.
    fn service_account(&self, namespace: &str, name: &str) -> Option<BTreeMap<String, String>>;

    /// Whether containers in this namespace may be given values of their Secrets.
    fn may_read_secrets_of(&self, _namespace: &str) -> bool {
        true
    }

    /// Where the Secrets and ConfigMaps of a ClusterTriggerAuthentication live.
    fn cluster_namespace(&self) -> &str {
        "keda"
    }
}

/// What is shown in place of KEDA's wording for a place inside a Secret or ConfigMap.
pub(crate) fn missing(kind: &str, namespace: &str, name: &str) -> String {
    format!("there is no {kind} {name:?} in namespace {namespace:?}")
}
