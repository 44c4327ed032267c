//! The state folder of one replica: lock, records and log. See the module documentation for who writes what.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::procfs::Identity;

/// How a worker ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// It never ran; the reason is fit to print.
    StartFailed(String),
    /// Nobody saw it: its shim was killed before it.
    Unknown,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::StartFailed(reason) => write!(f, "not started: {reason}"),
            Self::Unknown => write!(f, "exit status unknown"),
        }
    }
}

/// How and when a worker ended: `exit.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    pub exit: Exit,
    pub at: Timestamp,
    /// Whether SIGKILL was needed after the grace period.
    #[serde(default)]
    pub killed: bool,
}

/// The running worker and its shim: `process.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProcessRecord {
    pub(super) worker: Identity,
    pub(super) shim: Identity,
    pub(super) revision: u64,
    pub(super) restarts: u32,
    pub(super) grace_period_millis: u64,
    pub(super) started: Timestamp,
}

/// The folder of one replica.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    pub(super) fn create(&self) -> io::Result<()> {
        create_private(&self.0)
    }

    /// Takes the lock, or says with `None` that a shim holds it.
    pub(super) fn lock(&self) -> io::Result<Option<File>> {
        lock_file(&self.0.join("lock"))
    }

    pub(super) fn process(&self) -> Option<ProcessRecord> {
        read(&self.0.join("process.json"))
    }

    pub(super) fn exit(&self) -> Option<ExitRecord> {
        read(&self.0.join("exit.json"))
    }

    pub(super) fn record_process(&self, record: &ProcessRecord) -> io::Result<()> {
        write(&self.0.join("process.json"), record)
    }

    pub(super) fn record_exit(&self, record: &ExitRecord) -> io::Result<()> {
        write(&self.0.join("exit.json"), record)
    }

    /// Forgets the process, once it is gone and its end has been told; the exit record stays for the reader.
    pub(super) fn forget_process(&self) {
        // A file that is not there is what we want; any other failure shows at the next start.
        let _ = fs::remove_file(self.0.join("process.json"));
    }

    /// Removes the records of an earlier run. The caller holds the lock.
    pub(super) fn clear(&self) -> io::Result<()> {
        for name in ["process.json", "exit.json"] {
            match fs::remove_file(self.0.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Moves a log of more than `limit` bytes aside and returns the length of the current one.
    pub(super) fn rotate_log(&self, limit: u64) -> io::Result<u64> {
        let length = self.log_length();
        if length <= limit {
            return Ok(length);
        }
        fs::rename(self.log(), self.0.join("log.1"))?;
        Ok(0)
    }

    pub(super) fn log_length(&self) -> u64 {
        fs::metadata(self.log()).map_or(0, |metadata| metadata.len())
    }

    /// The log, opened for appending.
    pub(super) fn open_log(&self) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).mode(0o600).open(self.log())
    }
}

/// Creates a folder and its parents, readable by the owner alone.
pub(super) fn create_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Takes an exclusive lock on a file, or says with `None` that another open file description holds it.
pub(super) fn lock_file(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reads a record; one that is absent or damaged does not exist.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Writes a record so that a reader sees all of it or nothing.
pub(super) fn write<T: Serialize>(path: &Path, record: &T) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    drop(file);
    fs::rename(temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_is_held_by_the_open_file_and_freed_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::new(directory.path().join("a/b"));
        folder.create().unwrap();
        let held = folder.lock().unwrap();
        assert!(held.is_some());
        assert!(folder.lock().unwrap().is_none(), "a second description does not get it");
        let handed_on = held.as_ref().map(|file| file.try_clone().unwrap());
        drop(held);
        assert!(folder.lock().unwrap().is_none(), "a duplicate keeps it");
        drop(handed_on);
        assert!(folder.lock().unwrap().is_some());
    }

    #[test]
    fn a_large_log_moves_aside() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::new(directory.path());
        folder.open_log().unwrap().write_all(b"12345").unwrap();
        assert_eq!(folder.rotate_log(5).unwrap(), 5, "appended to while it is small");
        assert_eq!(folder.rotate_log(4).unwrap(), 0);
        assert_eq!(fs::read(directory.path().join("log.1")).unwrap(), b"12345");
    }

    #[test]
    fn a_damaged_record_does_not_exist() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::new(directory.path());
        let record = ExitRecord { exit: Exit::Signal(9), at: Timestamp::UNIX_EPOCH, killed: true };
        folder.record_exit(&record).unwrap();
        assert_eq!(folder.exit(), Some(record));
        fs::write(directory.path().join("exit.json"), "{").unwrap();
        assert_eq!(folder.exit(), None);
    }
}
