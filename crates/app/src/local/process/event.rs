//! What the supervisor tells: one ordered stream of events and log lines.
//!
//! Events are few and never dropped. Log lines can be many: when the reader falls behind, tails stop reading and the
//! lines wait in their files, so that memory stays bounded and nothing is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::folder::Exit;
use super::workload::WorkloadKey;

/// Log lines that may wait for the reader.
const BACKLOG: usize = 4096;

/// Something that happened to one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessEvent {
    pub workload: WorkloadKey,
    pub index: u32,
    pub kind: ProcessEventKind,
}

impl ProcessEvent {
    /// The replica's name, `<name>-<index>`.
    pub fn replica(&self) -> String {
        self.workload.replica(self.index)
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessEventKind {
    /// The worker runs.
    Started { pid: i32 },
    /// A worker that an earlier supervisor started was found alive.
    Adopted { pid: i32 },
    /// It runs and its readiness probe, if any, succeeded.
    Ready,
    /// The readiness probe failed as often as its threshold says.
    NotReady { reason: String },
    /// The worker could not be started; it is tried again after the back-off.
    StartFailed { reason: String },
    /// The worker ended, by itself or because it was stopped.
    Exited { exit: Exit },
    /// The replica starts again after this wait.
    Restarting { after: Duration },
    /// SIGTERM is on its way.
    Stopping { grace_period: Duration },
    /// The grace period passed and SIGKILL was needed.
    Killed,
    /// The replica is gone for good.
    Stopped,
    /// A line of the worker's stdout or stderr, without its line end.
    Log { line: String },
}

/// The receiving end, for one reader. Dropping it turns the tails off.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::UnboundedReceiver<ProcessEvent>,
    backlog: Arc<AtomicUsize>,
}

impl Events {
    /// The next event; `None` when the supervisor is gone.
    pub async fn next(&mut self) -> Option<ProcessEvent> {
        let event = self.receiver.recv().await?;
        if matches!(event.kind, ProcessEventKind::Log { .. }) {
            self.backlog.fetch_sub(1, Ordering::Relaxed);
        }
        Some(event)
    }
}

#[derive(Clone, Debug)]
pub(super) struct EventSender {
    sender: mpsc::UnboundedSender<ProcessEvent>,
    backlog: Arc<AtomicUsize>,
}

pub(super) fn channel() -> (EventSender, Events) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let backlog = Arc::new(AtomicUsize::new(0));
    (EventSender { sender, backlog: Arc::clone(&backlog) }, Events { receiver, backlog })
}

impl EventSender {
    pub(super) fn send(&self, workload: &WorkloadKey, index: u32, kind: ProcessEventKind) {
        if matches!(kind, ProcessEventKind::Log { .. }) {
            self.backlog.fetch_add(1, Ordering::Relaxed);
        }
        // Nobody listening is no error: the status tells the same.
        let _ = self.sender.send(ProcessEvent { workload: workload.clone(), index, kind });
    }

    /// Whether another log line may be sent now.
    pub(super) fn has_room(&self) -> bool {
        self.backlog.load(Ordering::Relaxed) < BACKLOG
    }

    /// Whether nobody will ever read again.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}
