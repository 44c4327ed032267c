//! TriggerAuthentications and ClusterTriggerAuthentications: their finalizer, their events, and the names of those who
//! use them (`behaviour.md` §8).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use keda_core::api::{ObjectMeta, TriggerAuthenticationSpec, TriggerAuthenticationStatus};
use keda_core::engine::{ObjectKey, Severity};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::driver::Message;
use super::managed::{Objects, is_older};
use super::reconcile::FINALIZER;
use crate::cluster::events::{About, Event, Events};
use crate::cluster::lookup::Authentications;
use crate::cluster::object::{Trimmed, metadata};
use crate::cluster::resource::{CLUSTER_TRIGGER_AUTHENTICATIONS, Resource, TRIGGER_AUTHENTICATIONS};
use crate::cluster::watch::{Change, Name};
use crate::cluster::{ApiError, Cluster};
use crate::exposition::{Metrics, Registration};

/// The first pause after a write that failed; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What happened to one of them; the namespace of a ClusterTriggerAuthentication is empty.
pub(crate) enum News {
    Changed(Change<Box<AuthenticationObject>>),
    /// Its finalizer or status was written.
    Written(Name, Box<Result<AuthenticationObject, ApiError>>),
    /// What could not be written is to be tried again.
    Due(Name),
}

/// A TriggerAuthentication of either kind.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct AuthenticationObject {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: TriggerAuthenticationSpec,
    #[serde(default)]
    status: Option<TriggerAuthenticationStatus>,
}

impl AuthenticationObject {
    pub(super) fn of(watched: Trimmed<Value, Option<Value>>) -> Option<Box<Self>> {
        let spec = serde_json::from_value(watched.spec);
        if let Err(error) = &spec {
            let name = watched.metadata.name.as_deref().unwrap_or_default();
            tracing::warn!(name, %error, "a TriggerAuthentication cannot be read");
        }
        Some(Box::new(AuthenticationObject {
            metadata: metadata(watched.metadata),
            spec: spec.ok()?,
            status: watched.status.and_then(|status| serde_json::from_value(status).ok()),
        }))
    }

    fn users(&self) -> String {
        self.status.as_ref().and_then(|status| status.scaledobjects.clone()).unwrap_or_default()
    }
}

struct Entry {
    object: AuthenticationObject,
    /// What the status should name.
    users: String,
    writing: bool,
    /// Writes in a row that failed.
    failures: u32,
    /// Whether the next write waits for its time, after one that failed.
    waits: bool,
    /// That it is counted; only by the leader.
    registration: Option<Registration>,
}

/// All of them.
pub(crate) struct AuthenticationBook {
    cluster: Cluster,
    metrics: Metrics,
    events: Events,
    store: Arc<Authentications>,
    messages: mpsc::UnboundedSender<Message>,
    entries: HashMap<Name, Entry>,
    leading: bool,
}

impl AuthenticationBook {
    pub(super) fn new(
        cluster: Cluster,
        metrics: Metrics,
        events: Events,
        store: Arc<Authentications>,
        messages: mpsc::UnboundedSender<Message>,
    ) -> Self {
        AuthenticationBook { cluster, metrics, events, store, messages, entries: HashMap::new(), leading: false }
    }

    /// Takes in what happened.
    pub(super) fn handle(&mut self, news: News) {
        match news {
            News::Changed(Change::Applied(name, object)) => self.applied(&name, *object),
            News::Changed(Change::Deleted(name)) => {
                self.store.delete(&name.0, &name.1);
                self.entries.remove(&name);
            }
            News::Changed(Change::Synced) => {}
            News::Written(name, result) => self.written(name, *result),
            News::Due(name) => {
                if let Some(entry) = self.entries.get_mut(&name) {
                    entry.waits = false;
                    self.tend(&name);
                }
            }
        }
    }

    fn written(&mut self, name: Name, result: Result<AuthenticationObject, ApiError>) {
        let Some(entry) = self.entries.get_mut(&name) else { return };
        entry.writing = false;
        match result {
            Ok(object) => {
                entry.failures = 0;
                if !is_older(&object.metadata, &entry.object.metadata) {
                    entry.object = object;
                }
                self.tend(&name);
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => {
                tracing::warn!(name = %name.1, %error, "cannot write a TriggerAuthentication; trying again");
                let pause = FIRST_PAUSE.saturating_mul(1 << entry.failures.min(20)).min(LONGEST_PAUSE);
                entry.failures = entry.failures.saturating_add(1);
                entry.waits = true;
                let messages = self.messages.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(pause).await;
                    let _ = messages.send(Message::Authentication(News::Due(name)));
                });
            }
        }
    }

    /// This replica writes from now on, or no longer.
    pub(super) fn lead(&mut self, leading: bool) {
        self.leading = leading;
        // What another leader wrote meanwhile counts. Who uses them is named again when it is reconciled, and who is
        // gone must not come back.
        for entry in self.entries.values_mut() {
            entry.users = entry.object.users();
        }
        let names: Vec<Name> = self.entries.keys().cloned().collect();
        for name in names {
            self.count(&name);
            self.tend(&name);
        }
    }

    fn applied(&mut self, name: &Name, object: AuthenticationObject) {
        let known = self.entries.get(name);
        if known.is_some_and(|entry| is_older(&object.metadata, &entry.object.metadata)) {
            // The watch is behind what was written; it will tell of that too.
            return;
        }
        self.store.apply(&name.0, &name.1, object.spec.clone());
        let before = self.entries.remove(name);
        let is_changed =
            before.as_ref().is_some_and(|entry| entry.object.metadata.generation != object.metadata.generation);
        // That it is to go raises the generation too, and is told once it may.
        if is_changed && object.metadata.deletion_timestamp.is_none() && self.leading {
            // The same for both kinds, as in KEDA.
            let note = format!("ClusterTriggerAuthentication {} is updated", name.1);
            self.events.publish(event(&object, Severity::Normal, "ClusterTriggerAuthenticationUpdated", note));
        }
        let entry = match before {
            Some(entry) => Entry { object, ..entry },
            None => {
                let users = object.users();
                Entry { object, users, writing: false, failures: 0, waits: false, registration: None }
            }
        };
        self.entries.insert(name.clone(), entry);
        self.count(name);
        self.tend(name);
    }

    /// Counts it among those that are there.
    fn count(&mut self, name: &Name) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        let kind = if name.0.is_empty() { "cluster_trigger_authentication" } else { "trigger_authentication" };
        if !self.leading {
            entry.registration = None;
        } else if entry.registration.is_none() {
            entry.registration = Some(self.metrics.register(kind, &name.0, std::iter::empty()));
        }
    }

    /// Writes what is to be written: the finalizer, then the names of those who use it. One write at a time.
    fn tend(&mut self, name: &Name) {
        let is_free = |entry: &&mut Entry| self.leading && !entry.writing && !entry.waits;
        let Some(entry) = self.entries.get_mut(name).filter(is_free) else { return };
        let metadata = &entry.object.metadata;
        let held = metadata.finalizers.iter().any(|known| known == FINALIZER);
        let leaves = metadata.deletion_timestamp.is_some();
        let path = resource(name).object(Some(name.0.as_str()).filter(|namespace| !namespace.is_empty()), &name.1);
        let (path, patch) = if held == leaves {
            let mut finalizers = metadata.finalizers.clone();
            finalizers.retain(|known| known != FINALIZER);
            if !leaves {
                finalizers.push(FINALIZER.to_string());
            }
            let version = &metadata.resource_version;
            (path, json!({ "metadata": { "finalizers": finalizers, "resourceVersion": version } }))
        } else if !leaves && entry.users != entry.object.users() {
            (path.below("status"), json!({ "status": { "scaledobjects": entry.users } }))
        } else {
            return;
        };
        entry.writing = true;
        let event = (held == leaves).then(|| {
            let (severity, reason, note) = told(name, leaves);
            event(&entry.object, severity, reason, note)
        });
        let (cluster, messages, name) = (self.cluster.clone(), self.messages.clone(), name.clone());
        let events = self.events.clone();
        tokio::spawn(async move {
            let result = cluster.merge::<AuthenticationObject>(&path, &patch).await;
            if let (Ok(_), Some(event)) = (&result, event) {
                events.publish(event);
            }
            let _ = messages.send(Message::Authentication(News::Written(name, Box::new(result))));
        });
    }

    /// An object is used by those that it refers to.
    pub(super) fn use_by(&mut self, key: &ObjectKey, objects: &Objects) {
        self.name_user(key, objects, true);
    }

    /// An object is gone.
    pub(super) fn forget(&mut self, key: &ObjectKey, objects: &Objects) {
        self.name_user(key, objects, false);
    }

    fn name_user(&mut self, key: &ObjectKey, objects: &Objects, uses: bool) {
        let Some(managed) = objects.get(key) else { return };
        let references = managed.object.spec.triggers.iter().filter_map(|trigger| trigger.authentication_ref.as_ref());
        for reference in references {
            let namespace = if reference.is_cluster() { "" } else { key.namespace.as_str() };
            let name = (namespace.to_string(), reference.name.clone());
            let Some(entry) = self.entries.get_mut(&name) else { continue };
            let mut users: Vec<&str> = entry.users.split(',').filter(|user| !user.is_empty()).collect();
            match (users.iter().position(|user| *user == key.name), uses) {
                (None, true) => users.push(&key.name),
                (Some(position), false) => {
                    users.remove(position);
                }
                _ => continue,
            }
            entry.users = users.join(",");
            self.tend(&name);
        }
    }
}

fn event(object: &AuthenticationObject, severity: Severity, reason: &'static str, note: String) -> Event {
    let metadata = &object.metadata;
    let namespace = metadata.namespace.clone().unwrap_or_default();
    let kind = if namespace.is_empty() { "ClusterTriggerAuthentication" } else { "TriggerAuthentication" };
    let about = About {
        api_version: "keda.sh/v1alpha1",
        kind,
        namespace,
        name: metadata.name.clone(),
        uid: metadata.uid.clone().unwrap_or_default(),
    };
    Event { about, severity, reason, action: note.clone(), note }
}

fn resource(name: &Name) -> &'static Resource {
    if name.0.is_empty() { &CLUSTER_TRIGGER_AUTHENTICATIONS } else { &TRIGGER_AUTHENTICATIONS }
}

fn told(name: &Name, leaves: bool) -> (Severity, &'static str, String) {
    match (name.0.is_empty(), leaves) {
        (false, false) => {
            (Severity::Normal, "TriggerAuthenticationAdded", "New TriggerAuthentication configured".to_string())
        }
        (true, false) => {
            let note = "New ClusterTriggerAuthentication configured".to_string();
            (Severity::Normal, "ClusterTriggerAuthenticationAdded", note)
        }
        (false, true) => {
            (Severity::Normal, "TriggerAuthenticationDeleted", "TriggerAuthentication was deleted".to_string())
        }
        (true, true) => {
            let note = "ClusterTriggerAuthentication was deleted".to_string();
            (Severity::Normal, "ClusterTriggerAuthenticationDeleted", note)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::cluster::testing;
    use crate::exposition::Build;

    fn authentication(version: &str, finalizers: &[&str]) -> Value {
        json!({
            "metadata": { "name": "key", "namespace": "shop", "resourceVersion": version, "finalizers": finalizers },
            "spec": {},
        })
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_written_is_tried_again_and_told_once_it_is() {
        let attempts = AtomicU32::new(0);
        let (cluster, mut requests) = testing::cluster(move |request| match request.split('?').next() {
            Some("PATCH /apis/keda.sh/v1alpha1/namespaces/shop/triggerauthentications/key") => {
                let refused = json!({ "kind": "Status", "code": 500, "reason": "InternalError", "message": "busy" });
                let is_early = attempts.fetch_add(1, Ordering::SeqCst) < 3;
                Some(if is_early { refused } else { authentication("5", &[FINALIZER]) })
            }
            _ => Some(json!({ "metadata": {} })),
        });
        let (messages, mut inbox) = mpsc::unbounded_channel();
        let events = Events::start(cluster.clone(), "keda-operator", "here");
        let metrics = Metrics::new(Build::default()).unwrap();
        let mut book = AuthenticationBook::new(cluster, metrics, events, Arc::default(), messages);
        book.lead(true);
        let object = serde_json::from_value(authentication("4", &[])).unwrap();
        let name = ("shop".to_string(), "key".to_string());
        book.handle(News::Changed(Change::Applied(name.clone(), object)));
        while book.entries[&name].object.metadata.finalizers.is_empty() {
            let Some(Message::Authentication(news)) = inbox.recv().await else { panic!("nothing else is told") };
            book.handle(news);
        }
        let asked = loop {
            let asked = requests.next().await;
            if !asked.starts_with("PATCH") {
                break asked;
            }
        };
        assert!(asked.starts_with("POST /apis/events.k8s.io/v1/namespaces/shop/events"), "{asked}");
        assert!(requests.so_far().iter().all(|request| !request.starts_with("PATCH /apis/keda.sh")));
    }

    #[tokio::test]
    async fn a_new_leader_begins_with_the_names_that_stand_there() {
        let (cluster, _requests) = testing::cluster(|_| None);
        let (messages, _inbox) = mpsc::unbounded_channel();
        let events = Events::start(cluster.clone(), "keda-operator", "here");
        let metrics = Metrics::new(Build::default()).unwrap();
        let mut book = AuthenticationBook::new(cluster, metrics, events, Arc::default(), messages);
        let name = ("shop".to_string(), "key".to_string());
        for (version, users) in [("4", "cart,gone"), ("6", "cart"), ("5", "gone")] {
            let mut object = authentication(version, &[FINALIZER]);
            object["status"] = json!({ "scaledobjects": users });
            let object = serde_json::from_value(object).unwrap();
            book.handle(News::Changed(Change::Applied(name.clone(), object)));
        }
        book.lead(true);
        let entry = &book.entries[&name];
        assert_eq!((entry.users.as_str(), entry.writing), ("cart", false), "news that comes late is none");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_to_go_is_told_of_as_deleted_only() {
        fn leaving(version: &str, finalizers: &[&str]) -> Value {
            let mut object = authentication(version, finalizers);
            object["metadata"]["generation"] = json!(2);
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            object
        }
        let (cluster, mut requests) = testing::cluster(|request| match request.starts_with("PATCH") {
            true => Some(leaving("6", &[])),
            false => Some(json!({})),
        });
        let (messages, mut inbox) = mpsc::unbounded_channel();
        let events = Events::start(cluster.clone(), "keda-operator", "here");
        let metrics = Metrics::new(Build::default()).unwrap();
        let mut book = AuthenticationBook::new(cluster, metrics, events, Arc::default(), messages);
        book.lead(true);
        let name = ("shop".to_string(), "key".to_string());
        for object in [authentication("4", &[FINALIZER]), leaving("5", &[FINALIZER])] {
            let object = serde_json::from_value(object).unwrap();
            book.handle(News::Changed(Change::Applied(name.clone(), object)));
        }
        let Some(Message::Authentication(news)) = inbox.recv().await else { panic!("nothing else is told") };
        book.handle(news);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let requests = requests.so_far();
        let methods: Vec<&str> = requests.iter().filter_map(|request| request.split(' ').next()).collect();
        assert_eq!(methods, ["PATCH", "POST"], "the finalizer goes, and one event is written");
    }
}
