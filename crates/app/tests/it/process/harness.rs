//! A `keda up` small enough to be killed: a supervisor in a process of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use keda::local::process::Supervisor;
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use super::world::{Folder, key, options, until, workload};

const FOLDER: &str = "KEDA_TEST_HARNESS";

/// What the process reports of one replica.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Report {
    pub(super) index: u32,
    pub(super) pid: Option<i32>,
    pub(super) adopted: bool,
}

pub(super) struct Harness {
    child: Child,
    report: PathBuf,
}

impl Harness {
    /// Starts a supervisor that runs `script` in `replicas` processes.
    pub(super) fn start(folder: &Folder, script: &str, replicas: i32) -> Self {
        let report = folder.path().join("report.json");
        let _ = fs::remove_file(&report);
        fs::write(folder.path().join("script"), script).unwrap();
        fs::write(folder.path().join("replicas"), replicas.to_string()).unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "process::harness::supervise"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, report }
    }

    pub(super) fn report(&self) -> Vec<Report> {
        fs::read(&self.report).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    pub(super) async fn until_running(&self, count: usize) -> Vec<Report> {
        until("the workers of the other process run", || {
            let report = self.report();
            report.len() == count && report.iter().all(|replica| replica.pid.is_some())
        })
        .await;
        self.report()
    }

    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(super) fn ask_to_stop(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    pub(super) fn terminate(mut self) {
        self.ask_to_stop();
        assert!(self.child.wait().unwrap().success());
    }
}

/// The other process. Not a test by itself.
#[test]
#[ignore = "started by other tests"]
#[allow(clippy::disallowed_methods)]
fn supervise() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(supervise_in(Path::new(&folder)));
}

async fn supervise_in(folder: &Path) {
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    let (supervisor, mut events) = Supervisor::open(options(folder)).unwrap();
    tokio::spawn(async move { while events.next().await.is_some() {} });
    supervisor.apply(workload(folder, &fs::read_to_string(folder.join("script")).unwrap())).unwrap();
    let replicas = fs::read_to_string(folder.join("replicas")).unwrap().parse().unwrap();
    supervisor.scale(&key(), replicas);
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = tick.tick() => {
                let status = supervisor.status(&key()).unwrap();
                let report: Vec<Report> = status.replicas.iter()
                    .map(|replica| Report { index: replica.index, pid: replica.pid, adopted: replica.adopted })
                    .collect();
                fs::write(folder.join("report.new"), serde_json::to_vec(&report).unwrap()).unwrap();
                fs::rename(folder.join("report.new"), folder.join("report.json")).unwrap();
            }
        }
    }
    supervisor.stop_all().await;
}
