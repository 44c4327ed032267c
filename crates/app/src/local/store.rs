//! What `keda up` remembers of its objects across restarts: when they were created and last active, how their sources
//! were doing, and what the replica arithmetic needs of the past.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use keda_core::engine::{ObjectKey, Restored};
use keda_core::hpa::Autoscaler;
use keda_scalers::plan::Plan;
use serde::{Deserialize, Serialize};

use super::instance::Change;
use super::managed::target_of;

/// The remembered state of one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Remembered {
    /// What it scales.
    #[serde(default)]
    pub(crate) target: String,
    /// When it was first seen.
    pub(crate) created: Timestamp,
    /// For the engine.
    pub(crate) restored: Restored,
    /// For the replica arithmetic.
    pub(crate) autoscaler: Autoscaler,
    /// For `keda explain`: the last changes of the replicas.
    #[serde(default)]
    pub(crate) changes: Vec<Change>,
}

impl Remembered {
    /// What is still true when the object scales what `plan` says.
    #[must_use]
    pub(crate) fn for_target(self, plan: &Plan) -> Self {
        if self.target == target_of(plan) {
            return self;
        }
        let autoscaler = Autoscaler::new(plan.definition.key.namespace.clone());
        Remembered { target: target_of(plan), autoscaler, changes: Vec::new(), ..self }
    }
}

/// The folder of remembered objects.
#[derive(Debug, Clone)]
pub(crate) struct Store(PathBuf);

impl Store {
    /// A store inside a state folder.
    pub(crate) fn new(state_directory: &Path) -> Self {
        Store(state_directory.join("objects"))
    }

    /// What is remembered of an object. A file that cannot be read is as good as none.
    pub(crate) fn read(&self, key: &ObjectKey) -> Option<Remembered> {
        let text = fs::read(self.path(key)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Remembers an object.
    pub(crate) fn write(&self, key: &ObjectKey, remembered: &Remembered) -> io::Result<()> {
        let path = self.path(key);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let new = path.with_extension("new");
        fs::write(&new, serde_json::to_vec(remembered)?)?;
        fs::rename(&new, &path)
    }

    /// Forgets an object that is gone.
    pub(crate) fn forget(&self, key: &ObjectKey) {
        // What is not there need not be removed.
        let _ = fs::remove_file(self.path(key));
    }

    fn path(&self, key: &ObjectKey) -> PathBuf {
        self.0.join(&key.namespace).join(format!("{}.json", key.name))
    }
}
