//! What the supervisor answers when it is asked how things are.

use jiff::Timestamp;

use super::folder::ExitRecord;
use super::workload::WorkloadKey;

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
