//! Follows what may change about whose certificates are believed: a ConfigMap of the cluster, and files.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_objects};
use kube::{Api, Client};
use tokio::sync::watch;

use super::settings::AuthenticationSettings;
use super::trust::{FrontProxyTexts, Trust, TrustTexts};

const NAMESPACE: &str = "kube-system";
const NAME: &str = "extension-apiserver-authentication";

/// The newest trust; `None` until all that it is made of could be read.
pub(super) type TrustWatch = watch::Receiver<Option<Arc<Trust>>>;

/// Starts to follow the ConfigMap and the files; ends when nobody reads the result any more.
pub(super) fn follow(client: Client, settings: AuthenticationSettings) -> TrustWatch {
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        let (cluster, cluster_receiver) = watch::channel(None);
        let wants_cluster = !settings.skip_lookup
            && (settings.client_ca_file.is_none() || settings.request_header.client_ca_file.is_none());
        tokio::select! {
            () = sender.closed() => {}
            () = follow_config_map(client, &cluster), if wants_cluster => {}
            () = combine(&settings, wants_cluster, cluster_receiver, &sender) => {}
        }
    });
    receiver
}

/// Publishes the ConfigMap's texts whenever they change. One that disappears changes nothing.
async fn follow_config_map(client: Client, publish: &watch::Sender<Option<TrustTexts>>) {
    let config = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
    let events = watch_objects(Api::<ConfigMap>::namespaced(client, NAMESPACE), config).default_backoff();
    let mut events = pin!(events);
    while let Some(event) = events.next().await {
        let map = match event {
            Ok(Event::Apply(map) | Event::InitApply(map)) => map,
            Ok(Event::Init | Event::InitDone | Event::Delete(_)) => continue,
            Err(error) => {
                tracing::warn!(%error, "cannot read ConfigMap {NAMESPACE}/{NAME}; trying again");
                continue;
            }
        };
        match TrustTexts::of_config_map(&map.data.unwrap_or_else(BTreeMap::new)) {
            Ok(texts) => publish.send_if_modified(|known| known.replace(texts) != *known),
            Err(error) => {
                tracing::error!(%error, "ConfigMap {NAMESPACE}/{NAME} cannot be understood; the last one stays in use");
                false
            }
        };
    }
}

/// Puts files over the ConfigMap, and publishes what comes out when it is new.
async fn combine(
    settings: &AuthenticationSettings,
    wants_cluster: bool,
    mut cluster: watch::Receiver<Option<TrustTexts>>,
    publish: &watch::Sender<Option<Arc<Trust>>>,
) {
    let has_files = settings.client_ca_file.is_some() || settings.request_header.client_ca_file.is_some();
    let mut published = None;
    loop {
        let from_cluster = cluster.borrow_and_update().clone();
        let is_complete = !wants_cluster || from_cluster.is_some();
        match with_files(settings, from_cluster.unwrap_or_default()).await {
            Ok(texts) if is_complete && published.as_ref() != Some(&texts) => {
                match Trust::new(texts.clone()) {
                    Ok(trust) => drop(publish.send_replace(Some(Arc::new(trust)))),
                    Err(error) => tracing::error!(%error, "CAs of clients cannot be used; the last ones stay in use"),
                }
                published = Some(texts);
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "cannot read the CAs of clients; trying again"),
        }
        tokio::select! {
            changed = cluster.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(settings.file_interval), if has_files => {}
        }
    }
}

async fn with_files(settings: &AuthenticationSettings, cluster: TrustTexts) -> std::io::Result<TrustTexts> {
    let TrustTexts { mut client_ca, mut front_proxy } = cluster;
    if let Some(path) = &settings.client_ca_file {
        client_ca = Some(read(path).await?);
    }
    if let Some(path) = &settings.request_header.client_ca_file {
        front_proxy = Some(FrontProxyTexts::of_flags(read(path).await?, &settings.request_header));
    }
    Ok(TrustTexts { client_ca, front_proxy })
}

async fn read(path: &Path) -> std::io::Result<String> {
    tokio::fs::read_to_string(path).await.map_err(|error| {
        let text = format!("{}: {error}", path.display());
        std::io::Error::new(error.kind(), text)
    })
}
