//! Watches that stay small: what arrives is trimmed at once, and only what changed is passed on.

use std::collections::HashSet;
use std::fmt::Debug;
use std::time::Duration;

use backon::ExponentialBuilder;
use futures::{Stream, StreamExt, stream};
use kube::Api;
use kube::runtime::utils::ResetTimerBackoff;
use kube::runtime::watcher::ExponentialBackoff;
use kube::runtime::{WatchStreamExt, watcher};
use serde::de::DeserializeOwned;

use super::client::Cluster;
use super::object::Trimmed;
use super::resource::Resource;
use super::trouble::Trouble;

/// Objects that are listed with one request: what is read of a page takes memory that is not given back.
const PAGE: u32 = 200;

/// Namespace (empty for cluster-scoped objects) and name.
pub(crate) type Name = (String, String);

/// What a watch tells.
#[derive(Debug)]
pub(crate) enum Change<T> {
    /// An object is there, or was changed.
    Applied(Name, T),
    /// An object is gone.
    Deleted(Name),
    /// All objects that are there were told.
    Synced,
}

/// What is watched.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    /// Only these namespaces; all when empty.
    pub(crate) namespaces: Vec<String>,
    /// Only objects with these labels.
    pub(crate) labels: String,
    /// Only objects with these fields.
    pub(crate) fields: String,
}

/// What `spec` and `status` of a watched object may be.
pub(crate) trait Part: Default + Clone + DeserializeOwned + Debug + Send + 'static {}

impl<T: Default + Clone + DeserializeOwned + Debug + Send + 'static> Part for T {}

/// Watches the objects of a resource for as long as the stream is read; errors are logged and tried again. `trim` makes
/// of each what is kept of it, or nothing.
pub(crate) fn watch<Spec, Status, T, F>(
    cluster: &Cluster,
    resource: &Resource,
    scope: &Scope,
    trim: F,
) -> impl Stream<Item = Change<T>> + Send + use<Spec, Status, T, F>
where
    Spec: Part,
    Status: Part,
    T: Send + 'static,
    F: Fn(Trimmed<Spec, Status>) -> Option<T> + Clone + Send + 'static,
{
    let api_resource = resource.to_api_resource();
    let apis: Vec<Api<Trimmed<Spec, Status>>> = if scope.namespaces.is_empty() {
        vec![Api::all_with(cluster.client(), &api_resource)]
    } else {
        let namespaces = scope.namespaces.iter();
        namespaces.map(|namespace| Api::namespaced_with(cluster.client(), namespace, &api_resource)).collect()
    };
    let config = watcher::Config {
        label_selector: Some(scope.labels.clone()).filter(|labels| !labels.is_empty()),
        field_selector: Some(scope.fields.clone()).filter(|fields| !fields.is_empty()),
        page_size: Some(PAGE),
        ..watcher::Config::default()
    };
    let mut waiting = apis.len();
    let plural = resource.plural.clone();
    stream::select_all(
        apis.into_iter().map(|api| changes(api, config.clone(), plural.to_string(), trim.clone()).boxed()),
    )
    .filter_map(move |change| {
        let change = match change {
            // Together they are synced when the last of them is.
            Change::Synced => {
                waiting = waiting.saturating_sub(1);
                (waiting == 0).then_some(Change::Synced)
            }
            change => Some(change),
        };
        std::future::ready(change)
    })
}

/// Pauses before a watch that failed is tried again. Whoever scales within seconds cannot be blind for a minute once the API
/// server is back, as with the library's own pauses.
fn backoff() -> ResetTimerBackoff<ExponentialBackoff> {
    let pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(800))
        .with_max_delay(Duration::from_secs(5))
        .with_jitter()
        .without_max_times();
    ResetTimerBackoff::new(pauses.into(), Duration::from_mins(2))
}

fn changes<Spec, Status, T, F>(
    api: Api<Trimmed<Spec, Status>>,
    config: watcher::Config,
    plural: String,
    trim: F,
) -> impl Stream<Item = Change<T>> + Send
where
    Spec: Part,
    Status: Part,
    T: Send + 'static,
    F: Fn(Trimmed<Spec, Status>) -> Option<T> + Send + 'static,
{
    let mut known: HashSet<Name> = HashSet::new();
    let mut listed: HashSet<Name> = HashSet::new();
    let mut synced = false;
    let mut trouble = Trouble::default();
    watcher(api, config).backoff(backoff()).flat_map(move |event| {
        let mut changes = Vec::new();
        if event.is_ok() {
            trouble.is_over(&plural);
        }
        match event {
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitApply(object)) => {
                let name = name_of(&object);
                if let Some(trimmed) = trim(object) {
                    listed.insert(name.clone());
                    known.insert(name.clone());
                    changes.push(Change::Applied(name, trimmed));
                }
            }
            Ok(watcher::Event::InitDone) => {
                let gone: Vec<Name> = known.difference(&listed).cloned().collect();
                known = std::mem::take(&mut listed);
                changes.extend(gone.into_iter().map(Change::Deleted));
                if !std::mem::replace(&mut synced, true) {
                    changes.push(Change::Synced);
                }
            }
            Ok(watcher::Event::Apply(object)) => {
                let name = name_of(&object);
                match trim(object) {
                    Some(trimmed) => {
                        known.insert(name.clone());
                        changes.push(Change::Applied(name, trimmed));
                    }
                    None if known.remove(&name) => changes.push(Change::Deleted(name)),
                    None => {}
                }
            }
            Ok(watcher::Event::Delete(object)) => {
                let name = name_of(&object);
                if known.remove(&name) {
                    changes.push(Change::Deleted(name));
                }
            }
            Err(error) => trouble.tell(&plural, error),
        }
        stream::iter(changes)
    })
}

fn name_of<K: kube::Resource>(object: &K) -> Name {
    let metadata = object.meta();
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}
