//! Notices that manifests have changed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::cli::Manifests;

/// Quiet time after a change before it is taken over: editors write a file in several steps.
const SETTLE: Duration = Duration::from_millis(300);
/// Time after which changes that do not end are taken over.
const LATEST: Duration = Duration::from_secs(3);

/// Watches paths, or nothing.
#[derive(Debug)]
pub(super) struct Watch {
    changes: mpsc::UnboundedReceiver<()>,
    /// When the changes that were seen have settled.
    settled: Option<Instant>,
    /// When they are taken over at the latest.
    latest: Option<Instant>,
    /// Ends the watch when dropped.
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Watches the folders of these paths: a file that is replaced would otherwise be lost sight of.
    pub(super) fn new(manifests: Option<&Manifests>) -> anyhow::Result<Self> {
        let (sender, changes) = mpsc::unbounded_channel();
        let Some(manifests) = manifests else {
            return Ok(Watch { changes, settled: None, latest: None, _watcher: None });
        };
        let recursive = manifests.recursive;
        let mut places = Vec::new();
        for path in manifests.paths.iter().filter(|path| path.as_os_str() != "-") {
            places.push(path.canonicalize().with_context(|| format!("cannot watch {}", path.display()))?);
        }
        let watched = places.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            let concerns = |path: &PathBuf| watched.iter().any(|place| is_manifest_of(place, path, recursive));
            if !event.kind.is_access() && event.paths.iter().any(concerns) {
                // Nobody listens any more at the end.
                let _ = sender.send(());
            }
        })?;
        for place in &places {
            let folder = if place.is_dir() { place } else { place.parent().unwrap_or(place) };
            let mode = if recursive { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
            watcher.watch(folder, mode).with_context(|| format!("cannot watch {}", folder.display()))?;
        }
        Ok(Watch { changes, settled: None, latest: None, _watcher: Some(watcher) })
    }

    /// The next change, once it has settled; `None` when nothing is watched. Nothing is lost when the caller gives up
    /// waiting and comes back.
    pub(super) async fn changed(&mut self) -> Option<()> {
        let latest = match self.latest {
            Some(latest) => latest,
            None => {
                self.changes.recv().await?;
                *self.latest.insert(Instant::now() + LATEST)
            }
        };
        loop {
            let settled = *self.settled.get_or_insert_with(|| Instant::now() + SETTLE);
            tokio::select! {
                change = self.changes.recv() => {
                    change?;
                    self.settled = Some(Instant::now() + SETTLE);
                }
                () = tokio::time::sleep_until(settled.min(latest)) => break,
            }
        }
        self.latest = None;
        self.settled = None;
        Some(())
    }
}

/// Whether a path that changed is the manifest `place`, or one in the folder `place`.
fn is_manifest_of(place: &Path, path: &Path, recursive: bool) -> bool {
    let inside = if recursive { path.starts_with(place) } else { path.parent() == Some(place) };
    path == place || (inside && crate::files::is_manifest(path))
}
