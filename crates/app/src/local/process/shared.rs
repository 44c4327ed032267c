//! What the supervisor and the tasks of its replicas share, and how a change of it is carried out.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::entry::{Entry, ReplicaState};
use super::event::EventSender;
use super::folder::{self, Folder};
use super::plan::Step;
use super::procfs::Table;
use super::replica::{Directive, Phase, Replica};
use super::supervisor::Options;
use super::workload::WorkloadKey;

/// How long one look at `/proc` serves all who ask for usage.
const USAGE_AGE: Duration = Duration::from_millis(500);

/// What the supervisor and the tasks of its replicas share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) events: EventSender,
    pub(super) root: PathBuf,
    entries: Mutex<BTreeMap<WorkloadKey, Entry>>,
    pub(super) changed: watch::Sender<u64>,
    usage: Mutex<Option<(Instant, Arc<Table>)>>,
    /// Held for as long as a task may touch the state directory.
    _lock: File,
}

impl Shared {
    /// `lock` is the state directory's.
    pub(super) fn new(options: Options, root: PathBuf, events: EventSender, lock: File) -> Self {
        let changed = watch::Sender::new(0);
        Self { options, root, events, entries: Mutex::default(), changed, usage: Mutex::default(), _lock: lock }
    }

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

    pub(super) fn reconcile(self: &Arc<Self>, key: &WorkloadKey) {
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

    pub(super) fn spawn(
        self: &Arc<Self>,
        key: &WorkloadKey,
        index: u32,
        directive: Directive,
        adopt: bool,
    ) -> ReplicaState {
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

    pub(super) fn folder(&self, key: &WorkloadKey, index: u32) -> Folder {
        Folder::new(self.workload_folder(key).join(index.to_string()))
    }

    fn workload_folder(&self, key: &WorkloadKey) -> PathBuf {
        self.root.join(&key.namespace).join(&key.name)
    }

    /// Remembers the number of replicas for the next supervisor.
    pub(super) fn remember(&self, key: &WorkloadKey, desired: u32) {
        let folder = self.workload_folder(key);
        let written =
            folder::create_private(&folder).and_then(|()| folder::write(&folder.join("scale.json"), &desired));
        if let Err(error) = written {
            tracing::warn!(workload = %key, %error, "cannot remember the number of replicas");
        }
    }

    pub(super) fn forget(&self, key: &WorkloadKey) {
        match fs::remove_file(self.workload_folder(key).join("scale.json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(workload = %key, %error, "cannot forget the number of replicas");
            }
            _ => {}
        }
    }

    pub(super) fn table(&self) -> Arc<Table> {
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

    pub(super) fn entries(&self) -> MutexGuard<'_, BTreeMap<WorkloadKey, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
