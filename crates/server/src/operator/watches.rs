//! What the driver is told of the cluster.

use std::sync::Arc;

use futures::{Stream, StreamExt};
use keda_core::api::ScaledObject;
use serde_json::Value;
use tokio::sync::mpsc;

use super::authentications::{AuthenticationObject, News};
use super::driver::Message;
use super::hpa::{HpaStatus, KnownHpa};
use crate::cluster::Cluster;
use crate::cluster::object::{Trimmed, metadata};
use crate::cluster::resource::{CLUSTER_TRIGGER_AUTHENTICATIONS, HPAS, SCALED_OBJECTS, TRIGGER_AUTHENTICATIONS};
use crate::cluster::watch::{Change, Scope, watch};

/// Which objects concern this operator.
#[derive(Debug, Clone, Default)]
pub(super) struct Scopes {
    pub(super) namespaces: Vec<String>,
    /// Labels of ScaledObjects, and of the HPAs that take them over.
    pub(super) labels: String,
    /// Labels of TriggerAuthentications.
    pub(super) authentication_labels: String,
}

/// Begins to watch everything but workloads, which are watched once something scales them.
pub(super) fn start(cluster: &Cluster, scopes: &Scopes, messages: &mpsc::UnboundedSender<Message>) {
    let objects = Scope { namespaces: scopes.namespaces.clone(), labels: scopes.labels.clone(), ..Scope::default() };
    let authentications = Scope { labels: scopes.authentication_labels.clone(), ..objects.clone() };
    let of_cluster = Scope { namespaces: Vec::new(), ..authentications.clone() };
    // First what objects refer to, so that it is mostly there when they are planned.
    let book = |change| Message::Authentication(News::Changed(change));
    forward(watch(cluster, &TRIGGER_AUTHENTICATIONS, &authentications, AuthenticationObject::of), messages, book);
    forward(watch(cluster, &CLUSTER_TRIGGER_AUTHENTICATIONS, &of_cluster, AuthenticationObject::of), messages, book);
    forward(
        watch(cluster, &HPAS, &objects, |hpa: Trimmed<Value, HpaStatus>| KnownHpa::of(hpa).map(Box::new)),
        messages,
        Message::Hpa,
    );
    forward(watch(cluster, &SCALED_OBJECTS, &objects, scaled_object), messages, Message::Object);
}

fn forward<T: Send + 'static>(
    changes: impl Stream<Item = Change<T>> + Send + 'static,
    messages: &mpsc::UnboundedSender<Message>,
    wrap: impl Fn(Change<T>) -> Message + Send + 'static,
) {
    let messages = messages.clone();
    tokio::spawn(async move {
        let mut changes = Box::pin(changes);
        while let Some(change) = changes.next().await {
            if messages.send(wrap(change)).is_err() {
                return;
            }
        }
    });
}

/// A ScaledObject as it is kept. One that does not fit its definition is left alone, and others are not harmed.
fn scaled_object(watched: Trimmed<Value, Option<Value>>) -> Option<Arc<ScaledObject>> {
    let metadata = metadata(watched.metadata);
    match serde_json::from_value(watched.spec) {
        Ok(spec) => {
            let status = watched.status.and_then(|status| serde_json::from_value(status).ok());
            Some(Arc::new(ScaledObject { metadata, spec, status }))
        }
        Err(error) => {
            let namespace = metadata.namespace();
            tracing::error!(namespace, name = %metadata.name, %error, "a ScaledObject cannot be read and is left alone");
            None
        }
    }
}
