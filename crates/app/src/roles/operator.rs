//! The operator's role: flags and environment become settings.

use std::net::Ipv6Addr;

use anyhow::Context;
use keda_scalers::client::Sources;
use keda_server::certificates::{Names, RotationSettings};
use keda_server::exposition::{self, Build, Metrics};
use keda_server::operator::{Certificates, LeaderElection, OperatorSettings};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::flags::{CommonFlags, OperatorFlags, address};
use super::logging;
use crate::FINE;
use crate::settings::{ClusterEnvironment, Settings};

/// The port of the metrics API where it is part of the role.
const METRICS_API_PORT: u16 = 6443;

/// Runs until SIGTERM or SIGINT; `all` is KEDA's other roles too.
pub(crate) fn run(flags: &OperatorFlags, all: bool) -> anyhow::Result<u8> {
    logging::start(&flags.common);
    let environment = ClusterEnvironment::read()?;
    for surprise in flags.unused.surprises() {
        tracing::warn!("{surprise}");
    }
    let settings = settings(flags, &environment, all)?;
    let sources = Sources::new(Settings::from_environment().sources);
    let common = flags.common.clone();
    let operate = async move {
        let metrics = metrics()?;
        let client = client(&common, &metrics).await?;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), identity = %settings.identity, "starting");
        keda_server::operator::run(settings, client, sources, metrics, until_signal()?).await?;
        Ok(FINE)
    };
    // On a thread of the runtime: each message from there to this one would wake it up.
    let runtime = runtime()?;
    runtime.block_on(runtime.spawn(operate))?
}

fn settings(flags: &OperatorFlags, environment: &ClusterEnvironment, all: bool) -> anyhow::Result<OperatorSettings> {
    let port = flags.secure_port.unwrap_or(if all { METRICS_API_PORT } else { 0 });
    let election = environment.election.clone();
    Ok(OperatorSettings {
        namespaces: environment.watch_namespaces.clone().context(
            "WATCH_NAMESPACE is not set: name the namespaces to look after, or set it to nothing for all of them",
        )?,
        labels: environment.watch_labels.clone(),
        authentication_labels: environment.watch_authentication_labels.clone(),
        pod_namespace: environment.pod_namespace.clone(),
        cluster_namespace: environment.cluster_namespace()?,
        restrict_secrets: environment.restrict_secrets,
        host: environment.host.clone(),
        identity: format!("{}_{}", environment.host, environment.unique),
        leader_election: flags.leader_elect.then(|| LeaderElection {
            id: flags.leader_election_id.clone(),
            lease_duration: election.lease_duration,
            renew_deadline: election.renew_deadline,
            retry_period: election.retry_period,
        }),
        reconciliations: environment.reconciliations,
        metrics_api_address: (port != 0).then(|| (Ipv6Addr::UNSPECIFIED, port).into()),
        metrics_service_address: address("metrics-service-bind-address", &flags.metrics_service_bind_address)?,
        certificates: certificates(flags, &environment.pod_namespace),
        tls_versions: environment.service_tls_versions,
        metrics_address: match flags.enable_prometheus_metrics {
            true => address("metrics-bind-address", &flags.metrics_bind_address)?,
            false => None,
        },
        health_probe_address: address("health-probe-bind-address", &flags.health_probe_bind_address)?,
    })
}

fn certificates(flags: &OperatorFlags, namespace: &str) -> Certificates {
    if !flags.enable_cert_rotation {
        return Certificates::Folder(flags.cert_dir.clone());
    }
    let names = Names {
        namespace: namespace.to_string(),
        cluster_domain: flags.k8s_cluster_domain.clone(),
        operator: flags.operator_service_name.clone(),
        metrics: flags.metrics_server_service_name.clone(),
        webhooks: flags.enable_webhook_patching.then(|| flags.webhooks_service_name.clone()),
    };
    let mut rotation = RotationSettings::new(names);
    rotation.secret.clone_from(&flags.cert_secret_name);
    rotation.api_service = flags.enable_apiservice_patching;
    rotation.webhook_configuration = flags.enable_webhook_patching.then(|| flags.validating_webhook_name.clone());
    Certificates::Rotated(Box::new(rotation))
}

/// Two threads do: nothing here computes for long.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// Metrics that know which program this is.
pub(super) fn metrics() -> anyhow::Result<Metrics> {
    let git_commit = option_env!("GIT_COMMIT").unwrap_or("");
    Ok(Metrics::new(Build { version: env!("CARGO_PKG_VERSION"), git_commit })?)
}

/// The client for the cluster that a flag, the environment or the pod names; its requests are counted.
pub(super) async fn client(flags: &CommonFlags, metrics: &Metrics) -> anyhow::Result<kube::Client> {
    let config = match &flags.kubeconfig {
        Some(path) => {
            let kubeconfig = kube::config::Kubeconfig::read_from(path)
                .with_context(|| format!("cannot read the kubeconfig {}", path.display()))?;
            kube::Config::from_custom_kubeconfig(kubeconfig, &kube::config::KubeConfigOptions::default()).await?
        }
        None => kube::Config::infer().await.context("there is neither a kubeconfig nor a service account")?,
    };
    exposition::client(config, metrics).context("cannot make a client of the cluster")
}

/// A token that SIGTERM and SIGINT cancel.
pub(super) fn until_signal() -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("asked to end");
        shutdown.cancel();
    });
    Ok(token)
}
