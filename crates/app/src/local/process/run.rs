//! One run of a worker, from its start or adoption to its end.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use super::folder::{Exit, ExitRecord, Folder, ProcessRecord};
use super::handle::Handle;
use super::procfs::Table;
use super::shim::Launch;
use crate::clock;

/// How often a shim that is about to start its worker is looked at.
const START_POLL: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(super) struct Run {
    pub(super) record: ProcessRecord,
    guardian: Guardian,
    worker: Option<Arc<Handle>>,
    stopping: bool,
}

/// Whose end is the end of the run.
#[derive(Debug)]
enum Guardian {
    /// A shim that this process started and must collect.
    Own(Child, Option<Handle>),
    /// A shim of an earlier supervisor.
    Adopted(Handle),
    /// None: only the shim was killed, the worker lives on.
    Worker,
}

impl Run {
    /// Starts a shim and waits until its worker runs; the reason, fit to print, when it does not. The caller makes
    /// sure that nobody holds the lock.
    pub(super) async fn launch(shim: &Path, folder: &Folder, launch: &Launch) -> Result<Self, String> {
        let mut child = spawn(shim, folder, launch).await.map_err(|error| format!("cannot start the shim: {error}"))?;
        loop {
            let ended = child.try_wait().map_err(|error| format!("cannot wait for the shim: {error}"))?;
            if let Some(record) = folder.process() {
                let guardian = Guardian::Own(child, Handle::open(&record.shim));
                let worker = Handle::open(&record.worker).map(Arc::new);
                return Ok(Self { record, guardian, worker, stopping: false });
            }
            if let Some(status) = ended {
                return Err(match folder.exit() {
                    Some(ExitRecord { exit: Exit::StartFailed(reason), .. }) => reason,
                    _ => format!("the shim ended before the worker started: {status}"),
                });
            }
            tokio::time::sleep(START_POLL).await;
        }
    }

    /// Takes over what an earlier supervisor left running; `None` when nothing runs any more. A shim that is about to
    /// start its worker is waited for.
    pub(super) async fn adopt(folder: &Folder) -> io::Result<Option<Self>> {
        loop {
            let free = folder.lock()?;
            let Some(record) = folder.process().filter(|record| record.worker.is_of_this_boot()) else {
                if free.is_some() {
                    return Ok(None);
                }
                tokio::time::sleep(START_POLL).await;
                continue;
            };
            let worker = Handle::open(&record.worker).map(Arc::new);
            return Ok(match (Handle::open(&record.shim), worker) {
                (Some(shim), worker) => {
                    Some(Self { record, guardian: Guardian::Adopted(shim), worker, stopping: false })
                }
                (None, Some(worker)) => {
                    Some(Self { record, guardian: Guardian::Worker, worker: Some(worker), stopping: false })
                }
                (None, None) => {
                    sweep(&record);
                    None
                }
            });
        }
    }

    /// Asks for a graceful stop. The shim carries it out by itself, SIGKILL included.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
        match &self.guardian {
            Guardian::Own(_, Some(shim)) | Guardian::Adopted(shim) => shim.signal(Signal::TERM),
            Guardian::Own(_, None) => {}
            Guardian::Worker => self.signal_worker_group(Signal::TERM),
        }
    }

    /// Kills everything at once: for a run without a shim, or one whose shim does not do its work.
    pub(super) fn kill(&self) {
        let table = Table::read();
        let mut members = table.session(self.record.shim.pid);
        if self.record.shim.lives() {
            members.extend(table.descendants(self.record.shim.pid));
        }
        for pid in members.into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        match &self.guardian {
            Guardian::Own(_, Some(shim)) | Guardian::Adopted(shim) => shim.signal(Signal::KILL),
            Guardian::Own(_, None) => {}
            Guardian::Worker => self.signal_worker_group(Signal::KILL),
        }
    }

    /// Whether the run has no shim, so that the supervisor itself must see to the end of the grace period.
    pub(super) fn is_unguarded(&self) -> bool {
        matches!(self.guardian, Guardian::Worker)
    }

    /// Returns once the worker and all it started are gone. Cancel safe.
    pub(super) async fn ended(&mut self) -> io::Result<()> {
        loop {
            match (&mut self.guardian, &self.worker) {
                (Guardian::Own(child, _), _) => {
                    // One that ends well has seen to it that nothing is left.
                    if child.wait().await?.success() {
                        return Ok(());
                    }
                }
                (Guardian::Adopted(shim), _) => shim.ended().await,
                (Guardian::Worker, Some(worker)) => worker.ended().await,
                (Guardian::Worker, None) => {}
            }
            if self.is_unguarded() || !self.record.worker.lives() {
                sweep(&self.record);
                return Ok(());
            }
            self.guardian = Guardian::Worker;
            if self.stopping {
                // The shim may have died before it passed the stop on.
                self.stop();
            }
        }
    }

    /// A wait for the worker alone, which may end before what it left behind.
    pub(super) fn worker_ended(&self) -> impl Future<Output = ()> + use<> {
        let worker = self.worker.clone();
        async move {
            if let Some(worker) = worker {
                worker.ended().await;
            }
        }
    }

    /// How it ended, once it has.
    pub(super) fn exit(folder: &Folder) -> ExitRecord {
        folder.exit().unwrap_or_else(|| ExitRecord { exit: Exit::Unknown, at: clock::wall(), killed: false })
    }

    fn signal_worker_group(&self, signal: Signal) {
        // The worker leads its group: as long as it lives, the number is its own.
        if let Some(worker) = &self.worker
            && worker.identity().lives()
            && let Some(pid) = worker.identity().pid()
        {
            let _ = kill_process_group(pid, signal);
        }
    }
}

/// Kills what is left of the session of a shim that was killed. The kernel gives no process the number of a session
/// that still has members, so a session without a leader is that shim's.
fn sweep(record: &ProcessRecord) {
    let table = Table::read();
    if !record.shim.is_of_this_boot() || table.exists(record.shim.pid) {
        return;
    }
    for pid in table.session(record.shim.pid).into_iter().filter_map(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

async fn spawn(shim: &Path, folder: &Folder, launch: &Launch) -> io::Result<Child> {
    folder.create()?;
    let lock = folder.lock()?.ok_or_else(|| io::Error::other("another process holds its folder"))?;
    folder.clear()?;
    let mut command = std::process::Command::new(shim);
    command.arg0("keda").arg("shim").arg(folder.path());
    command.stdin(Stdio::piped()).stdout(lock).stderr(Stdio::null());
    let mut child = Command::from(command).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A shim that dies meanwhile shows in its exit status.
        let _ = input.write_all(&serde_json::to_vec(launch)?).await;
    }
    Ok(child)
}
