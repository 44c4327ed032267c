//! Listening to a source that speaks up by itself.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::Command;
use crate::trigger::Push;

/// The least time between two pushes of one source; one that says more waits, by the flow control of its connection.
const PACE: Duration = Duration::from_millis(20);

/// Whether a source is listened to.
#[derive(Debug)]
pub(super) enum Listening {
    /// The next reading finds out whether there is something to listen to.
    NotYet,
    /// The source says nothing by itself.
    Never,
    /// Until this is dropped.
    To(#[allow(dead_code, reason = "it is held, not read")] Task),
}

/// A task that ends when this is dropped.
#[derive(Debug)]
pub(super) struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Listening {
    /// Passes on what comes, in a task of its own, so that a fault harms nobody else; after one the next reading
    /// listens anew.
    pub(super) fn to(
        pushes: Option<BoxStream<'static, Push>>,
        fingerprint: u128,
        life: u64,
        commands: mpsc::WeakUnboundedSender<Command>,
    ) -> Self {
        let Some(mut pushes) = pushes else { return Listening::Never };
        let send = move |command| {
            // The sampler has ended when nobody receives any more.
            commands.upgrade().is_some_and(|commands| commands.send(command).is_ok())
        };
        let task = tokio::spawn(async move {
            let forward = async {
                while let Some(push) = pushes.next().await {
                    if !send(Command::Pushed(fingerprint, life, push)) {
                        return;
                    }
                    tokio::time::sleep(PACE).await;
                }
            };
            if AssertUnwindSafe(forward).catch_unwind().await.is_err() {
                tracing::error!("listening to a source failed by a fault in keda itself");
                send(Command::Silent(fingerprint, life));
            }
        });
        Listening::To(Task(task.abort_handle()))
    }
}
