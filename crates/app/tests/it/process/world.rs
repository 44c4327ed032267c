//! A supervisor in a folder of its own, and a way to prove that nothing of it is left.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use keda::local::process::{
    Events, Options, ProcessEvent, ProcessEventKind, Supervisor, Workload, WorkloadKey, WorkloadStatus,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(20);

pub(super) struct World {
    pub(super) supervisor: Supervisor,
    events: Option<Events>,
    pub(super) log: Vec<ProcessEvent>,
    pub(super) folder: Folder,
}

/// The test's folder. Its path is in the environment of every worker and on the command line of every shim, which
/// tells them from all other processes.
pub(super) struct Folder(TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        Self(tempfile::Builder::new().prefix("keda-process-").tempdir().unwrap())
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Everything alive that belongs to this test.
    pub(super) fn processes(&self) -> BTreeSet<i32> {
        let mark = self.path().to_str().unwrap();
        let pids = fs::read_dir("/proc").unwrap().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| {
            ["environ", "cmdline"].iter().any(|file| {
                let text = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
                String::from_utf8_lossy(&text).contains(mark)
            })
        })
        .collect()
    }

    pub(super) fn kill_all(&self, signal: Signal) {
        for pid in self.processes() {
            kill(pid, signal);
        }
    }
}

impl Drop for Folder {
    /// A test that failed leaves nothing behind either.
    fn drop(&mut self) {
        self.kill_all(Signal::KILL);
    }
}

pub(super) fn options(folder: &Path) -> Options {
    Options {
        shim: crate::program::path(),
        backoff_base: Duration::from_millis(50),
        backoff_limit: Duration::from_millis(400),
        ..Options::new(folder.join("state"))
    }
}

pub(super) fn key() -> WorkloadKey {
    WorkloadKey::new("shop", "worker")
}

/// A shell script as a workload.
pub(super) fn workload(folder: &Path, script: &str) -> Workload {
    Workload {
        key: key(),
        command: ["sh", "-c", script].map(str::to_owned).into(),
        env: vec![("MARK".into(), folder.to_str().unwrap().into())],
        working_directory: Some(folder.to_owned()),
        grace_period: Duration::from_secs(10),
        readiness: None,
        revision: 1,
    }
}

impl World {
    pub(super) fn new() -> Self {
        let folder = Folder::new();
        let (supervisor, events) = Supervisor::open(options(folder.path())).unwrap();
        Self { supervisor, events: Some(events), log: Vec::new(), folder }
    }

    /// Applies a script with a number of replicas.
    pub(super) fn run(&self, script: &str, replicas: i32) {
        self.apply(self.workload(script), replicas);
    }

    pub(super) fn apply(&self, workload: Workload, replicas: i32) {
        self.supervisor.apply(workload).unwrap();
        self.supervisor.scale(&key(), replicas);
    }

    pub(super) fn workload(&self, script: &str) -> Workload {
        workload(self.folder.path(), script)
    }

    pub(super) fn status(&self) -> WorkloadStatus {
        self.supervisor.status(&key()).expect("the workload is known")
    }

    pub(super) async fn until_ready(&self, count: u32) -> WorkloadStatus {
        until(&format!("{count} replicas are ready"), || {
            let status = self.status();
            status.ready == count && status.replicas.len() == count as usize
        })
        .await;
        self.status()
    }

    /// Reads events until one is as described, and returns its place in the log.
    pub(super) async fn event(&mut self, what: &str, wanted: impl Fn(&ProcessEventKind) -> bool) -> usize {
        let events = self.events.as_mut().expect("not finished");
        let search = async {
            loop {
                self.log.push(events.next().await.expect("the supervisor lives"));
                if self.log.last().is_some_and(|event| wanted(&event.kind)) {
                    return self.log.len() - 1;
                }
            }
        };
        match tokio::time::timeout(DEADLINE, search).await {
            Ok(place) => place,
            Err(_) => panic!("no event: {what}; there were {:#?}", self.log),
        }
    }

    pub(super) async fn line(&mut self, text: &str) -> usize {
        self.event(text, |kind| matches!(kind, ProcessEventKind::Log { line } if line == text)).await
    }

    /// Stops everything and proves that no process is left.
    pub(super) async fn finish(&self) {
        self.supervisor.stop_all().await;
        assert_eq!(self.folder.processes(), BTreeSet::new(), "no process is left");
        assert!(self.supervisor.statuses().is_empty());
    }
}

pub(super) async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = now() + DEADLINE;
    while !condition() {
        assert!(now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(super) fn now() -> Instant {
    keda::clock::monotonic()
}

pub(super) fn kill(pid: i32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid).unwrap(), signal);
}

pub(super) fn pids(status: &WorkloadStatus) -> Vec<i32> {
    status.replicas.iter().filter_map(|replica| replica.pid).collect()
}
