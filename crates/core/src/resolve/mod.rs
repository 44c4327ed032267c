//! From references to texts: the environment of a container, the parameters of a TriggerAuthentication.
//!
//! Pure, over a [`Lookup`] that the manifest loader, the operator and tests implement (`authentication.md`). Like KEDA
//! this goes on where something is missing, and says so: what a trigger cannot do without, its own checks will miss.

mod authentication;
mod environment;
mod recorder;
mod references;

use std::collections::BTreeMap;

pub use authentication::{Authentication, authentication};
pub use environment::{environment, environment_in_part, expand};
pub use recorder::{Asked, Recorder, TOKEN};
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

    /// A token of a ServiceAccount, or why it cannot be had; `None` where nobody gives tokens.
    fn token(&self, _namespace: &str, _service_account: &str) -> Option<Result<String, String>> {
        None
    }

    /// The parameters in a file of the operator's.
    ///
    /// # Errors
    /// Why it cannot be read, as a sentence.
    fn file(&self, _path: &str) -> Result<BTreeMap<String, String>, String> {
        Err("filepath-auth-root-path not configured".to_string())
    }

    /// Whether containers in this namespace may be given values of their Secrets.
    fn may_read_secrets_of(&self, _namespace: &str) -> bool {
        true
    }

    /// Whether an object that cannot be found is there, with errors that keep it from being used.
    fn is_broken(&self, _kind: &str, _namespace: &str, _name: &str) -> bool {
        false
    }

    /// What is not found here and may exist nevertheless.
    fn lenience(&self) -> Lenience {
        Lenience::default()
    }

    /// Where the Secrets and ConfigMaps of a ClusterTriggerAuthentication live.
    fn cluster_namespace(&self) -> &str {
        "keda"
    }
}

/// What may exist though it is not found. Values that depend on it are unknown, not empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lenience {
    /// The targets of objects, with the environments of their containers.
    pub targets: bool,
    /// Everything else that objects refer to.
    pub references: bool,
    /// The values in secret stores, which nobody is going to ask.
    pub stores: bool,
}

/// What is shown in place of KEDA's wording for a place inside a Secret or ConfigMap.
pub(crate) fn missing(kind: &str, namespace: &str, name: &str) -> String {
    format!("there is no {kind} {name:?} in namespace {namespace:?}")
}
