//! Remembers what is looked up, so that rights can be given for exactly that.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::{Lenience, Lookup};
use crate::api::{PodSpec, ScaleTarget, TriggerAuthenticationSpec};

/// The kind of [`Asked`] for a token of a ServiceAccount, which is made rather than read.
pub const TOKEN: &str = "ServiceAccount/token";

/// An object that was asked for, whether it exists or not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// API version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace; empty for objects of the cluster.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// A [`Lookup`] that passes questions on and remembers them.
pub struct Recorder<'a> {
    lookup: &'a dyn Lookup,
    asked: RefCell<BTreeSet<Asked>>,
}

impl std::fmt::Debug for Recorder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Recorder").field(&self.asked.borrow()).finish()
    }
}

impl<'a> Recorder<'a> {
    /// A recorder before `lookup`.
    pub fn new(lookup: &'a dyn Lookup) -> Self {
        Recorder { lookup, asked: RefCell::default() }
    }

    /// Everything that was asked for, in order.
    pub fn into_asked(self) -> BTreeSet<Asked> {
        self.asked.into_inner()
    }

    fn note(&self, api_version: &str, kind: &str, namespace: &str, name: &str) {
        let [api_version, kind, namespace, name] = [api_version, kind, namespace, name].map(str::to_string);
        self.asked.borrow_mut().insert(Asked { api_version, kind, namespace, name });
    }
}

impl Lookup for Recorder<'_> {
    fn pod_spec(&self, namespace: &str, target: &ScaleTarget) -> Result<Option<PodSpec>, String> {
        self.note(target.api_version(), target.kind(), namespace, &target.name);
        self.lookup.pod_spec(namespace, target)
    }

    fn secret(&self, namespace: &str, name: &str) -> Option<BTreeMap<String, String>> {
        self.note("v1", "Secret", namespace, name);
        self.lookup.secret(namespace, name)
    }

    fn config_map(&self, namespace: &str, name: &str) -> Option<BTreeMap<String, String>> {
        self.note("v1", "ConfigMap", namespace, name);
        self.lookup.config_map(namespace, name)
    }

    fn trigger_authentication(&self, namespace: &str, name: &str) -> Option<TriggerAuthenticationSpec> {
        self.note("keda.sh/v1alpha1", "TriggerAuthentication", namespace, name);
        self.lookup.trigger_authentication(namespace, name)
    }

    fn cluster_trigger_authentication(&self, name: &str) -> Option<TriggerAuthenticationSpec> {
        self.note("keda.sh/v1alpha1", "ClusterTriggerAuthentication", "", name);
        self.lookup.cluster_trigger_authentication(name)
    }

    fn service_account(&self, namespace: &str, name: &str) -> Option<BTreeMap<String, String>> {
        self.note("v1", "ServiceAccount", namespace, name);
        self.lookup.service_account(namespace, name)
    }

    fn token(&self, namespace: &str, service_account: &str) -> Option<Result<String, String>> {
        self.note("v1", TOKEN, namespace, service_account);
        self.lookup.token(namespace, service_account)
    }

    fn file(&self, path: &str) -> Result<BTreeMap<String, String>, String> {
        self.lookup.file(path)
    }

    fn may_read_secrets_of(&self, namespace: &str) -> bool {
        self.lookup.may_read_secrets_of(namespace)
    }

    fn is_broken(&self, kind: &str, namespace: &str, name: &str) -> bool {
        self.lookup.is_broken(kind, namespace, name)
    }

    fn lenience(&self) -> Lenience {
        self.lookup.lenience()
    }

    fn cluster_namespace(&self) -> &str {
        self.lookup.cluster_namespace()
    }
}
