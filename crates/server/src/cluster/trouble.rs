//! Failing watches, told of once: they are tried again with longer and longer pauses, and the same text each time would
//! bury all others.

use kube::runtime::watcher;

use super::client::ApiError;

/// What was last told of a watch.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    told: String,
}

impl Trouble {
    /// Tells of a failure, unless it is the one that was told of last.
    pub(crate) fn tell(&mut self, what: &str, error: watcher::Error) {
        let text = match error {
            // The server ends watches that it can no longer serve from where they are; they begin anew.
            watcher::Error::WatchError(status) if status.code == 410 => return,
            watcher::Error::WatchError(status) => status.message.clone(),
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => ApiError::from(error).message,
            other => other.to_string(),
        };
        if self.told != text {
            tracing::warn!(what, error = %text, "cannot watch; trying again");
            self.told = text;
        }
    }

    /// The watch works.
    pub(crate) fn is_over(&mut self, what: &str) {
        if !std::mem::take(&mut self.told).is_empty() {
            tracing::info!(what, "watching again");
        }
    }
}
