//! The objects of loaded manifests that others refer to, kept apart from their texts.

use std::collections::{BTreeMap, HashMap};

use super::Lookup;
use crate::api::{PodSpec, ScaleTarget, TriggerAuthenticationSpec};
use crate::manifest::{Document, Loaded, Object};

/// Namespace and name.
type Key = (String, String);

/// A [`Lookup`] over manifests.
#[derive(Clone, Default)]
pub struct References {
    /// Targets by kind, namespace and name, with their pod template if they have one.
    targets: HashMap<(String, String, String), Option<PodSpec>>,
    secrets: HashMap<Key, BTreeMap<String, String>>,
    config_maps: HashMap<Key, BTreeMap<String, String>>,
    authentications: HashMap<Key, TriggerAuthenticationSpec>,
    cluster_authentications: HashMap<String, TriggerAuthenticationSpec>,
    service_accounts: HashMap<Key, BTreeMap<String, String>>,
    /// Whether a target that is not there is taken for one without a pod template.
    allow_missing_targets: bool,
}

impl std::fmt::Debug for References {
    /// Shows numbers only: there are secrets in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "References({} targets, {} secrets)", self.targets.len(), self.secrets.len())
    }
}

impl References {
    /// Takes what can be referred to out of loaded manifests. Of duplicates the first counts.
    pub fn new(loaded: &Loaded) -> Self {
        let mut references = References::default();
        for document in &loaded.documents {
            references.add(document);
        }
        references
    }

    /// The same references, for which a target that is not there is no error.
    #[must_use]
    pub fn allowing_missing_targets(self, allow: bool) -> Self {
        References { allow_missing_targets: allow, ..self }
    }

    fn add(&mut self, document: &Document) {
        let namespace = document.namespace.clone().unwrap_or_default();
        let key = (namespace.clone(), document.name.clone());
        match &document.object {
            Object::Workload(workload) => {
                let pod_spec = workload.spec.template.as_ref().map(|template| template.spec.clone());
                let target = (document.kind.clone(), namespace, document.name.clone());
                self.targets.entry(target).or_insert(pod_spec);
            }
            Object::Opaque(_) => {
                let target = (document.kind.clone(), namespace, document.name.clone());
                self.targets.entry(target).or_insert(None);
            }
            Object::Secret(secret) => {
                let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
                let data = secret.data.iter().map(|(key, bytes)| (key.clone(), text(bytes))).collect();
                self.secrets.entry(key).or_insert(data);
            }
            Object::ConfigMap(config_map) => {
                self.config_maps.entry(key).or_insert_with(|| config_map.data.clone());
            }
            Object::TriggerAuthentication(authentication) => {
                self.authentications.entry(key).or_insert_with(|| authentication.spec.clone());
            }
            Object::ClusterTriggerAuthentication(authentication) => {
                let name = document.name.clone();
                self.cluster_authentications.entry(name).or_insert_with(|| authentication.spec.clone());
            }
            Object::ServiceAccount(account) => {
                self.service_accounts
                    .entry(key)
                    .or_insert_with(|| account.metadata.annotations.clone().into_iter().collect());
            }
            _ => {}
        }
    }
}

fn key(namespace: &str, name: &str) -> Key {
    (namespace.to_string(), name.to_string())
}

impl Lookup for References {
    fn pod_spec(&self, namespace: &str, target: &ScaleTarget) -> Result<Option<PodSpec>, String> {
        let place = (target.kind().to_string(), namespace.to_string(), target.name.clone());
        match self.targets.get(&place) {
            Some(pod_spec) => Ok(pod_spec.clone()),
            None if self.allow_missing_targets => Ok(None),
            None => Err(super::missing(target.kind(), namespace, &target.name)),
        }
    }

    fn secret(&self, namespace: &str, name: &str) -> Option<BTreeMap<String, String>> {
        self.secrets.get(&key(namespace, name)).cloned()
    }

    fn config_map(&self, namespace: &str, name: &str) -> Option<BTreeMap<String, String>> {
        self.config_maps.get(&key(namespace, name)).cloned()
    }

    fn trigger_authentication(&self, namespace: &str, name: &str) -> Option<TriggerAuthenticationSpec> {
        self.authentications.get(&key(namespace, name)).cloned()
    }

    fn cluster_trigger_authentication(&self, name: &str) -> Option<TriggerAuthenticationSpec> {
        self.cluster_authentications.get(name).cloned()
    }

    fn service_account(&self, namespace: &str, name: &str) -> Option<BTreeMap<String, String>> {
        self.service_accounts.get(&key(namespace, name)).cloned()
    }
}
