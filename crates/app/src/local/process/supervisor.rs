//! The supervisor: what is wanted, what there is, and the steps from one to the other.
//!
//! An idle workload is an entry in a map; only replicas have tasks. Every change of a replica or of a wish asks the
//! plan again. Dropping the supervisor leaves the workers running, to be adopted by the next one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::entry::{Entry, ReplicaState};
use super::event::{self, Events};
use super::folder::{self, Folder};
use super::replica::{Directive, Phase};
use super::shared::Shared;
use super::status::{ReplicaUsage, WorkloadStatus};
use super::workload::{Workload, WorkloadKey};

/// How a supervisor works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the state lives; one supervisor at a time.
    pub state_directory: PathBuf,
    /// The executable that understands `shim DIR`: this one, even after an upgrade has replaced its file.
    pub shim: PathBuf,
    /// Whether log lines become events.
    pub tail_logs: bool,
    /// Bytes from which on a log is moved aside at the next start.
    pub log_limit: u64,
    /// The wait before the second restart; doubled for each further one.
    pub backoff_base: Duration,
    /// The longest wait before a restart.
    pub backoff_limit: Duration,
    /// The client for readiness probes over TLS; it should accept any certificate, as the kubelet does.
    pub https: Option<reqwest::Client>,
}

impl Options {
    /// Kubernetes' habits: 10 s doubling to 5 min, logs of 10 MiB.
    pub fn new(state_directory: impl Into<PathBuf>) -> Self {
        Self {
            state_directory: state_directory.into(),
            shim: PathBuf::from("/proc/self/exe"),
            tail_logs: true,
            log_limit: 10 * 1024 * 1024,
            backoff_base: Duration::from_secs(10),
            backoff_limit: Duration::from_secs(300),
            https: None,
        }
    }
}

/// Why a supervisor or a workload is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} is in use by another keda up", .0.display())]
    InUse(PathBuf),
    #[error("cannot use the state directory {}: {source}", path.display())]
    State { path: PathBuf, source: io::Error },
    #[error("{0} cannot be a workload's name: it must be usable as a folder name")]
    Name(WorkloadKey),
}

/// Runs workloads as processes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Supervisor(Arc<Shared>);

impl Supervisor {
    /// Opens the state directory and adopts what runs there. Needs a tokio runtime.
    ///
    /// Adopted workloads keep their number of replicas; until [`Supervisor::apply`] they are [`Supervisor::orphans`].
    pub fn open(options: Options) -> Result<(Self, Events), Error> {
        let path = options.state_directory.clone();
        let state = |source| Error::State { path: path.clone(), source };
        let root = path.join("workloads");
        folder::create_private(&root).map_err(state)?;
        let root = root.canonicalize().map_err(state)?;
        let lock = folder::lock_file(&root.join("lock")).map_err(state)?;
        let lock = lock.ok_or_else(|| Error::InUse(path.clone()))?;
        let (events, receiver) = event::channel();
        let shared = Shared::new(options, root, events, lock);
        let supervisor = Self(Arc::new(shared));
        supervisor.adopt().map_err(state)?;
        Ok((supervisor, receiver))
    }

    /// Makes a workload known or changes it. Nothing starts until it is scaled; running replicas of another revision
    /// are replaced one at a time.
    pub fn apply(&self, workload: Workload) -> Result<(), Error> {
        let key = workload.key.clone();
        if ![&key.namespace, &key.name].into_iter().all(|name| is_folder_name(name)) {
            return Err(Error::Name(key));
        }
        let workload = Arc::new(workload);
        {
            let mut entries = self.0.entries();
            let entry = entries.entry(key.clone()).or_default();
            for replica in entry.replicas.values().filter(|replica| replica.revision == workload.revision) {
                replica.directive.send_if_modified(|directive| {
                    let changes = directive.workload.as_ref() != Some(&workload);
                    directive.workload = Some(Arc::clone(&workload));
                    changes
                });
            }
            entry.workload = Some(workload);
            entry.removed = false;
        }
        self.0.reconcile(&key);
        Ok(())
    }

    /// Sets the number of replicas; a negative one counts as 0, an unknown workload is
    /// ignored. The number is remembered across a restart, but not across [`Supervisor::stop_all`].
    pub fn scale(&self, key: &WorkloadKey, replicas: i32) {
        let desired = u32::try_from(replicas).unwrap_or(0);
        if let Some(entry) = self.0.entries().get_mut(key)
            && entry.desired != desired
        {
            entry.desired = desired;
            self.0.remember(key, desired);
        }
        self.0.reconcile(key);
    }

    /// Stops all replicas of a workload and forgets it.
    pub fn remove(&self, key: &WorkloadKey) {
        if let Some(entry) = self.0.entries().get_mut(key) {
            entry.workload = None;
            entry.desired = 0;
            entry.removed = true;
        }
        self.0.forget(key);
        self.0.reconcile(key);
    }

    /// How a workload is; `None` for one that nobody applied or adopted.
    pub fn status(&self, key: &WorkloadKey) -> Option<WorkloadStatus> {
        self.0.entries().get(key).map(|entry| entry.status(key))
    }

    /// All workloads, orphans too.
    pub fn statuses(&self) -> Vec<WorkloadStatus> {
        self.0.entries().iter().map(|(key, entry)| entry.status(key)).collect()
    }

    /// Workloads whose processes were adopted and that nobody has applied since.
    pub fn orphans(&self) -> Vec<WorkloadStatus> {
        let entries = self.0.entries();
        let orphans = entries.iter().filter(|(_, entry)| entry.workload.is_none() && !entry.removed);
        let orphans = orphans.filter(|(_, entry)| !entry.replicas.is_empty());
        orphans.map(|(key, entry)| entry.status(key)).collect()
    }

    /// Counts up whenever a replica or a wish changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// What the running replicas of a workload use.
    pub fn usage(&self, key: &WorkloadKey) -> Vec<ReplicaUsage> {
        let running = self.0.entries().get(key).map(Entry::running).unwrap_or_default();
        if running.is_empty() {
            return Vec::new();
        }
        let table = self.0.table();
        let usage = running.into_iter().map(|(index, record)| {
            let (cpu_nanoseconds, memory_bytes) = table.usage(record.shim.pid);
            ReplicaUsage { index, cpu_nanoseconds, memory_bytes }
        });
        usage.collect()
    }

    /// The log file of a replica, whether it runs or not.
    pub fn log_path(&self, key: &WorkloadKey, index: u32) -> PathBuf {
        self.0.folder(key, index).log()
    }

    /// Stops everything, orphans too, each replica within its own grace period, and waits for the end.
    pub async fn stop_all(&self) {
        let mut changes = self.changes();
        let keys: Vec<WorkloadKey> = self.0.entries().keys().cloned().collect();
        for key in &keys {
            self.remove(key);
        }
        while self.0.entries().values().any(|entry| !entry.replicas.is_empty()) && changes.changed().await.is_ok() {}
    }

    fn adopt(&self) -> io::Result<()> {
        for (namespace, path) in folders(&self.0.root)? {
            for (name, path) in folders(&path)? {
                let key = WorkloadKey::new(namespace.clone(), name);
                for (index, path) in folders(&path)? {
                    if let Ok(index) = index.parse() {
                        self.adopt_replica(&key, index, &Folder::new(path))?;
                    }
                }
                let remembered: Option<u32> = folder::read(&path.join("scale.json"));
                if let Some(entry) = self.0.entries().get_mut(&key) {
                    let found = u32::try_from(entry.replicas.len()).unwrap_or(u32::MAX);
                    entry.desired = remembered.unwrap_or(found);
                } else if let Some(desired) = remembered {
                    self.0.entries().insert(key, Entry { desired, ..Entry::default() });
                }
            }
        }
        Ok(())
    }

    /// A folder with a process, or with a shim about to start one, gets a replica.
    fn adopt_replica(&self, key: &WorkloadKey, index: u32, folder: &Folder) -> io::Result<()> {
        let record = folder.process();
        if record.is_none() && folder.lock()?.is_some() {
            return Ok(());
        }
        let revision = record.as_ref().map_or(0, |record| record.revision);
        let mut entries = self.0.entries();
        let entry = entries.entry(key.clone()).or_default();
        let replica = self.0.spawn(key, index, Directive::default(), true);
        let phase = record.filter(|record| record.worker.lives()).map_or(Phase::Waiting, Phase::Running);
        let ready = matches!(phase, Phase::Running(_));
        entry.replicas.insert(index, ReplicaState { revision, phase, ready, adopted: true, ..replica });
        Ok(())
    }
}

fn folders(path: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir()
            && let Ok(name) = entry.file_name().into_string()
        {
            found.push((name, entry.path()));
        }
    }
    Ok(found)
}

fn is_folder_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}
