//! Keeps the Secret valid, the API server trusting it, and the servers supplied with it.
//!
//! No read may fail while certificates change, although several replicas serve and the API server learns of a new CA with a
//! delay. Hence the order: the new CA is added to what the API server trusts; the Secret is written; each replica sees it, makes
//! sure that the API server trusts it, waits a moment, and serves it; later the old CA is taken away. It does not matter who
//! wrote the Secret. Only the leader writes.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use keda_scalers::sampler::wall_clock;
use kube::{Api, Client};
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::cluster::{API_SERVICE, Trusting, write_secret};
use super::material::{Material, Names, Verdict, inspect, usable};
use super::{CertificateError, bundle, generate};
use crate::tls::Identity;
use crate::watch_one::{Seen, watch_one};

/// The wait after a failure, doubled with each further one up to the second value.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What is rotated, and how patiently.
#[derive(Debug, Clone)]
pub struct RotationSettings {
    /// The services that the certificate is for; the Secret is in their namespace.
    pub names: Names,
    /// `--cert-secret-name`.
    pub secret: String,
    /// `--enable-apiservice-patching`.
    pub api_service: bool,
    /// `--validating-webhook-name`, if webhooks are patched.
    pub webhook_configuration: Option<String>,
    /// How long the API server may take to use a new `caBundle`.
    pub settle: Duration,
    /// How long to wait for a `caBundle` that nobody patches before a new certificate is served all the same.
    pub patience: Duration,
    /// How long the old CA stays trusted. Mounted Secrets change a minute or two late.
    pub grace: Duration,
    /// How often the certificate's age is looked at.
    pub interval: Duration,
}

impl RotationSettings {
    /// The usual Secret and objects.
    pub fn new(names: Names) -> Self {
        RotationSettings {
            webhook_configuration: names.webhooks.is_some().then(|| "keda-admission".to_owned()),
            names,
            secret: "kedaorg-certs".to_owned(),
            api_service: true,
            settle: Duration::from_secs(1),
            patience: Duration::from_secs(30),
            grace: Duration::from_secs(300),
            interval: Duration::from_secs(12 * 3600),
        }
    }
}

/// Watches the Secret and publishes its identity; while `leader` is true, also writes what is due. Runs until the shutdown.
pub async fn rotate(
    client: Client,
    settings: RotationSettings,
    leader: watch::Receiver<bool>,
    publish: watch::Sender<Option<Arc<Identity>>>,
    shutdown: CancellationToken,
) {
    let watches = Watches::default();
    let mut observer = watches.observer(leader);
    let mut rotation = Rotation {
        secrets: Api::namespaced(client.clone(), &settings.names.namespace),
        client: client.clone(),
        settings: &settings,
        publish,
        started: Instant::now(),
        fresh: None,
        pending: None,
        superfluous_since: None,
        swapped: None,
    };
    let work = async {
        let mut failures = 0;
        loop {
            let wake = match rotation.step(&observer.observe()).await {
                Ok(wake) => {
                    failures = 0;
                    wake.unwrap_or_else(|| Instant::now() + settings.interval)
                }
                Err(error) => {
                    tracing::warn!(%error, "certificates not up to date; trying again");
                    failures += 1;
                    Instant::now() + RETRY.1.min(RETRY.0 * 2_u32.saturating_pow(failures - 1))
                }
            };
            tokio::select! {
                () = observer.changed() => {}
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = watches.run(client, &settings) => {}
        () = work => {}
    }
}

/// The objects that decide.
#[derive(Default)]
struct Watches {
    secret: watch::Sender<Seen<Secret>>,
    api_service: watch::Sender<Seen<APIService>>,
    webhooks: watch::Sender<Seen<ValidatingWebhookConfiguration>>,
}

impl Watches {
    fn observer(&self, leader: watch::Receiver<bool>) -> Observer {
        Observer {
            leader,
            secret: self.secret.subscribe(),
            api_service: self.api_service.subscribe(),
            webhooks: self.webhooks.subscribe(),
        }
    }

    async fn run(&self, client: Client, settings: &RotationSettings) {
        let secrets = Api::namespaced(client.clone(), &settings.names.namespace);
        let api_service = async {
            if settings.api_service {
                watch_one(Api::all(client.clone()), API_SERVICE, &self.api_service).await;
            }
        };
        let webhooks = async {
            if let Some(name) = &settings.webhook_configuration {
                watch_one(Api::all(client.clone()), name, &self.webhooks).await;
            }
        };
        tokio::join!(watch_one(secrets, &settings.secret, &self.secret), api_service, webhooks);
    }
}

struct Observer {
    leader: watch::Receiver<bool>,
    secret: watch::Receiver<Seen<Secret>>,
    api_service: watch::Receiver<Seen<APIService>>,
    webhooks: watch::Receiver<Seen<ValidatingWebhookConfiguration>>,
}

impl Observer {
    fn observe(&mut self) -> Observed {
        Observed {
            leader: *self.leader.borrow_and_update(),
            secret: self.secret.borrow_and_update().clone(),
            api_service: self.api_service.borrow_and_update().clone(),
            webhooks: self.webhooks.borrow_and_update().clone(),
        }
    }

    /// Waits until something differs from what was observed; forever if nothing can any more.
    async fn changed(&mut self) {
        tokio::select! {
            Ok(()) = self.secret.changed() => {}
            Ok(()) = self.api_service.changed() => {}
            Ok(()) = self.webhooks.changed() => {}
            Ok(()) = self.leader.changed() => {}
            else => std::future::pending().await,
        }
    }
}

/// The state of the cluster that a step goes by.
struct Observed {
    leader: bool,
    secret: Seen<Secret>,
    api_service: Seen<APIService>,
    webhooks: Seen<ValidatingWebhookConfiguration>,
}

struct Rotation<'a> {
    client: Client,
    secrets: Api<Secret>,
    settings: &'a RotationSettings,
    publish: watch::Sender<Option<Arc<Identity>>>,
    started: Instant,
    /// Made, but not yet in the Secret.
    fresh: Option<Material>,
    /// The identity in the Secret that is not served yet.
    pending: Option<Pending>,
    /// Since when bundles hold more than is needed.
    superfluous_since: Option<Instant>,
    /// When the identity served replaced another.
    swapped: Option<Instant>,
}

struct Pending {
    identity: Arc<Identity>,
    seen: Instant,
    /// Since when the API server is told to trust it.
    bundled: Option<Instant>,
}

impl Rotation<'_> {
    /// Does what is due; the time at which something else will be.
    async fn step(&mut self, seen: &Observed) -> Result<Option<Instant>, CertificateError> {
        let secret = match &seen.secret {
            Seen::Unknown => return Ok(None),
            Seen::Absent => None,
            Seen::Present(secret) => Some(secret),
        };
        match inspect(secret.and_then(|secret| secret.data.as_ref()), &self.settings.names, wall_clock()) {
            Verdict::Valid(material) => {
                self.fresh = None;
                self.follow(&material.identity, seen).await
            }
            Verdict::Renew(reason) => {
                // Until somebody has renewed it, what there is will do.
                if let Some(identity) = secret.and_then(|secret| usable(secret.data.as_ref()?, wall_clock())) {
                    self.serve_first(&identity);
                }
                if !seen.leader {
                    return Ok(None);
                }
                let latest = self.started + self.settings.patience;
                if !self.knows_bundles(seen) && Instant::now() < latest {
                    return Ok(Some(latest));
                }
                tracing::info!(secret = self.settings.secret, reason, "making new certificates");
                self.renew(secret, seen).await.map(|()| None)
            }
        }
    }

    /// Serves an identity where none is served: there is nothing to wait for.
    fn serve_first(&self, identity: &Arc<Identity>) {
        let serves = self.publish.borrow().is_some();
        if !serves {
            self.publish.send_replace(Some(Arc::clone(identity)));
        }
    }

    /// Writes a new Secret after the API server was told of it.
    async fn renew(&mut self, secret: Option<&Secret>, seen: &Observed) -> Result<(), CertificateError> {
        let material = match self.fresh.take() {
            Some(material) => material,
            None => generated(self.settings.names.clone()).await?,
        };
        let material = self.fresh.insert(material).clone();
        let objects = self.trusting(seen);
        let was_trusted = objects.iter().any(|object| object.bundles().iter().any(|bundle| !bundle.is_empty()));
        match self.extend(&objects, material.identity.authorities()).await {
            Ok(()) if was_trusted => tokio::time::sleep(self.settings.settle).await,
            Ok(()) => {}
            Err(error) if was_trusted => return Err(error),
            // Nobody was trusted so far, so that nothing breaks. It is tried again once the Secret is there.
            Err(error) => tracing::warn!(%error, "the API server is not told of the new CA yet"),
        }
        let written = write_secret(&self.secrets, &self.settings.secret, secret, &material).await;
        if is_conflict(&written) {
            self.fresh = None; // Somebody else wrote it; look at that first.
        }
        written
    }

    /// Serves what the Secret holds, once the API server trusts it.
    async fn follow(&mut self, identity: &Arc<Identity>, seen: &Observed) -> Result<Option<Instant>, CertificateError> {
        self.serve_first(identity);
        let objects = self.trusting(seen);
        let authorities = identity.authorities();
        if seen.leader {
            self.extend(&objects, authorities).await?;
        }
        let holds = |object: &Trusting| object.bundles().iter().all(|bundle| bundle::contains(bundle, authorities));
        let is_bundled = self.knows_bundles(seen) && (seen.leader || objects.iter().all(holds));
        if let Some(due) = self.swap(identity, is_bundled) {
            return Ok(Some(due));
        }
        let trim = if seen.leader { self.trim(&objects, authorities).await? } else { None };
        Ok([trim, self.forget()].into_iter().flatten().min())
    }

    /// Publishes an identity when it is time; returns when that will be, if later.
    fn swap(&mut self, identity: &Arc<Identity>, is_bundled: bool) -> Option<Instant> {
        let now = Instant::now();
        let served = self.publish.borrow().clone()?;
        if served.is_same(identity) {
            self.pending = None;
            return None;
        }
        let is_other = self.pending.as_ref().is_none_or(|pending| !pending.identity.is_same(identity));
        if is_other {
            self.pending = Some(Pending { identity: identity.clone(), seen: now, bundled: None });
        }
        let pending = self.pending.as_mut()?;
        pending.bundled = if is_bundled { pending.bundled.or(Some(now)) } else { None };
        let latest = pending.seen + self.settings.patience;
        let due = pending.bundled.map_or(latest, |since| latest.min(since + self.settings.settle));
        if now < due {
            return Some(due);
        }
        tracing::info!("serving the new certificate");
        let identity = Identity::clone(identity).trusting_also(served.authorities());
        self.publish.send_replace(Some(Arc::new(identity)));
        self.pending = None;
        self.swapped = Some(now);
        None
    }

    /// Takes CAs away that are not needed any more; returns when that will be, if later.
    async fn trim(
        &mut self,
        objects: &[Trusting],
        authorities: &[CertificateDer<'static>],
    ) -> Result<Option<Instant>, CertificateError> {
        let is_exact = |object: &&Trusting| object.bundles().iter().all(|held| bundle::is_exactly(held, authorities));
        let superfluous = objects.iter().filter(|object| !is_exact(object)).collect::<Vec<_>>();
        if superfluous.is_empty() {
            self.superfluous_since = None;
            return Ok(None);
        }
        let since = *self.superfluous_since.get_or_insert_with(Instant::now);
        let due = since.max(self.swapped.unwrap_or(since)) + self.settings.grace;
        if Instant::now() < due {
            return Ok(Some(due));
        }
        let needed = bundle::write(authorities);
        for object in superfluous {
            object.patch(&self.client, vec![needed.clone(); object.bundles().len()]).await?;
        }
        self.superfluous_since = None;
        Ok(None)
    }

    /// Stops trusting the CAs of the identity before, after the grace; returns when that will be, if later.
    fn forget(&mut self) -> Option<Instant> {
        let due = self.swapped? + self.settings.grace;
        if Instant::now() < due {
            return Some(due);
        }
        self.swapped = None;
        let served = self.publish.borrow().clone()?;
        self.publish.send_replace(Some(Arc::new(Identity::clone(&served).trusting_only_its_own())));
        None
    }

    /// Adds CAs to the bundles that lack them.
    async fn extend(
        &self,
        objects: &[Trusting],
        authorities: &[CertificateDer<'static>],
    ) -> Result<(), CertificateError> {
        for object in objects {
            let bundles = object.bundles();
            if bundles.iter().all(|held| bundle::contains(held, authorities)) {
                continue;
            }
            let extended = bundles.iter().map(|held| bundle::extended(held, authorities)).collect();
            object.patch(&self.client, extended).await?;
        }
        Ok(())
    }

    /// Whether it is known what the API server is told to trust.
    fn knows_bundles(&self, seen: &Observed) -> bool {
        let no_api_service = self.settings.api_service && matches!(seen.api_service, Seen::Unknown);
        let no_webhooks = self.settings.webhook_configuration.is_some() && matches!(seen.webhooks, Seen::Unknown);
        !no_api_service && !no_webhooks
    }

    /// The objects that there are and that are to be patched.
    fn trusting(&self, seen: &Observed) -> Vec<Trusting> {
        let api_service = seen.api_service.present().cloned().map(Trusting::ApiService);
        let webhooks = seen.webhooks.present().cloned().map(Trusting::Webhooks);
        [api_service, webhooks].into_iter().flatten().collect()
    }
}

async fn generated(names: Names) -> Result<Material, CertificateError> {
    let made = tokio::task::spawn_blocking(move || generate(&names, wall_clock())).await;
    made.unwrap_or_else(|error| Err(CertificateError::Generate(error.to_string())))
}

fn is_conflict(written: &Result<(), CertificateError>) -> bool {
    let Err(CertificateError::Cluster { source, .. }) = written else {
        return false;
    };
    matches!(&**source, kube::Error::Api(status) if status.code == 409)
}
