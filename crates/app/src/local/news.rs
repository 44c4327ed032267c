//! What workers do, in words.

use super::output::{Level, News};
use super::process::{ProcessEvent, ProcessEventKind};

/// The news of an event.
pub(crate) fn of_process(event: &ProcessEvent) -> News {
    let (level, message) = match &event.kind {
        ProcessEventKind::Started { pid } => (Level::Info, format!("started as process {pid}")),
        ProcessEventKind::Adopted { pid } => (Level::Info, format!("adopted process {pid}, which was running already")),
        ProcessEventKind::Ready => (Level::Info, "ready".to_string()),
        ProcessEventKind::NotReady { reason } => (Level::Warning, format!("no longer ready: {reason}")),
        ProcessEventKind::StartFailed { reason } => (Level::Error, format!("cannot be started: {reason}")),
        ProcessEventKind::Exited { exit } => (Level::Info, format!("ended: {exit}")),
        ProcessEventKind::Restarting { after } => {
            (Level::Warning, format!("starts again in {:.1} s", after.as_secs_f64()))
        }
        ProcessEventKind::Stopping { grace_period } => {
            (Level::Info, format!("asked to stop within {} s", grace_period.as_secs()))
        }
        ProcessEventKind::Killed => (Level::Warning, "killed: it did not stop within its grace period".to_string()),
        ProcessEventKind::Stopped => (Level::Info, "stopped".to_string()),
        ProcessEventKind::Log { line } => (Level::Info, line.clone()),
    };
    News::new(level, "processes", message)
        .with("replica", event.replica())
        .with("namespace", event.workload.namespace.clone())
}
