//! The supervisor: what is wanted, what there is, and the steps from one to the other.
//!
//! An idle workload is an entry in a map; only replicas have tasks. Every change of a replica or of a wish asks the
//! [`plan`] again. Dropping the supervisor leaves the workers running, to be adopted by the next one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::event::{self, EventSender, Events};
use super::folder::{self, ExitRecord, Folder, ProcessRecord};
use super::plan::{Seen, Step, plan};
use super::procfs::Table;
use super::replica::{Directive, Phase, Replica};
use super::workload::{Workload, WorkloadKey};

/// How long one look at `/proc` serves all who ask for usage.
const USAGE_AGE: Duration = Duration::from_millis(500);

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

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} is in use by another keda up", .0.display())]
    InUse(PathBuf),
    #[error("cannot use the state directory {}: {source}", path.display())]
    State { path: PathBuf, source: io::Error },
    #[error("{0} cannot be a workload's name: it must be usable as a folder name")]
    Name(WorkloadKey),
}

/// One workload at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadStatus {
    pub key: WorkloadKey,
    pub desired: u32,
    /// Replicas that are ready and not stopping.
    pub ready: u32,
    /// All that exist, stopping ones too, by index.
    pub replicas: Vec<ReplicaStatus>,
}

/// One replica at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    pub name: String,
    pub index: u32,
    /// The worker, when it runs.
    pub pid: Option<i32>,
    pub ready: bool,
    pub stopping: bool,
    pub restarts: u32,
    pub started: Option<Timestamp>,
    /// Whether an earlier supervisor started the present worker.
    pub adopted: bool,
    pub last_exit: Option<ExitRecord>,
    pub revision: u64,
}

/// What a replica's worker and all its descendants use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaUsage {
    pub index: u32,
    /// Processor time since the worker's start, in nanoseconds.
    pub cpu_nanoseconds: u64,
    /// Resident memory in bytes.
    pub memory_bytes: u64,
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
        let shared = Shared {
            options,
            root,
            events,
            entries: Mutex::default(),
            changed: watch::Sender::new(0),
            usage: Mutex::default(),
            _lock: lock,
        };
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

    /// Sets the number of replicas; a negative one counts as 0. It is remembered across a restart.
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

/// What the supervisor and the tasks of its replicas share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) events: EventSender,
    root: PathBuf,
    entries: Mutex<BTreeMap<WorkloadKey, Entry>>,
    changed: watch::Sender<u64>,
    usage: Mutex<Option<(Instant, Arc<Table>)>>,
    /// Held for as long as a task may touch the state directory.
    _lock: File,
}

#[derive(Debug, Default)]
struct Entry {
    /// Absent for an orphan and for one that is being removed.
    workload: Option<Arc<Workload>>,
    removed: bool,
    desired: u32,
    replicas: BTreeMap<u32, ReplicaState>,
}

/// What is known of one replica.
#[derive(Debug)]
pub(super) struct ReplicaState {
    pub(super) revision: u64,
    pub(super) phase: Phase,
    pub(super) ready: bool,
    pub(super) restarts: u32,
    pub(super) adopted: bool,
    pub(super) last_exit: Option<ExitRecord>,
    directive: watch::Sender<Directive>,
}

impl ReplicaState {
    fn stopping(&self) -> bool {
        self.directive.borrow().stop
    }
}

impl Entry {
    fn status(&self, key: &WorkloadKey) -> WorkloadStatus {
        let replicas: Vec<ReplicaStatus> = self
            .replicas
            .iter()
            .map(|(&index, replica)| {
                let record = match &replica.phase {
                    Phase::Running(record) => Some(record),
                    Phase::Waiting => None,
                };
                ReplicaStatus {
                    name: key.replica(index),
                    index,
                    pid: record.map(|record| record.worker.pid),
                    ready: replica.ready,
                    stopping: replica.stopping(),
                    restarts: replica.restarts,
                    started: record.map(|record| record.started),
                    adopted: replica.adopted,
                    last_exit: replica.last_exit.clone(),
                    revision: replica.revision,
                }
            })
            .collect();
        let ready = replicas.iter().filter(|replica| replica.ready && !replica.stopping).count();
        let ready = u32::try_from(ready).unwrap_or(u32::MAX);
        WorkloadStatus { key: key.clone(), desired: self.desired, ready, replicas }
    }

    fn running(&self) -> Vec<(u32, ProcessRecord)> {
        let running = self.replicas.iter().filter_map(|(&index, replica)| match &replica.phase {
            Phase::Running(record) => Some((index, record.clone())),
            Phase::Waiting => None,
        });
        running.collect()
    }

    fn steps(&self) -> Vec<Step> {
        let revision = match &self.workload {
            Some(workload) => Some(workload.revision),
            None if self.removed => None,
            // An orphan stays as it is until somebody decides.
            None => return Vec::new(),
        };
        let seen: Vec<Seen> = self
            .replicas
            .iter()
            .map(|(&index, replica)| Seen {
                index,
                current: Some(replica.revision) == revision,
                ready: replica.ready,
                stopping: replica.stopping(),
            })
            .collect();
        plan(self.desired, &seen)
    }
}

impl Shared {
    /// Changes what is known of a replica and carries out what follows from it.
    pub(super) fn update(self: &Arc<Self>, key: &WorkloadKey, index: u32, change: impl FnOnce(&mut ReplicaState)) {
        if let Some(replica) = self.entries().get_mut(key).and_then(|entry| entry.replicas.get_mut(&index)) {
            change(replica);
        }
        self.reconcile(key);
    }

    /// Sets the readiness of a running replica and says whether it changed.
    pub(super) fn set_ready(self: &Arc<Self>, key: &WorkloadKey, index: u32, ready: bool) -> bool {
        let mut changed = false;
        self.update(key, index, |replica| {
            let ready = ready && matches!(replica.phase, Phase::Running(_));
            changed = replica.ready != ready;
            replica.ready = ready;
        });
        changed
    }

    pub(super) fn is_ready(&self, key: &WorkloadKey, index: u32) -> bool {
        self.entries().get(key).and_then(|entry| entry.replicas.get(&index)).is_some_and(|replica| replica.ready)
    }

    /// A replica is gone for good.
    pub(super) fn finished(self: &Arc<Self>, key: &WorkloadKey, index: u32) {
        if let Some(entry) = self.entries().get_mut(key) {
            entry.replicas.remove(&index);
        }
        self.reconcile(key);
    }

    fn reconcile(self: &Arc<Self>, key: &WorkloadKey) {
        {
            let mut entries = self.entries();
            if let Some(entry) = entries.get_mut(key) {
                for step in entry.steps() {
                    self.carry_out(key, entry, step);
                }
                if entry.removed && entry.replicas.is_empty() {
                    entries.remove(key);
                }
            }
        }
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn carry_out(self: &Arc<Self>, key: &WorkloadKey, entry: &mut Entry, step: Step) {
        match step {
            Step::Stop(index) => {
                if let Some(replica) = entry.replicas.get(&index) {
                    replica.directive.send_modify(|directive| directive.stop = true);
                }
            }
            Step::Start(index) => {
                let directive = Directive { workload: entry.workload.clone(), stop: false };
                entry.replicas.insert(index, self.spawn(key, index, directive, false));
            }
        }
    }

    fn spawn(self: &Arc<Self>, key: &WorkloadKey, index: u32, directive: Directive, adopt: bool) -> ReplicaState {
        let revision = directive.workload.as_ref().map_or(0, |workload| workload.revision);
        let (sender, receiver) = watch::channel(directive);
        let folder = self.folder(key, index);
        let replica = Replica { shared: Arc::clone(self), key: key.clone(), index, folder, directive: receiver };
        tokio::spawn(replica.live(adopt));
        ReplicaState {
            revision,
            phase: Phase::default(),
            ready: false,
            restarts: 0,
            adopted: false,
            last_exit: None,
            directive: sender,
        }
    }

    fn folder(&self, key: &WorkloadKey, index: u32) -> Folder {
        Folder::new(self.workload_folder(key).join(index.to_string()))
    }

    fn workload_folder(&self, key: &WorkloadKey) -> PathBuf {
        self.root.join(&key.namespace).join(&key.name)
    }

    /// Remembers the number of replicas for the next supervisor.
    fn remember(&self, key: &WorkloadKey, desired: u32) {
        let folder = self.workload_folder(key);
        let written =
            folder::create_private(&folder).and_then(|()| folder::write(&folder.join("scale.json"), &desired));
        if let Err(error) = written {
            tracing::warn!(workload = %key, %error, "cannot remember the number of replicas");
        }
    }

    fn forget(&self, key: &WorkloadKey) {
        match fs::remove_file(self.workload_folder(key).join("scale.json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(workload = %key, %error, "cannot forget the number of replicas");
            }
            _ => {}
        }
    }

    fn table(&self) -> Arc<Table> {
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        match &*usage {
            Some((at, table)) if at.elapsed() < USAGE_AGE => Arc::clone(table),
            _ => {
                let table = Arc::new(Table::read());
                *usage = Some((Instant::now(), Arc::clone(&table)));
                table
            }
        }
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<WorkloadKey, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
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
