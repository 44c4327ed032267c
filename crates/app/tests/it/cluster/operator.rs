//! An operator process with the rights of its ServiceAccount.

use std::path::Path;
use std::process::{Command, ExitStatus};

use rustix::process::Signal;

use super::bed::Bed;
use super::program::Program;
use crate::servers::free_port;

/// A running operator, killed when this is dropped.
pub struct Operator {
    program: Program,
    /// Where it listens.
    pub ports: Ports,
}

/// Ports of one operator.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    pub probes: u16,
    pub metrics: u16,
    pub secure: u16,
    pub grpc: u16,
}

/// How an operator is started.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    /// The port of the metrics API; the one that the APIService knows, unless given.
    pub secure_port: Option<u16>,
}

impl Operator {
    /// Starts an operator for all namespaces.
    pub async fn start(bed: &Bed, settings: &Settings) -> Self {
        let kubeconfig = bed.operator_kubeconfig().await;
        let ports = Ports {
            probes: free_port(),
            metrics: free_port(),
            secure: settings.secure_port.unwrap_or(bed.metrics_port),
            grpc: free_port(),
        };
        let log = bed.folder().join(format!("operator-{}.log", ports.probes));
        Operator { program: Program::start(&mut command(&kubeconfig, settings, ports), log), ports }
    }

    /// What it logged.
    pub fn output(&self) -> String {
        self.program.output()
    }

    /// Sends it a signal and waits for its end.
    pub fn end(&mut self, signal: Signal) -> ExitStatus {
        self.program.end(signal)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.program.runs()
    }
}

fn command(kubeconfig: &Path, settings: &Settings, ports: Ports) -> Command {
    let mut command = crate::program::keda();
    command
        .args(["operator", "--zap-encoder=console", "--enable-cert-rotation"])
        .arg(format!("--health-probe-bind-address=127.0.0.1:{}", ports.probes))
        .arg(format!("--metrics-bind-address=127.0.0.1:{}", ports.metrics))
        .arg(format!("--metrics-service-bind-address=127.0.0.1:{}", ports.grpc))
        .arg(format!("--secure-port={}", ports.secure))
        .args(&settings.arguments)
        .env("KUBECONFIG", kubeconfig)
        .env("WATCH_NAMESPACE", "")
        .env("POD_NAMESPACE", "keda")
        .env("KEDA_CLUSTER_OBJECT_NAMESPACE", "keda")
        .env("KEDA_CHECK_UNEXPECTED_SCALERS_PARAMS", "enabled")
        .envs(settings.environment.iter().map(|(name, value)| (name, value)));
    command
}
