//! The replicas of targets: of Deployments and StatefulSets by watches, begun when the first object scales such a kind;
//! of all other kinds by asking.

use std::collections::HashMap;

use keda_core::api::ScaledObject;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;

use super::driver::Message;
use super::reconcile::Target;
use crate::cluster::object::Trimmed;
use crate::cluster::resource::Resource;
use crate::cluster::scale::Scale;
use crate::cluster::watch::{Name, Scope, watch};
use crate::cluster::{Cluster, pods};

/// The replicas that watches know.
pub(crate) struct Workloads {
    cluster: Cluster,
    scope: Scope,
    messages: mpsc::UnboundedSender<Message>,
    kinds: HashMap<String, Kind>,
}

#[derive(Default)]
struct Kind {
    synced: bool,
    replicas: HashMap<Name, i32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Replicas {
    replicas: Option<i32>,
}

impl Workloads {
    /// No watches yet.
    pub(crate) fn new(cluster: Cluster, namespaces: Vec<String>, messages: mpsc::UnboundedSender<Message>) -> Self {
        let scope = Scope { namespaces, ..Scope::default() };
        Workloads { cluster, scope, messages, kinds: HashMap::new() }
    }

    /// Begins to watch the kind of a target, if it is one of those that are watched.
    pub(super) fn want(&mut self, target: &Target) {
        self.watch_kind(&target.resource);
    }

    /// The same for the target of an object that cannot be used: it may come later.
    pub(super) fn want_kind_of(&mut self, object: &ScaledObject) {
        let reference = &object.spec.scale_target_ref;
        if let Some(resource) = Resource::workload(reference.api_version(), reference.kind()) {
            self.watch_kind(resource);
        }
    }

    /// Only one version is watched, whatever a target says: one that is not served must not be in the way of the others.
    fn watch_kind(&mut self, resource: &Resource) {
        if !resource.is_workload() || self.kinds.contains_key(&*resource.plural) {
            return;
        }
        let plural = resource.plural.to_string();
        self.kinds.insert(plural.clone(), Kind::default());
        let trim = |object: Trimmed<Replicas, Value>| Some(object.spec.replicas.unwrap_or(1));
        let mut changes = Box::pin(watch(&self.cluster, resource, &self.scope, trim));
        let messages = self.messages.clone();
        tokio::spawn(async move {
            use futures::StreamExt;
            while let Some(change) = changes.next().await {
                if messages.send(Message::Workload(plural.clone(), change)).is_err() {
                    return;
                }
            }
        });
    }

    /// A workload is there. Says whether it is new.
    pub(super) fn applied(&mut self, plural: &str, name: Name, replicas: i32) -> bool {
        let kind = self.kinds.entry(plural.to_string()).or_default();
        kind.replicas.insert(name, replicas).is_none()
    }

    pub(super) fn deleted(&mut self, plural: &str, name: &Name) {
        if let Some(kind) = self.kinds.get_mut(plural) {
            kind.replicas.remove(name);
        }
    }

    pub(super) fn synced(&mut self, plural: &str) {
        if let Some(kind) = self.kinds.get_mut(plural) {
            kind.synced = true;
        }
    }

    /// A target was read by a request, which matters while the watch is not there yet.
    pub(super) fn seen(&mut self, target: &Target, namespace: &str, replicas: i32) {
        if let Some(kind) = self.kind(target) {
            kind.replicas.entry((namespace.to_string(), target.name.clone())).or_insert(replicas);
        }
    }

    /// A target was scaled by us; the watch will say so in a moment.
    pub(super) fn scaled(&mut self, target: &Target, namespace: &str, replicas: i32) {
        if let Some(kind) = self.kind(target) {
            kind.replicas.insert((namespace.to_string(), target.name.clone()), replicas);
        }
    }

    fn kind(&mut self, target: &Target) -> Option<&mut Kind> {
        self.kinds.get_mut(&*target.resource.plural).filter(|_| target.resource.is_workload())
    }

    /// The replicas of a target, or that it is gone; nothing when a request must find out.
    pub(super) fn replicas(&self, target: &Target, namespace: &str) -> Option<Result<i32, String>> {
        let kind = self.kinds.get(&*target.resource.plural).filter(|_| target.resource.is_workload())?;
        match kind.replicas.get(&(namespace.to_string(), target.name.clone())) {
            Some(replicas) => Some(Ok(*replicas)),
            None if kind.synced => {
                let Target { resource, name } = target;
                Some(Err(format!("{}.{} {name:?} not found", resource.plural, resource.group)))
            }
            None => None,
        }
    }
}

/// The pods of a target that run and are ready; nothing when they cannot be counted.
pub(super) async fn ready_pods(cluster: &Cluster, namespace: &str, scale: &Scale) -> Option<i32> {
    let mut ready = 0;
    let see = |pod: pods::PodView| ready += i32::from(pod.status.is_ready());
    pods::for_each(cluster, namespace, &scale.status.selector, see).await.ok()?;
    Some(ready)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::resource::DEPLOYMENTS;
    use crate::cluster::testing;

    fn target(version: &str) -> Target {
        let resource = Resource { version: version.to_string().into(), ..DEPLOYMENTS.clone() };
        Target { resource, name: "web".to_string() }
    }

    #[tokio::test]
    async fn a_version_that_is_not_served_is_in_nobodys_way() {
        let (cluster, mut requests) = testing::cluster(|_| None);
        let (messages, _inbox) = mpsc::unbounded_channel();
        let mut workloads = Workloads::new(cluster, Vec::new(), messages);
        let object = json!({
            "metadata": { "name": "web" },
            "spec": { "scaleTargetRef": { "apiVersion": "apps/v1beta2", "name": "web" }, "triggers": [] },
        });
        workloads.want_kind_of(&serde_json::from_value(object).unwrap());
        workloads.want(&target("v1beta1"));
        workloads.want(&target("v1"));
        assert!(requests.next().await.starts_with("GET /apis/apps/v1/deployments?"));
        workloads.seen(&target("v1beta1"), "shop", 7);
        workloads.scaled(&target("v1beta1"), "shop", 7);
        assert_eq!(workloads.replicas(&target("v1"), "shop"), None);
        workloads.seen(&target("v1"), "shop", 2);
        assert_eq!(workloads.replicas(&target("v1"), "shop"), Some(Ok(2)));
        workloads.synced("deployments");
        assert_eq!(workloads.replicas(&target("v1beta1"), "shop"), None, "it is read when it is needed");
        assert_eq!(requests.so_far(), Vec::<String>::new());
    }
}
