//! Follows one object of the cluster by its name.

use std::fmt::Debug;
use std::pin::pin;

use futures::StreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

/// What is known of an object.
#[derive(Debug, Clone, Default)]
pub(crate) enum Seen<K> {
    /// The API server has not answered yet.
    #[default]
    Unknown,
    Absent,
    Present(K),
}

impl<K> Seen<K> {
    pub(crate) fn present(&self) -> Option<&K> {
        match self {
            Seen::Present(object) => Some(object),
            Seen::Unknown | Seen::Absent => None,
        }
    }
}

/// Publishes the newest state of an object for as long as it is polled, retrying with back-off; the role that allows to list
/// and watch may be limited to this name.
pub(crate) async fn watch_one<K>(api: Api<K>, name: &str, publish: &watch::Sender<Seen<K>>)
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = pin!(watcher(api, config).default_backoff());
    let mut listed = Seen::Absent;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed = Seen::Absent,
            Ok(Event::InitApply(object)) => listed = Seen::Present(object),
            Ok(Event::InitDone) => drop(publish.send_replace(std::mem::take(&mut listed))),
            Ok(Event::Apply(object)) => drop(publish.send_replace(Seen::Present(object))),
            Ok(Event::Delete(_)) => drop(publish.send_replace(Seen::Absent)),
            Err(error) => tracing::warn!(name, %error, "cannot watch the object; trying again"),
        }
    }
}
