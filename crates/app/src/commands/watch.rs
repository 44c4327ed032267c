//! Notices that manifests have changed.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::up::Paths;

/// Quiet time after a change: editors write a file in several steps.
const SETTLE: Duration = Duration::from_millis(200);

/// Watches paths, or nothing.
#[derive(Debug)]
pub(super) struct Watch {
    changes: mpsc::UnboundedReceiver<()>,
    /// Ends the watch when dropped.
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Watches the folders of these paths: a file that is replaced would otherwise be lost sight of.
    pub(super) fn new(paths: Option<&Paths>) -> anyhow::Result<Self> {
        let (sender, changes) = mpsc::unbounded_channel();
        let Some(paths) = paths else { return Ok(Watch { changes, _watcher: None }) };
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                // Nobody listens any more at the end.
                let _ = sender.send(());
            }
        })?;
        for path in paths.iter().filter(|path| path.as_os_str() != "-") {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let folder = if path.is_dir() { path } else { parent };
            let watched = watcher.watch(folder, RecursiveMode::Recursive);
            watched.with_context(|| format!("cannot watch {}", folder.display()))?;
        }
        Ok(Watch { changes, _watcher: Some(watcher) })
    }

    /// The next change, once it has settled; `None` when nothing is watched.
    pub(super) async fn changed(&mut self) -> Option<()> {
        self.changes.recv().await?;
        while let Ok(Some(())) = tokio::time::timeout(SETTLE, self.changes.recv()).await {}
        Some(())
    }
}
