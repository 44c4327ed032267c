//! The objects of loaded manifests that others refer to, kept apart from their texts.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Lenience, Lookup};
use crate::api::{PodSpec, ScaleTarget, TriggerAuthenticationSpec};
use crate::manifest::{Document, Loaded, Object, group_of};
use crate::problem::did_you_mean;
use crate::rule;

/// Namespace and name.
type Key = (String, String);
/// Kind, namespace and name.
type Place = (String, String, String);

/// A [`Lookup`] over manifests.
#[derive(Clone, Default)]
pub struct References {
    /// Targets by kind, namespace and name, with the group and the pod template if they have one.
    targets: HashMap<Place, Vec<(String, Option<PodSpec>)>>,
    /// Objects with errors, by kind, namespace and name.
    broken: HashSet<Place>,
    secrets: HashMap<Key, BTreeMap<String, String>>,
    config_maps: HashMap<Key, BTreeMap<String, String>>,
    authentications: HashMap<Key, TriggerAuthenticationSpec>,
    cluster_authentications: HashMap<String, TriggerAuthenticationSpec>,
    service_accounts: HashMap<Key, BTreeMap<String, String>>,
    lenience: Lenience,
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
        let unreadable = loaded.findings.iter().filter(|finding| finding.problem.rule == rule::NOT_BASE64);
        for document in unreadable.filter_map(|finding| loaded.documents.get(finding.document?)) {
            references.broken.insert(place(document));
        }
        references
    }

    /// The same references, of which some may be missing.
    #[must_use]
    pub fn with_lenience(self, lenience: Lenience) -> Self {
        References { lenience, ..self }
    }

    fn add(&mut self, document: &Document) {
        let namespace = document.namespace().to_string();
        let key = (namespace.clone(), document.name.clone());
        match &document.object {
            Object::Workload(workload) => {
                let pod_spec = workload.spec.template.as_ref().map(|template| template.spec.clone());
                self.add_target(document, pod_spec);
            }
            Object::Opaque(_) => {
                self.add_target(document, None);
            }
            Object::Invalid => {
                self.broken.insert(place(document));
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

impl References {
    fn add_target(&mut self, document: &Document, pod_spec: Option<PodSpec>) {
        self.targets.entry(place(document)).or_default().push((group_of(&document.api_version).to_string(), pod_spec));
    }

    /// That a target is not there, and what may be meant.
    fn missing_target(&self, namespace: &str, target: &ScaleTarget) -> String {
        let message = super::missing(target.kind(), namespace, &target.name);
        let place = (target.kind().to_string(), namespace.to_string(), target.name.clone());
        if let Some((group, _)) = self.targets.get(&place).and_then(|others| others.first()) {
            return format!("{message} of {:?}; there is one of the group {group:?}", target.api_version());
        }
        let places = || self.targets.keys().filter(|(kind, ..)| kind == target.kind());
        if let Some((_, elsewhere, _)) = places().find(|(.., name)| *name == target.name) {
            return format!("{message}; there is one in namespace {elsewhere:?}");
        }
        let names: Vec<&str> = places().filter(|place| place.1 == namespace).map(|(.., name)| name.as_str()).collect();
        match did_you_mean(&target.name, names) {
            Some(meant) => format!("{message}; did you mean {meant:?}?"),
            None => message,
        }
    }
}

fn place(document: &Document) -> Place {
    (document.kind.clone(), document.namespace().to_string(), document.name.clone())
}

fn key(namespace: &str, name: &str) -> Key {
    (namespace.to_string(), name.to_string())
}

impl Lookup for References {
    fn pod_spec(&self, namespace: &str, target: &ScaleTarget) -> Result<Option<PodSpec>, String> {
        let place = (target.kind().to_string(), namespace.to_string(), target.name.clone());
        let candidates = self.targets.get(&place).map(Vec::as_slice).unwrap_or_default();
        match candidates.iter().find(|(of, _)| of == group_of(target.api_version())) {
            Some((_, pod_spec)) => Ok(pod_spec.clone()),
            None => Err(self.missing_target(namespace, target)),
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

    fn is_broken(&self, kind: &str, namespace: &str, name: &str) -> bool {
        let namespace = if kind.starts_with("Cluster") { "" } else { namespace };
        self.broken.contains(&(kind.to_string(), namespace.to_string(), name.to_string()))
    }

    fn lenience(&self) -> Lenience {
        self.lenience
    }

    fn service_account(&self, namespace: &str, name: &str) -> Option<BTreeMap<String, String>> {
        self.service_accounts.get(&key(namespace, name)).cloned()
    }
}
