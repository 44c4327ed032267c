//! An operator process with the rights of its ServiceAccount.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::bed::Bed;
use crate::servers::free_port;

/// A running operator, killed when this is dropped.
pub struct Operator {
    child: Child,
    /// Kills the operator once the test process is gone: what lives in a static is never dropped.
    guard: Child,
    log: PathBuf,
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
        let child = spawn(&kubeconfig, settings, ports, &log);
        let guard = Command::new("sh")
            .args(["-c", &format!("cat > /dev/null; kill -KILL {}", child.id())])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        Operator { child, guard, log, ports }
    }

    /// What it logged.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends it a signal and waits for its end.
    pub fn end(&mut self, signal: Signal) -> std::process::ExitStatus {
        self.signal(signal);
        self.child.wait().expect("its end")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process");
        let _ = kill_process(pid, signal);
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.guard.kill();
        let _ = self.guard.wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("--- the operator's log\n{}", self.output());
        }
    }
}

fn spawn(kubeconfig: &Path, settings: &Settings, ports: Ports, log: &Path) -> Child {
    let log = File::create(log).expect("a log");
    Command::new(env!("CARGO_BIN_EXE_keda"))
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
        .envs(settings.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a handle"))
        .stderr(log)
        .spawn()
        .expect("the operator starts")
}
