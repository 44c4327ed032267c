//! An index of the loaded objects by kind, namespace and name.

use std::collections::BTreeMap;

use super::kind::Kind;
use super::load::{Document, Loaded};
use super::object::Object;
use super::secret::Secret;
use crate::api::{
    ClusterTriggerAuthentication, ConfigMap, LimitRange, ScaledJob, ScaledObject, ServiceAccount,
    TriggerAuthentication, Workload,
};

/// The objects of [`Loaded`] documents. Of objects that are defined twice the first one counts.
#[derive(Debug)]
pub struct Objects<'a> {
    documents: &'a [Document],
    by_name: BTreeMap<(&'a str, &'a str, &'a str), usize>,
}

impl<'a> Objects<'a> {
    /// Indexes documents.
    pub fn new(loaded: &'a Loaded) -> Self {
        let mut by_name = BTreeMap::new();
        for (index, document) in loaded.documents.iter().enumerate() {
            by_name.entry(key(document)).or_insert(index);
        }
        Objects { documents: &loaded.documents, by_name }
    }

    /// The document of an object; the namespace of cluster-scoped objects is empty.
    ///
    /// `kind` is the name of the kind; objects of different groups share it.
    pub fn document(&self, kind: &str, namespace: &str, name: &str) -> Option<&'a Document> {
        self.by_name.get(&(kind, namespace, name)).and_then(|index| self.documents.get(*index))
    }

    /// All documents with their indices, in the order of the sources.
    pub fn documents(&self) -> impl Iterator<Item = (usize, &'a Document)> {
        self.documents.iter().enumerate()
    }

    /// The ScaledObjects that can be used, with the indices of their documents.
    pub fn scaled_objects(&self) -> impl Iterator<Item = (usize, &'a ScaledObject)> {
        self.documents().filter_map(|(index, document)| match &document.object {
            Object::ScaledObject(object) => Some((index, object.as_ref())),
            _ => None,
        })
    }

    /// The ScaledJobs that can be used, with the indices of their documents.
    pub fn scaled_jobs(&self) -> impl Iterator<Item = (usize, &'a ScaledJob)> {
        self.documents().filter_map(|(index, document)| match &document.object {
            Object::ScaledJob(object) => Some((index, object.as_ref())),
            _ => None,
        })
    }

    /// All workloads: Deployments, StatefulSets, Jobs and objects of unknown kinds that may hold a pod template.
    pub fn workloads(&self) -> impl Iterator<Item = (usize, &'a Workload)> {
        self.documents().filter_map(|(index, document)| match &document.object {
            Object::Workload(object) => Some((index, object.as_ref())),
            _ => None,
        })
    }

    /// The Deployments.
    pub fn deployments(&self) -> impl Iterator<Item = (usize, &'a Workload)> {
        self.workloads_of(Kind::Deployment)
    }

    /// The StatefulSets.
    pub fn stateful_sets(&self) -> impl Iterator<Item = (usize, &'a Workload)> {
        self.workloads_of(Kind::StatefulSet)
    }

    fn workloads_of(&self, kind: Kind) -> impl Iterator<Item = (usize, &'a Workload)> {
        let documents = self.documents;
        self.workloads().filter(move |(index, _)| documents.get(*index).is_some_and(|document| document.known == kind))
    }

    /// A workload of any kind.
    pub fn workload(&self, kind: &str, namespace: &str, name: &str) -> Option<&'a Workload> {
        match &self.document(kind, namespace, name)?.object {
            Object::Workload(workload) => Some(workload),
            _ => None,
        }
    }

    /// A Secret.
    pub fn secret(&self, namespace: &str, name: &str) -> Option<&'a Secret> {
        match &self.document("Secret", namespace, name)?.object {
            Object::Secret(secret) => Some(secret),
            _ => None,
        }
    }

    /// A ConfigMap.
    pub fn config_map(&self, namespace: &str, name: &str) -> Option<&'a ConfigMap> {
        match &self.document("ConfigMap", namespace, name)?.object {
            Object::ConfigMap(object) => Some(object),
            _ => None,
        }
    }

    /// A TriggerAuthentication.
    pub fn trigger_authentication(&self, namespace: &str, name: &str) -> Option<&'a TriggerAuthentication> {
        match &self.document("TriggerAuthentication", namespace, name)?.object {
            Object::TriggerAuthentication(object) => Some(object),
            _ => None,
        }
    }

    /// A ClusterTriggerAuthentication.
    pub fn cluster_trigger_authentication(&self, name: &str) -> Option<&'a ClusterTriggerAuthentication> {
        match &self.document("ClusterTriggerAuthentication", "", name)?.object {
            Object::ClusterTriggerAuthentication(object) => Some(object),
            _ => None,
        }
    }

    /// A ServiceAccount.
    pub fn service_account(&self, namespace: &str, name: &str) -> Option<&'a ServiceAccount> {
        match &self.document("ServiceAccount", namespace, name)?.object {
            Object::ServiceAccount(object) => Some(object),
            _ => None,
        }
    }

    /// The LimitRanges of a namespace.
    pub fn limit_ranges(&self, namespace: &str) -> impl Iterator<Item = &'a LimitRange> {
        self.documents().filter_map(move |(_, document)| match &document.object {
            Object::LimitRange(object) if document.namespace.as_deref() == Some(namespace) => Some(object),
            _ => None,
        })
    }
}

fn key(document: &Document) -> (&str, &str, &str) {
    (&document.kind, document.namespace(), &document.name)
}
