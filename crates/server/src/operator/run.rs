//! Starts the parts of the operator, and ends them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use keda_scalers::client::Sources;
use keda_scalers::sampler::Sampler;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::driver::Driver;
use super::reconcile::Tools;
use super::watches::{self, Scopes};
use super::workloads::Workloads;
use crate::ServerError;
use crate::cluster::Cluster;
use crate::cluster::discovery::Discovery;
use crate::cluster::events::Events;
use crate::cluster::lease::{self, LeaseSettings};
use crate::cluster::lookup::{Authentications, ClusterReferences};
use crate::exposition::{self, Metrics};
use crate::probes;

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
    /// Name of this machine or pod.
    pub host: String,
    /// Unique to this process.
    pub identity: String,
    /// The election to take part in; without one this process leads.
    pub leader_election: Option<LeaderElection>,
    /// Reconciliations at the same time.
    pub reconciliations: usize,
    /// Where Prometheus metrics are served.
    pub metrics_address: Option<SocketAddr>,
    /// Where health probes are answered.
    pub health_probe_address: Option<SocketAddr>,
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

/// Runs the operator until `shutdown`; what happens is told to `metrics`.
///
/// # Errors
/// What keeps it from starting; once it runs it does not end by itself.
pub async fn run(
    settings: OperatorSettings,
    client: kube::Client,
    sources: Arc<Sources>,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> Result<(), ServerError> {
    let cluster = Cluster::new(client);
    if let Some(address) = settings.metrics_address {
        exposition::serve(address, metrics.clone(), shutdown.clone()).await?;
    }
    if let Some(address) = settings.health_probe_address {
        probes::serve(address, shutdown.clone()).await?;
    }
    let (messages, inbox) = mpsc::unbounded_channel();
    let (output, reports) = mpsc::unbounded_channel();
    let discovery = Arc::new(Discovery::default());
    let lookups = Arc::new(ClusterReferences {
        cluster: cluster.clone(),
        discovery: Arc::clone(&discovery),
        authentications: Arc::new(Authentications::default()),
        cluster_namespace: settings.cluster_namespace.clone(),
        restrict_secrets: settings.restrict_secrets,
    });
    let references: keda_scalers::plan::SharedReferences = lookups.clone();
    let tools =
        Arc::new(Tools { cluster: cluster.clone(), discovery, lookups, references, sources, metrics: metrics.clone() });
    let events = Events::start(cluster.clone(), "keda-operator", &settings.host);
    let workloads = Workloads::new(cluster.clone(), settings.namespaces.clone(), messages.clone());
    let driver =
        Driver::new(tools, Sampler::start(output), events, workloads, messages.clone(), settings.reconciliations);
    let scopes = Scopes {
        namespaces: settings.namespaces.clone(),
        labels: settings.labels.clone(),
        authentication_labels: settings.authentication_labels.clone(),
    };
    watches::start(&cluster, &scopes, &messages);
    let (leading, leads) = watch::channel(settings.leader_election.is_none());
    if let Some(election) = &settings.leader_election {
        tokio::spawn(tell_leadership(metrics, election.id.clone(), leads.clone()));
    }
    let election = settings.leader_election.map(|election| {
        let leading = leading.clone();
        let lease = LeaseSettings {
            namespace: settings.pod_namespace.clone(),
            name: election.id,
            identity: settings.identity.clone(),
            duration: election.lease_duration,
            renew_deadline: election.renew_deadline,
            retry_period: election.retry_period,
        };
        tokio::spawn(lease::run(cluster.clone(), lease, leading, shutdown.clone()))
    });
    drive(driver, inbox, reports, leads, &shutdown).await;
    drop(leading);
    if let Some(election) = election {
        let _ = election.await;
    }
    Ok(())
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

async fn drive(
    mut driver: Driver,
    mut inbox: mpsc::UnboundedReceiver<super::driver::Message>,
    mut reports: mpsc::UnboundedReceiver<keda_scalers::sampler::Report>,
    mut leads: watch::Receiver<bool>,
    shutdown: &CancellationToken,
) {
    driver.lead(*leads.borrow_and_update());
    loop {
        let deadline = driver.deadline();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {
                // Nothing is scaled any more by the time that the lease is let go.
                driver.lead(false);
                return;
            }
            Ok(()) = leads.changed() => {
                let leading = *leads.borrow_and_update();
                driver.lead(leading);
            }
            Some(message) = inbox.recv() => driver.handle(message),
            Some(report) = reports.recv() => driver.reported(report),
            () = tokio::time::sleep_until(deadline) => driver.tick(),
        }
    }
}
