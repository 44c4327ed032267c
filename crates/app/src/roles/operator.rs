//! The operator's role: flags and environment become settings.

use std::net::Ipv6Addr;

use anyhow::Context;
use keda_scalers::client::{SourceSettings, Sources};
use keda_server::certificates::{Names, RotationSettings};
use keda_server::exposition::{self, Build, Metrics};
use keda_server::operator::{Certificates, LeaderElection, OperatorSettings};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::flags::{CommonFlags, OperatorFlags, address};
use super::logging;
use crate::FINE;
use crate::settings::{self, ClusterEnvironment, Settings};

/// The port of the metrics API where it is part of the role.
const METRICS_API_PORT: u16 = 6443;

/// Runs until SIGTERM or SIGINT; `all` is KEDA's other roles too.
pub(crate) fn run(flags: &OperatorFlags, all: bool) -> anyhow::Result<u8> {
    logging::start(&flags.common);
    let environment = ClusterEnvironment::read()?;
    warn(&flags.common, flags.unused.surprises());
    if flags.http_max_idle_conns != 0 {
        tracing::warn!(
            "--http-max-idle-conns: connections are limited for each host alone, by --http-max-idle-conns-per-host"
        );
    }
    if environment.asks_for_raw_metrics {
        tracing::warn!("RAW_METRICS_GRPC_PROTOCOL: metrics are not streamed yet, they can only be asked for");
    }
    let settings = settings(flags, &environment, all)?;
    let sources = Sources::new(sources(flags, Settings::from_environment()?.sources));
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

/// Tells of flags that were given in vain.
pub(super) fn warn(common: &CommonFlags, surprises: &[String]) {
    for surprise in common.unused.surprises().iter().chain(surprises) {
        tracing::warn!("{surprise}");
    }
}

/// What the environment says of sources, and the flags.
fn sources(flags: &OperatorFlags, mut settings: SourceSettings) -> SourceSettings {
    settings.idle_timeout = flags.http_idle_conn_timeout;
    settings.max_idle_per_host = flags.http_max_idle_conns_per_host;
    settings.ca_dirs.clone_from(&flags.ca_dir);
    settings
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
        parameter_files: flags.filepath_auth_root_path.clone().filter(|path| !path.as_os_str().is_empty()),
        token_lifetime: environment.token_lifetime,
        host: environment.host.clone(),
        identity: format!("{}_{}", environment.host, environment.unique),
        leader_election: flags.leader_elect.then(|| LeaderElection {
            id: flags.leader_election_id.clone(),
            lease_duration: election.lease_duration,
            renew_deadline: election.renew_deadline,
            retry_period: election.retry_period,
        }),
        reconciliations: environment.reconciliations,
        tells_unknown_keys: environment.tells_unknown_keys,
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
    let config = match flags.kubeconfig.as_ref().filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => {
            let kubeconfig = kube::config::Kubeconfig::read_from(path)
                .with_context(|| format!("cannot read the kubeconfig {}", path.display()))?;
            kube::Config::from_custom_kubeconfig(kubeconfig, &kube::config::KubeConfigOptions::default()).await?
        }
        None => kube::Config::infer().await.context("there is neither a kubeconfig nor a service account")?,
    };
    exposition::client(config, &settings::proxies(), metrics).context("cannot make a client of the cluster")
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use clap::Parser;

    use super::*;

    fn settings_of(flags: &[&str]) -> SourceSettings {
        let flags = OperatorFlags::parse_from(["keda"].iter().chain(flags));
        let environment = SourceSettings { disable_keep_alive: true, ..SourceSettings::default() };
        sources(&flags, environment)
    }

    #[test]
    fn flags_say_whom_sources_are_trusted_by_and_how_long_connections_are_kept() {
        let usual = settings_of(&[]);
        assert_eq!((usual.max_idle_per_host, usual.idle_timeout), (1000, Duration::from_secs(90)));
        assert_eq!(usual.ca_dirs, [PathBuf::from("/custom/ca")]);
        let set = settings_of(&[
            "--ca-dir=/a",
            "--ca-dir=/b",
            "--http-max-idle-conns-per-host=7",
            "--http-idle-conn-timeout=1m30s500ms",
        ]);
        assert_eq!((set.max_idle_per_host, set.idle_timeout), (7, Duration::from_millis(90_500)));
        assert_eq!(set.ca_dirs, [PathBuf::from("/a"), PathBuf::from("/b")], "the default is replaced");
        assert!(set.disable_keep_alive, "the environment counts too");
    }
}
