//! The metrics adapter's role: KEDA's second program, which asks the operator over gRPC.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use keda_server::adapter::AdapterSettings;
use keda_server::certificates::CertificateFiles;
use keda_server::exposition::Metrics;
use keda_server::grpc::GrpcClientSettings;
use keda_server::metrics_api::MetricsApiSettings;
use keda_server::tls::TlsVersions;

use super::flags::AdapterFlags;
use super::{logging, operator};
use crate::FINE;
use crate::settings::ClusterEnvironment;

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(flags: &AdapterFlags) -> anyhow::Result<u8> {
    logging::start(&flags.common);
    let environment = ClusterEnvironment::read()?;
    environment.watch_namespaces.as_ref().context("WATCH_NAMESPACE is not set")?;
    let metrics = operator::metrics()?;
    let settings = settings(flags, &environment, &metrics);
    operator::runtime()?.block_on(async {
        let client = operator::client(&flags.common, &metrics).await?;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), operator = %settings.operator.address, "starting the adapter");
        keda_server::adapter::run(settings, client, operator::until_signal()?).await?;
        Ok(FINE)
    })
}

fn settings(flags: &AdapterFlags, environment: &ClusterEnvironment, metrics: &Metrics) -> AdapterSettings {
    let metrics = metrics.clone();
    let mut serving_files = CertificateFiles::in_directory(&flags.cert_dir);
    if let (Some(certificate), Some(key)) = (&flags.tls_cert_file, &flags.tls_private_key_file) {
        serving_files.certificate.clone_from(certificate);
        serving_files.key.clone_from(key);
    }
    let mut api = MetricsApiSettings::default();
    api.authentication.client_ca_file.clone_from(&flags.client_ca_file);
    let default_address = || format!("keda-operator.{}.svc.cluster.local:9666", environment.pod_namespace);
    AdapterSettings {
        secure_address: SocketAddr::new(flags.bind_address, flags.secure_port),
        serving_files,
        client_files: CertificateFiles::in_directory(&flags.cert_dir),
        serving_versions: TlsVersions::default(),
        operator: GrpcClientSettings {
            address: flags.metrics_service_address.clone().unwrap_or_else(default_address),
            authority: Some(flags.metrics_service_grpc_authority.clone()).filter(|authority| !authority.is_empty()),
            versions: environment.service_tls_versions,
        },
        metrics_address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, flags.port)),
        api,
        metrics,
    }
}
