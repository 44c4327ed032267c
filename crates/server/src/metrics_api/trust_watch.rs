//! Follows what may change about whose certificates are believed: a ConfigMap of the cluster, and files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use tokio::sync::watch;

use super::settings::AuthenticationSettings;
use super::trust::{FrontProxyTexts, Trust, TrustTexts};
use crate::watch_one::{Seen, watch_one};

const NAMESPACE: &str = "kube-system";
const NAME: &str = "extension-apiserver-authentication";

/// The newest trust; `None` until all that it is made of could be read.
pub(super) type TrustWatch = watch::Receiver<Option<Arc<Trust>>>;

/// Starts to follow the ConfigMap and the files; ends when nobody reads the result any more.
pub(super) fn follow(client: Client, settings: AuthenticationSettings) -> TrustWatch {
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        let (map, map_receiver) = watch::channel(Seen::Unknown);
        let wants_map = !settings.skip_lookup
            && (settings.client_ca_file.is_none() || settings.request_header.client_ca_file.is_none());
        tokio::select! {
            () = sender.closed() => {}
            () = watch_one(Api::<ConfigMap>::namespaced(client, NAMESPACE), NAME, &map), if wants_map => {}
            () = combine(&settings, wants_map, map_receiver, &sender) => {}
        }
    });
    receiver
}

/// Puts files over the ConfigMap, and publishes what comes out when it is new.
async fn combine(
    settings: &AuthenticationSettings,
    wants_map: bool,
    mut map: watch::Receiver<Seen<ConfigMap>>,
    publish: &watch::Sender<Option<Arc<Trust>>>,
) {
    let has_files = settings.client_ca_file.is_some() || settings.request_header.client_ca_file.is_some();
    let mut from_map = (!wants_map).then(TrustTexts::default);
    let mut published = None;
    loop {
        // A ConfigMap that disappears, or is damaged, changes nothing.
        if let Seen::Present(map) = &*map.borrow_and_update() {
            match TrustTexts::of_config_map(map.data.as_ref().unwrap_or(&BTreeMap::new())) {
                Ok(texts) => from_map = Some(texts),
                Err(error) => tracing::error!(%error, "ConfigMap {NAMESPACE}/{NAME} cannot be understood"),
            }
        }
        if let Some(from_map) = &from_map {
            update(settings, from_map.clone(), &mut published, publish).await;
        }
        tokio::select! {
            changed = map.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(settings.file_interval), if has_files => {}
        }
    }
}

async fn update(
    settings: &AuthenticationSettings,
    from_map: TrustTexts,
    published: &mut Option<TrustTexts>,
    publish: &watch::Sender<Option<Arc<Trust>>>,
) {
    let texts = match with_files(settings, from_map).await {
        Ok(texts) => texts,
        Err(error) => return tracing::warn!(%error, "cannot read the CAs of clients; trying again"),
    };
    if published.as_ref() == Some(&texts) {
        return;
    }
    match Trust::new(texts.clone()) {
        Ok(trust) => drop(publish.send_replace(Some(Arc::new(trust)))),
        Err(error) => tracing::error!(%error, "CAs of clients cannot be used; the last ones stay in use"),
    }
    *published = Some(texts);
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
