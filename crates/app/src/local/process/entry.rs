//! What is known of one workload and its replicas.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::folder::{ExitRecord, ProcessRecord};
use super::plan::{Seen, Step, plan};
use super::replica::{Directive, Phase};
use super::status::{ReplicaStatus, WorkloadStatus};
use super::workload::{Workload, WorkloadKey};

/// A workload: what is wanted and what there is.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Absent for an orphan and for one that is being removed.
    pub(super) workload: Option<Arc<Workload>>,
    pub(super) removed: bool,
    pub(super) desired: u32,
    pub(super) replicas: BTreeMap<u32, ReplicaState>,
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
    pub(super) directive: watch::Sender<Directive>,
}

impl ReplicaState {
    fn stopping(&self) -> bool {
        self.directive.borrow().stop
    }
}

impl Entry {
    pub(super) fn status(&self, key: &WorkloadKey) -> WorkloadStatus {
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

    pub(super) fn running(&self) -> Vec<(u32, ProcessRecord)> {
        let running = self.replicas.iter().filter_map(|(&index, replica)| match &replica.phase {
            Phase::Running(record) => Some((index, record.clone())),
            Phase::Waiting => None,
        });
        running.collect()
    }

    pub(super) fn steps(&self) -> Vec<Step> {
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
