//! Deployments as supervised local processes.
//!
//! The input is a plain description of a workload ([`Workload`]) and a number of replicas; the output is a stream of
//! [`ProcessEvent`]s and a [`WorkloadStatus`] on demand. Nothing here knows of manifests or of the engine.
//!
//! ```text
//! keda up ── Supervisor ── a task per replica ──► keda shim DIR ──► the worker (own process group)
//!                                │                     │                 │ stdout, stderr
//!                                └── reads DIR ◄───────┴─ records        ▼
//!                                                                    DIR/log
//! ```
//!
//! Each worker has a small parent of its own, the shim ([`shim`]). It leads a session, collects every orphan of the
//! worker (child subreaper), records the exit status, and carries out a stop by itself: SIGTERM to the shim means
//! SIGTERM to the worker's group, the grace period, then SIGKILL to all that is left. A stop therefore completes even
//! when `keda up` dies in the middle of it.
//!
//! What survives a SIGKILL of `keda up` is the state folder,
//! `<state>/workloads/<namespace>/<name>/<index>/`, one per replica:
//!
//! | file | written by | holds |
//! |---|---|---|
//! | `lock` | supervisor | flock held by the shim: locked means that the shim, or the supervisor about to start it, lives |
//! | `process.json` | shim | identities of worker and shim (pid, start time, boot), revision, restarts, start |
//! | `exit.json` | shim | exit code or signal, or why the worker did not start |
//! | `log`, `log.1` | worker | stdout and stderr; rotated at a start |
//!
//! The lock is one open file description: the supervisor takes it, hands it to the shim as its stdout and closes its
//! own copy. The kernel frees it when the shim dies, however that happens, so a restarted supervisor never takes a
//! dead replica for a live one nor starts a second process with the index of a live one. The description of the
//! launch, which holds secrets, reaches the shim through its stdin; neither disk nor command line ever sees it.
//!
//! Log lines written while no supervisor runs stay in the file; a restarted one tails from the end.
//!
//! Linux only: identities, usage and orphans come from `/proc` and pidfds.

mod backoff;
mod entry;
mod event;
mod folder;
mod handle;
mod plan;
mod probe;
mod procfs;
mod replica;
mod run;
mod shared;
pub mod shim;
mod status;
mod supervisor;
mod tail;
mod workload;

pub use event::{Events, ProcessEvent, ProcessEventKind};
pub use folder::{Exit, ExitRecord};
pub use status::{ReplicaStatus, ReplicaUsage, WorkloadStatus};
pub use supervisor::{Error, Options, Supervisor};
pub use workload::{Probe, ProbeAction, Workload, WorkloadKey};
