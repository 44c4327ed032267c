//! The life of one replica: start or adopt, attend, back off, start again, until it is told to stop.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::backoff::Backoff;
use super::event::ProcessEventKind;
use super::folder::{ExitRecord, Folder, ProcessRecord};
use super::probe::Prober;
use super::run::Run;
use super::shared::Shared;
use super::shim::Launch;
use super::tail::Tail;
use super::workload::{Workload, WorkloadKey};
use crate::clock;

/// How often the log is looked at.
const TAIL_PERIOD: Duration = Duration::from_millis(100);
/// What the shim gets on top of the grace period before the supervisor kills by itself.
const SHIM_MARGIN: Duration = Duration::from_secs(5);
/// How long the last lines of a worker wait for a reader that is behind.
const LAST_LINES: Duration = Duration::from_secs(5);
/// How often a lock that is still held is tried again.
const LOCK_POLL: Duration = Duration::from_millis(50);

/// What the supervisor wants of a replica.
#[derive(Clone, Debug, Default)]
pub(super) struct Directive {
    /// What to run at the next start; absent for an adopted replica until its workload is applied.
    pub(super) workload: Option<Arc<Workload>>,
    pub(super) stop: bool,
}

/// Where a replica is in its life.
#[derive(Clone, Debug, Default)]
pub(super) enum Phase {
    /// Before a worker runs, first or again.
    #[default]
    Waiting,
    Running(ProcessRecord),
}

pub(super) struct Replica {
    pub(super) shared: Arc<Shared>,
    pub(super) key: WorkloadKey,
    pub(super) index: u32,
    pub(super) folder: Folder,
    pub(super) directive: watch::Receiver<Directive>,
}

impl Replica {
    /// Runs until the replica is stopped, or until an adopted one without a workload has ended.
    pub(super) async fn live(mut self, mut adopt: bool) {
        let options = &self.shared.options;
        let mut backoff = Backoff::new(options.backoff_base, options.backoff_limit);
        let mut restarts = 0;
        let mut log_start = 0;
        while adopt || !self.stopping() {
            let adopted = std::mem::take(&mut adopt);
            let result = if adopted {
                log_start = self.folder.log_length();
                Run::adopt(&self.folder).await.map_err(|error| error.to_string())
            } else {
                self.launch(restarts, &mut log_start).await
            };
            let ran = match result {
                Ok(Some(run)) => {
                    restarts = run.record.restarts;
                    let started = run.record.started;
                    self.attend(run, adopted, log_start).await;
                    since(started)
                }
                Ok(None) => {
                    self.tell_missed_exit(adopted);
                    break;
                }
                Err(reason) => {
                    self.fail(reason);
                    Duration::ZERO
                }
            };
            if !self.pause(backoff.after(ran)).await {
                break;
            }
            restarts = restarts.saturating_add(1);
            let count = restarts;
            self.shared.update(&self.key, self.index, |replica| replica.restarts = count);
        }
        self.folder.forget_process();
        self.emit(ProcessEventKind::Stopped);
        self.shared.finished(&self.key, self.index);
    }

    /// Starts the worker; `None` when there is nothing to start, or no longer a wish to.
    async fn launch(&mut self, restarts: u32, log_start: &mut u64) -> Result<Option<Run>, String> {
        while self.lock_is_held()? {
            tokio::select! {
                () = stop_wanted(&mut self.directive) => return Ok(None),
                () = sleep(LOCK_POLL) => {}
            }
        }
        let Some(workload) = self.directive.borrow_and_update().workload.clone() else { return Ok(None) };
        let launch = Launch {
            command: workload.command_line(self.index),
            env: workload.environment(self.index),
            working_directory: workload.working_directory.clone(),
            grace_period_millis: u64::try_from(workload.grace_period.as_millis()).unwrap_or(u64::MAX),
            revision: workload.revision,
            restarts,
        };
        *log_start = self.folder.rotate_log(self.shared.options.log_limit).map_err(|error| error.to_string())?;
        Run::launch(&self.shared.options.shim, &self.folder, &launch).await.map(Some)
    }

    fn lock_is_held(&self) -> Result<bool, String> {
        let lock = self.folder.create().and_then(|()| self.folder.lock());
        let lock = lock.map_err(|error| format!("cannot use {}: {error}", self.folder.path().display()))?;
        Ok(lock.is_none())
    }

    /// Stays with a running worker until it is gone.
    async fn attend(&mut self, mut run: Run, adopted: bool, log_start: u64) {
        let pid = run.record.worker.pid;
        self.running(&run.record, adopted);
        self.emit(if adopted { ProcessEventKind::Adopted { pid } } else { ProcessEventKind::Started { pid } });
        let mut probe = self.probe(adopted);
        let mut tail = self.tail(log_start);
        let mut tick = tokio::time::interval(TAIL_PERIOD);
        let mut deadline: Option<Instant> = None;
        let mut worker_ended = std::pin::pin!(run.worker_ended());
        let mut attending = true;
        let mut killed = false;
        while attending {
            let stopping = deadline.is_some();
            tokio::select! {
                // An error means that the shim cannot be waited for: its end is all that could be told.
                _ = run.ended() => attending = false,
                Ok(()) = self.directive.changed() => {
                    if !self.stopping() && probe.is_attached() {
                        probe = self.probe(self.shared.is_ready(&self.key, self.index));
                    }
                }
                _ = tick.tick(), if tail.is_some() => self.drain(&mut tail),
                () = &mut worker_ended, if probe.is_attached() => {
                    probe = Probing::detached();
                    self.shared.update(&self.key, self.index, |replica| replica.ready = false);
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if stopping => {
                    run.kill();
                    killed = true;
                    deadline = Some(Instant::now() + Duration::from_secs(1));
                }
            }
            if attending && deadline.is_none() && self.stopping() {
                deadline = Some(self.begin_stop(&mut run));
                probe = Probing::detached();
            }
        }
        drop(probe);
        self.drain_to_end(tail).await;
        let record = Run::exit(&self.folder);
        self.ended(ExitRecord { killed: killed || record.killed, ..record });
    }

    /// Passes the stop on and returns the moment from which on the supervisor kills by itself.
    fn begin_stop(&self, run: &mut Run) -> Instant {
        let grace_period = Duration::from_millis(run.record.grace_period_millis);
        self.emit(ProcessEventKind::Stopping { grace_period });
        run.stop();
        Instant::now() + grace_period + if run.is_unguarded() { Duration::ZERO } else { SHIM_MARGIN }
    }

    fn running(&self, record: &ProcessRecord, adopted: bool) {
        self.shared.update(&self.key, self.index, |replica| {
            replica.phase = Phase::Running(record.clone());
            replica.restarts = record.restarts;
            replica.revision = record.revision;
            replica.adopted = adopted;
        });
    }

    fn ended(&self, record: ExitRecord) {
        if record.killed {
            self.emit(ProcessEventKind::Killed);
        }
        self.emit(ProcessEventKind::Exited { exit: record.exit.clone() });
        self.shared.update(&self.key, self.index, |replica| {
            replica.phase = Phase::Waiting;
            replica.ready = false;
            replica.last_exit = Some(record);
        });
    }

    fn fail(&self, reason: String) {
        self.emit(ProcessEventKind::StartFailed { reason });
        let record = self.folder.exit();
        self.shared.update(&self.key, self.index, |replica| {
            replica.phase = Phase::Waiting;
            replica.ready = false;
            replica.last_exit = record.or(replica.last_exit.take());
        });
    }

    /// A worker that ended while no supervisor ran: told by the first one that comes.
    fn tell_missed_exit(&self, adopted: bool) {
        if adopted && self.folder.process().is_some() {
            self.ended(Run::exit(&self.folder));
        }
    }

    /// Waits before the next start; `false` when there will be none.
    async fn pause(&mut self, after: Duration) -> bool {
        if self.stopping() || self.directive.borrow().workload.is_none() {
            return false;
        }
        self.emit(ProcessEventKind::Restarting { after });
        tokio::select! {
            () = stop_wanted(&mut self.directive) => false,
            () = sleep(after) => true,
        }
    }

    /// Begins to probe; without a probe the replica is ready at once. An adopted one counts as ready until a probe
    /// says otherwise, so that a restart of the supervisor changes nothing for a healthy worker.
    fn probe(&self, presumed: bool) -> Probing {
        let Some(workload) = self.directive.borrow().workload.clone() else {
            self.shared.set_ready(&self.key, self.index, true);
            return Probing::attached(None);
        };
        let Some(probe) = workload.readiness.clone() else {
            if self.shared.set_ready(&self.key, self.index, true) {
                self.emit(ProcessEventKind::Ready);
            }
            return Probing::attached(None);
        };
        if presumed {
            self.shared.set_ready(&self.key, self.index, true);
        }
        let (shared, key, index) = (Arc::clone(&self.shared), self.key.clone(), self.index);
        Probing::attached(Some(tokio::spawn(async move {
            let prober = Prober { workload: &workload, index, https: shared.options.https.as_ref() };
            let tell = |verdict: Result<(), String>| {
                shared.set_ready(&key, index, verdict.is_ok());
                let kind =
                    verdict.map_or_else(|reason| ProcessEventKind::NotReady { reason }, |()| ProcessEventKind::Ready);
                shared.events.send(&key, index, kind);
            };
            prober.watch(&probe, presumed, tell).await;
        })))
    }

    fn tail(&self, start: u64) -> Option<Tail> {
        let wanted = self.shared.options.tail_logs && !self.shared.events.is_closed();
        wanted.then(|| Tail::open(&self.folder.log(), start).ok()).flatten()
    }

    /// Passes on what is new, as far as the reader keeps up; `true` when there may be more.
    fn drain(&self, tail: &mut Option<Tail>) {
        if self.shared.events.is_closed() {
            *tail = None;
        }
        while let Some(open) = tail
            && self.shared.events.has_room()
            && matches!(open.read(|line| self.emit(ProcessEventKind::Log { line })), Ok(true))
        {}
    }

    async fn drain_to_end(&self, mut tail: Option<Tail>) {
        let deadline = Instant::now() + LAST_LINES;
        self.drain(&mut tail);
        while tail.is_some() && !self.shared.events.has_room() && Instant::now() < deadline {
            sleep(TAIL_PERIOD / 5).await;
            self.drain(&mut tail);
        }
        if let Some(mut tail) = tail {
            tail.finish(|line| self.emit(ProcessEventKind::Log { line }));
        }
    }

    fn emit(&self, kind: ProcessEventKind) {
        self.shared.events.send(&self.key, self.index, kind);
    }

    fn stopping(&self) -> bool {
        self.directive.borrow().stop
    }
}

/// A running probe task, which ends with this value.
struct Probing {
    task: Option<JoinHandle<()>>,
    attached: bool,
}

impl Probing {
    fn attached(task: Option<JoinHandle<()>>) -> Self {
        Self { task, attached: true }
    }

    fn detached() -> Self {
        Self { task: None, attached: false }
    }

    /// Whether the worker still counts as one that can be ready.
    fn is_attached(&self) -> bool {
        self.attached
    }
}

impl Drop for Probing {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn stop_wanted(directive: &mut watch::Receiver<Directive>) {
    if directive.wait_for(|directive| directive.stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn since(started: Timestamp) -> Duration {
    Duration::try_from(clock::wall().duration_since(started)).unwrap_or_default()
}
