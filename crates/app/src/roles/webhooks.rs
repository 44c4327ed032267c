//! The admission webhooks' role: KEDA's third program.

use std::net::{Ipv6Addr, SocketAddr};

use keda_server::certificates::CertificateFiles;
use keda_server::webhooks::WebhooksSettings;

use super::flags::{WebhooksFlags, address};
use super::{logging, operator};
use crate::FINE;
use crate::settings::ClusterEnvironment;

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(flags: &WebhooksFlags) -> anyhow::Result<u8> {
    logging::start(&flags.common);
    operator::warn(&flags.common, &[]);
    let settings = WebhooksSettings {
        address: SocketAddr::from((Ipv6Addr::UNSPECIFIED, flags.port)),
        files: CertificateFiles::in_directory(&flags.cert_dir),
        versions: ClusterEnvironment::read()?.service_tls_versions,
        metrics_address: address("metrics-bind-address", &flags.metrics_bind_address)?,
        health_probe_address: address("health-probe-bind-address", &flags.health_probe_bind_address)?,
    };
    let metrics = operator::metrics()?;
    operator::runtime()?.block_on(async {
        let client = operator::client(&flags.common, &metrics).await?;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), port = flags.port, "starting the admission webhooks");
        keda_server::webhooks::run(settings, client, metrics, operator::until_signal()?).await?;
        Ok(FINE)
    })
}
