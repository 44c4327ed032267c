//! Starts the parts of the operator, and ends them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use keda_scalers::client::Sources;
use keda_scalers::plan::SharedReferences;
use keda_scalers::sampler::{Report, Sampler};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::answers::Answers;
use super::driver::{Driver, Message};
use super::reconcile::Tools;
use super::watches::{self, Scopes};
use super::workloads::Workloads;
use crate::ServerError;
use crate::certificates::{CertificateFiles, RotationSettings, follow_files, rotate};
use crate::cluster::Cluster;
use crate::cluster::discovery::Discovery;
use crate::cluster::events::Events;
use crate::cluster::lease::{self, LeaseSettings};
use crate::cluster::lookup::{Authentications, ClusterReferences};
use crate::cluster::tokens::Tokens;
use crate::exposition::{self, Metrics};
use crate::grpc::{Counted, Side, serve_grpc};
use crate::metrics_api::{MetricSource, MetricsApi, MetricsApiSettings};
use crate::probes;
use crate::tls::{self, IdentityWatch, Shutdown, TlsVersions};

/// How often certificate files are looked at.
const FILE_INTERVAL: Duration = Duration::from_secs(5);

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct OperatorSettings {
    /// Namespaces to look after; all when empty.
    pub namespaces: Vec<String>,
    /// Label selector of ScaledObjects and HPAs; all when empty.
    pub labels: String,
    /// Label selector of TriggerAuthentications; all when empty.
    pub authentication_labels: String,
    /// The namespace of this process: of its lease and its certificates.
    pub pod_namespace: String,
    /// Where what a ClusterTriggerAuthentication refers to lives.
    pub cluster_namespace: String,
    /// Whether Secrets are read from that namespace only.
    pub restrict_secrets: bool,
    /// The folder of files with the parameters of ClusterTriggerAuthentications, if they may be read.
    pub parameter_files: Option<PathBuf>,
    /// How long tokens of ServiceAccounts are good.
    pub token_lifetime: Duration,
    /// Name of this machine or pod.
    pub host: String,
    /// Unique to this process.
    pub identity: String,
    /// The election to take part in; without one this process leads.
    pub leader_election: Option<LeaderElection>,
    /// Reconciliations at the same time.
    pub reconciliations: usize,
    /// Whether events tell of keys in triggers' metadata that nothing reads.
    pub tells_unknown_keys: bool,
    /// Where Prometheus metrics are served.
    pub metrics_address: Option<SocketAddr>,
    /// Where health probes are answered.
    pub health_probe_address: Option<SocketAddr>,
    /// Where the external metrics API is served.
    pub metrics_api_address: Option<SocketAddr>,
    /// Where KEDA's metrics adapter asks for metrics.
    pub metrics_service_address: Option<SocketAddr>,
    /// Where the certificates of the servers come from.
    pub certificates: Certificates,
    /// Which versions of TLS the servers speak.
    pub tls_versions: TlsVersions,
}

/// Where certificates come from.
#[derive(Debug, Clone)]
pub enum Certificates {
    /// Made here, kept in a Secret.
    Rotated(Box<RotationSettings>),
    /// `tls.crt`, `tls.key` and `ca.crt` in a folder.
    Folder(PathBuf),
}

/// An election among replicas.
#[derive(Debug, Clone)]
pub struct LeaderElection {
    /// Name of the Lease.
    pub id: String,
    /// Time after which others may take a lease that was not renewed.
    pub lease_duration: Duration,
    /// Time after which a leader that cannot renew steps down.
    pub renew_deadline: Duration,
    /// Time between attempts.
    pub retry_period: Duration,
}

/// Runs the operator until `shutdown`.
///
/// # Errors
/// What keeps it from starting; once it runs it does not end by itself.
pub async fn run(
    settings: OperatorSettings,
    client: kube::Client,
    sources: Sources,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> Result<(), ServerError> {
    let cluster = Cluster::new(client.clone());
    if let Some(address) = settings.health_probe_address {
        probes::serve(address, shutdown.clone()).await?;
    }
    if let Some(address) = settings.metrics_address {
        exposition::serve(address, metrics.clone(), shutdown.clone()).await?;
    }
    let (messages, inbox) = mpsc::unbounded_channel();
    let (output, reports) = mpsc::unbounded_channel();
    let driver = driver(&settings, &cluster, sources, &metrics, &messages, Sampler::start(output));
    let scopes = Scopes {
        namespaces: settings.namespaces.clone(),
        labels: settings.labels.clone(),
        authentication_labels: settings.authentication_labels.clone(),
    };
    watches::start(&cluster, &scopes, &messages);
    // The sender stays here, so that those who listen do so until the end.
    let (leading, leads) = watch::channel(settings.leader_election.is_none());
    let mut servers = JoinSet::new();
    let identity = identity(&settings, &client, leads.clone(), &shutdown, &mut servers);
    let source: Arc<dyn MetricSource> = Arc::new(Answers(messages));
    if let Some(address) = settings.metrics_service_address {
        let listener = tls::bind(address).await?;
        let (identity, shutdown) = (identity.clone(), shutdown.clone());
        let source = Arc::new(Counted::new(Arc::clone(&source), metrics.clone(), Side::Server));
        servers.spawn(serve_grpc(listener, source, identity, settings.tls_versions, Shutdown::new(shutdown)));
    }
    if let Some(address) = settings.metrics_api_address {
        let listener = tls::bind(address).await?;
        let api = MetricsApi::new(MetricsApiSettings::default(), client.clone(), source, metrics.clone());
        servers.spawn(api.serve(listener, identity, settings.tls_versions, Shutdown::new(shutdown.clone())));
    }
    if let Some(election) = settings.leader_election {
        tokio::spawn(tell_leadership(metrics, election.id.clone(), leads.clone()));
        let lease = LeaseSettings {
            namespace: settings.pod_namespace,
            name: election.id,
            identity: settings.identity,
            duration: election.lease_duration,
            renew_deadline: election.renew_deadline,
            retry_period: election.retry_period,
        };
        servers.spawn(lease::run(cluster, lease, leading.clone(), shutdown.clone()));
    }
    // Questions are answered as long as a server is there to ask them.
    let ended = async {
        shutdown.cancelled().await;
        while servers.join_next().await.is_some() {}
    };
    drive(driver, inbox, reports, leads, &shutdown, ended).await;
    drop(leading);
    Ok(())
}

fn driver(
    settings: &OperatorSettings,
    cluster: &Cluster,
    sources: Sources,
    metrics: &Metrics,
    messages: &mpsc::UnboundedSender<Message>,
    sampler: Sampler,
) -> Driver {
    let discovery = Arc::new(Discovery::default());
    let lookups = Arc::new(ClusterReferences {
        cluster: cluster.clone(),
        discovery: Arc::clone(&discovery),
        authentications: Arc::new(Authentications::default()),
        cluster_namespace: settings.cluster_namespace.clone(),
        restrict_secrets: settings.restrict_secrets,
        files: settings.parameter_files.clone(),
        tokens: Tokens::new(settings.token_lifetime),
    });
    let references: SharedReferences = lookups.clone();
    let sources = Arc::new(sources.with_cluster(Arc::new(cluster.clone())));
    let tools = Tools {
        cluster: cluster.clone(),
        discovery,
        lookups,
        references,
        sources,
        metrics: metrics.clone(),
        tells_unknown_keys: settings.tells_unknown_keys,
    };
    let events = Events::start(cluster.clone(), "keda-operator", &settings.host);
    let workloads = Workloads::new(cluster.clone(), settings.namespaces.clone(), messages.clone());
    Driver::new(Arc::new(tools), sampler, events, workloads, messages.clone(), settings.reconciliations)
}

/// Tells who leads, until nobody decides it any more.
async fn tell_leadership(metrics: Metrics, election: String, mut leads: watch::Receiver<bool>) {
    loop {
        metrics.leads(&election, *leads.borrow_and_update());
        if leads.changed().await.is_err() {
            return;
        }
    }
}

/// The certificate of the servers, kept up to date.
fn identity(
    settings: &OperatorSettings,
    client: &kube::Client,
    leads: watch::Receiver<bool>,
    shutdown: &CancellationToken,
    servers: &mut JoinSet<()>,
) -> IdentityWatch {
    match &settings.certificates {
        Certificates::Rotated(rotation) => {
            let (publish, identity) = watch::channel(None);
            servers.spawn(rotate(client.clone(), (**rotation).clone(), leads, publish, shutdown.clone()));
            identity
        }
        Certificates::Folder(folder) => follow_files(CertificateFiles::in_directory(folder), FILE_INTERVAL),
    }
}

async fn drive(
    mut driver: Driver,
    mut inbox: mpsc::UnboundedReceiver<Message>,
    mut reports: mpsc::UnboundedReceiver<Report>,
    mut leads: watch::Receiver<bool>,
    shutdown: &CancellationToken,
    ended: impl Future<Output = ()>,
) {
    tokio::pin!(ended);
    driver.lead(*leads.borrow_and_update());
    let mut ending = false;
    loop {
        let deadline = driver.deadline();
        tokio::select! {
            biased;
            () = &mut ended => return,
            () = shutdown.cancelled(), if !ending => {
                // Nothing is scaled any more by the time that the lease is let go.
                ending = true;
                driver.lead(false);
            }
            Ok(()) = leads.changed(), if !ending => {
                let leading = *leads.borrow_and_update();
                driver.lead(leading);
            }
            Some(message) = inbox.recv() => driver.handle(message),
            Some(report) = reports.recv() => driver.reported(report),
            () = tokio::time::sleep_until(deadline) => driver.tick(),
        }
    }
}
