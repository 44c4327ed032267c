//! The operators that are measured, and how they are started.

use std::fmt;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::Settings;
use crate::bed::{Bed, HOME, free_port, until};
use crate::group::Group;

/// The peer's ServiceAccount; it may do everything.
const PEER: &str = "bench-peer";
/// How long an operator may take until its metrics API is served.
const PATIENCE: Duration = Duration::from_secs(180);

/// An operator that is measured.
#[derive(Debug, Clone)]
pub(crate) enum Contender {
    /// The release binary.
    Ours,
    /// Another one, by the command that starts it.
    Peer(String),
}

impl Contender {
    /// Its user name.
    pub(crate) fn user(&self) -> String {
        let account = match self {
            Contender::Ours => "keda-operator",
            Contender::Peer(_) => PEER,
        };
        format!("system:serviceaccount:{HOME}:{account}")
    }

    /// Starts it, and waits until the API server reaches its metrics API.
    pub(crate) async fn start(&self, settings: &Settings, bed: &Bed) -> anyhow::Result<Group> {
        let [probes, prometheus, service] = [free_port()?, free_port()?, free_port()?];
        let mut command = match self {
            Contender::Ours => {
                let mut command = Command::new(&settings.keda);
                command
                    .args(["operator", "--leader-elect", "--enable-cert-rotation", "--zap-encoder=console"])
                    .arg(format!("--secure-port={}", bed.metrics_port))
                    .arg(format!("--health-probe-bind-address=127.0.0.1:{probes}"))
                    .arg(format!("--metrics-bind-address=127.0.0.1:{prometheus}"))
                    .arg(format!("--metrics-service-bind-address=127.0.0.1:{service}"))
                    .env("KUBECONFIG", bed.kubeconfig_of("keda-operator").await?);
                command
            }
            Contender::Peer(text) => {
                install_peer(bed).await?;
                let mut command = Command::new("bash");
                command
                    .args(["-c", text])
                    .env("KUBECONFIG", bed.kubeconfig_of(PEER).await?)
                    .env("METRICS_PORT", bed.metrics_port.to_string())
                    .env("SERVICE_PORT", service.to_string())
                    .env("PROBES_PORT", probes.to_string())
                    .env("PROMETHEUS_PORT", prometheus.to_string())
                    .env("WORK_FOLDER", bed.folder());
                command
            }
        };
        command.env("POD_NAMESPACE", HOME).env("WATCH_NAMESPACE", "").env("KEDA_CLUSTER_OBJECT_NAMESPACE", HOME);
        let mut group = Group::start(command, &bed.folder().join("operator.log"))?;
        let path = "/apis/external.metrics.k8s.io/v1beta1";
        let served = until(PATIENCE, async || bed.cluster.get::<Value>(path).await.is_ok()).await;
        group.check()?;
        served.with_context(|| format!("the metrics API is not served; the operator printed:\n{}", group.output()))?;
        Ok(group)
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Contender::Ours => "ours",
            Contender::Peer(_) => "peer",
        })
    }
}

/// A ServiceAccount of the peer's own, so that the audit log tells it from everybody else.
async fn install_peer(bed: &Bed) -> anyhow::Result<()> {
    let account =
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": PEER, "namespace": HOME } });
    bed.apply(&account).await?;
    bed.apply(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": PEER },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [{ "kind": "ServiceAccount", "name": PEER, "namespace": HOME }],
    }))
    .await
}
