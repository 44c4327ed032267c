//! A hold on one process that cannot be mistaken for a later one with the same pid.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::{PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::procfs::Identity;

/// How often a process without a pidfd is looked at.
const POLL: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Handle {
    identity: Identity,
    /// Absent where the kernel or a sandbox refuses it; then `/proc` is polled.
    pidfd: Option<AsyncFd<OwnedFd>>,
}

impl Handle {
    /// Takes hold of a process; `None` when it has ended.
    pub(super) fn open(identity: &Identity) -> Option<Self> {
        let pidfd = pidfd_open(identity.pid()?, PidfdFlags::empty()).ok();
        let pidfd = pidfd.and_then(register);
        // Checked after the pidfd is open: from here on the pid cannot change its owner behind our back.
        identity.lives().then(|| Self { identity: identity.clone(), pidfd })
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Sends a signal; a process that has ended takes no notice.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = match (&self.pidfd, self.identity.pid()) {
            (Some(pidfd), _) => pidfd_send_signal(pidfd, signal),
            (None, Some(pid)) if self.identity.lives() => kill_process(pid, signal),
            _ => Ok(()),
        };
    }

    /// Returns once the process has ended. Cancel safe.
    pub(super) async fn ended(&self) {
        if let Some(pidfd) = &self.pidfd
            && pidfd.readable().await.is_ok()
        {
            return;
        }
        while self.identity.lives() {
            tokio::time::sleep(POLL).await;
        }
    }
}

/// tokio deprecates the safe constructor, for types whose `AsRawFd` may lie; that of an `OwnedFd` does not.
#[allow(deprecated)]
fn register(pidfd: OwnedFd) -> Option<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(pidfd, Interest::READABLE).ok()
}
