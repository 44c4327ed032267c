//! The shim: the small process between the supervisor and one worker (`keda shim DIR`).
//!
//! It outlives a supervisor that is killed, so the worker's exit status is never lost. It leads a session of its own
//! and is the subreaper of everything the worker starts: a grandchild that is left behind, even one that left the
//! process group or the session, stays below the shim and is stopped when the worker ends. One thread, one timer.
//!
//! stdin: the launch description as JSON, then end of file. stdout: the lock of the folder, never written to.

use std::collections::BTreeSet;
use std::fs::File;
use std::future::pending;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use rustix::process::{getpid, kill_process, kill_process_group, set_child_subreaper, setsid, wait};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use super::folder::{Exit, ExitRecord, Folder, ProcessRecord};
use super::procfs::{Identity, Table};
use crate::clock;

/// How often the shim looks for processes that are left over while it waits for them to end.
const LEFTOVER_POLL: Duration = Duration::from_millis(50);

/// What the supervisor tells the shim. It holds secrets and is never written to disk.
#[derive(Serialize, Deserialize)]
pub(super) struct Launch {
    pub(super) command: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) working_directory: Option<PathBuf>,
    pub(super) grace_period_millis: u64,
    pub(super) revision: u64,
    pub(super) restarts: u32,
}

/// Runs the shim for the replica of `folder` until the worker and all it started are gone.
pub fn run(folder: &Path) -> ExitCode {
    let folder = Folder::new(folder);
    match prepare().and_then(|runtime| runtime.block_on(supervise(&folder))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let record = ExitRecord { exit: Exit::StartFailed(error.to_string()), at: clock::wall(), killed: false };
            // The folder is the only way to tell; when it fails, the supervisor says that the shim ended.
            let _ = folder.record_exit(&record);
            ExitCode::FAILURE
        }
    }
}

fn prepare() -> io::Result<tokio::runtime::Runtime> {
    setsid()?;
    set_child_subreaper(Some(getpid()))?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

async fn supervise(folder: &Folder) -> io::Result<()> {
    let mut signals = Signals::install()?;
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    let launch: Launch = serde_json::from_str(&text)
        .map_err(|_| io::Error::other("the supervisor ended before it had described the launch"))?;
    drop(text);
    let worker = spawn(folder, &launch)?;
    let grace_period = Duration::from_millis(launch.grace_period_millis);
    let record = record(worker, &launch);
    drop(launch);
    let mut worker = Worker { pid: worker, grace_period, deadline: None, killed: false };
    if let Err(error) = record.and_then(|record| folder.record_process(&record)) {
        // Without the record nobody could adopt the worker: better none than one that is lost.
        worker.kill();
        worker.until_alone(&mut signals).await;
        return Err(error);
    }
    let status = worker.until_ended(&mut signals).await;
    folder.record_exit(&ExitRecord { exit: exit(status), at: clock::wall(), killed: worker.killed })?;
    worker.until_alone(&mut signals).await;
    Ok(())
}

fn spawn(folder: &Folder, launch: &Launch) -> io::Result<Pid> {
    let log = folder.open_log()?;
    let Some((program, arguments)) = launch.command.split_first() else {
        return Err(io::Error::other("the container has no command; without an image there is no entry point"));
    };
    if let Some(directory) = &launch.working_directory
        && !directory.is_dir()
    {
        return Err(io::Error::other(format!("working directory {} does not exist", directory.display())));
    }
    let mut command = Command::new(program);
    command.args(arguments).envs(launch.env.iter().map(|(name, value)| (name, value)));
    if let Some(directory) = &launch.working_directory {
        command.current_dir(directory);
    }
    let errors: File = log.try_clone()?;
    command.stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
    // Not waited for by handle: the shim reaps whatever ends below it, see `reap`.
    let child = command.spawn().map_err(|error| describe(program, &error))?;
    Ok(Pid::from_child(&child))
}

fn describe(program: &str, error: &io::Error) -> io::Error {
    io::Error::other(match error.kind() {
        io::ErrorKind::NotFound if program.contains('/') => format!("command not found: {program}"),
        io::ErrorKind::NotFound => format!("command not found: {program} is not in PATH"),
        io::ErrorKind::PermissionDenied => format!("permission denied: {program} is not executable"),
        _ => format!("cannot start {program}: {error}"),
    })
}

fn record(worker: Pid, launch: &Launch) -> io::Result<ProcessRecord> {
    let gone = || io::Error::other("the worker vanished from /proc");
    Ok(ProcessRecord {
        // A worker that has ended already is a zombie until it is reaped below.
        worker: Identity::of_child(worker.as_raw_pid()).ok_or_else(gone)?,
        shim: Identity::of(getpid().as_raw_pid()).ok_or_else(gone)?,
        revision: launch.revision,
        restarts: launch.restarts,
        grace_period_millis: launch.grace_period_millis,
        started: clock::wall(),
    })
}

fn exit(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unknown,
    }
}

/// The signals the shim acts upon. Handlers, not masks: they do not reach the worker.
struct Signals {
    child: SignalStream,
    terminate: SignalStream,
    interrupt: SignalStream,
    /// Received and ignored: the shim has no terminal.
    _hangup: SignalStream,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self {
            child: signal(SignalKind::child())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next occasion to look around: `true` when a stop was asked for.
    async fn next(&mut self, wake: Option<Instant>) -> bool {
        let timer = async {
            match wake {
                Some(wake) => sleep_until(wake).await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = self.child.recv() => false,
            () = timer => false,
            _ = self.terminate.recv() => true,
            _ = self.interrupt.recv() => true,
        }
    }
}

struct Worker {
    pid: Pid,
    grace_period: Duration,
    /// When SIGKILL follows the SIGTERM that was sent.
    deadline: Option<Instant>,
    killed: bool,
}

impl Worker {
    /// Waits for the worker, stops it when asked to, and kills what is left when the grace period has passed.
    async fn until_ended(&mut self, signals: &mut Signals) -> WaitStatus {
        loop {
            if let Reaped::Worker(status) = reap(self.pid) {
                return status;
            }
            let stop = signals.next(self.deadline).await;
            if stop && self.deadline.is_none() {
                self.terminate();
            }
            if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                // What ended by itself in the very last moment was not killed.
                if let Reaped::Worker(status) = reap(self.pid) {
                    return status;
                }
                self.kill();
                self.deadline = Some(Instant::now() + LEFTOVER_POLL);
            }
        }
    }

    /// Stops what the worker left behind and waits until none of it lives.
    async fn until_alone(&mut self, signals: &mut Signals) {
        let mut told = BTreeSet::new();
        loop {
            if matches!(reap(self.pid), Reaped::Alone) {
                return;
            }
            let left = leftovers();
            let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + self.grace_period);
            if deadline <= Instant::now() {
                send(&left, Signal::KILL);
            } else {
                let new: BTreeSet<i32> = left.difference(&told).copied().collect();
                send(&new, Signal::TERM);
                told.extend(new);
            }
            signals.next(Some(Instant::now() + LEFTOVER_POLL)).await;
        }
    }

    fn terminate(&mut self) {
        self.deadline = Some(Instant::now() + self.grace_period);
        if !self.grace_period.is_zero() {
            // The group exists as long as the worker is not reaped.
            let _ = kill_process_group(self.pid, Signal::TERM);
        }
    }

    fn kill(&mut self) {
        self.killed = true;
        self.deadline = Some(Instant::now());
        let _ = kill_process_group(self.pid, Signal::KILL);
        send(&leftovers(), Signal::KILL);
    }
}

fn leftovers() -> BTreeSet<i32> {
    Table::read().descendants(getpid().as_raw_pid())
}

/// A process that has ended in between takes no notice.
fn send(pids: &BTreeSet<i32>, signal: Signal) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        let _ = kill_process(pid, signal);
    }
}

/// Collects every child that has ended, orphans of the worker too.
fn reap(worker: Pid) -> Reaped {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == worker => return Reaped::Worker(status),
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return Reaped::Others,
            // No children, and so, for a subreaper, no descendants.
            Err(_) => return Reaped::Alone,
        }
    }
}

/// What there is to collect.
enum Reaped {
    /// The worker has ended.
    Worker(WaitStatus),
    /// Something below the shim lives, perhaps the worker.
    Others,
    /// Nothing is left.
    Alone,
}
