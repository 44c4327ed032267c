//! The messages of the contract with Temporal, as far as they are used: package `temporal.api.workflowservice.v1`, service
//! `WorkflowService`.

use std::collections::BTreeMap;

/// Describes a task queue.
pub const DESCRIBE_TASK_QUEUE: &str = "/temporal.api.workflowservice.v1.WorkflowService/DescribeTaskQueue";
/// Describes a version of a worker deployment.
pub const DESCRIBE_VERSION: &str = "/temporal.api.workflowservice.v1.WorkflowService/DescribeWorkerDeploymentVersion";
/// Counts workflows.
pub const COUNT_WORKFLOWS: &str = "/temporal.api.workflowservice.v1.WorkflowService/CountWorkflowExecutions";

/// The kinds of tasks (`TaskQueueType`).
pub const WORKFLOW: i32 = 1;
/// As [`WORKFLOW`].
pub const ACTIVITY: i32 = 2;
/// As [`WORKFLOW`].
pub const NEXUS: i32 = 3;
/// The kind of a queue that all workers poll (`TaskQueueKind`).
pub const NORMAL: i32 = 1;
/// The way in which a queue is described by versions (`DescribeTaskQueueMode`).
pub const ENHANCED: i32 = 1;
/// What becomes of a version (`WorkerDeploymentVersionStatus`): new workflows begin on it.
pub const CURRENT: i32 = 2;
/// As [`CURRENT`]: some do.
pub const RAMPING: i32 = 3;
/// As [`CURRENT`]: only old workflows run on it.
pub const DRAINING: i32 = 4;

/// A task queue.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct TaskQueue {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its kind.
    #[prost(int32, tag = "2")]
    pub kind: i32,
}

/// Which versions count, by the old rules.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct VersionSelection {
    /// These builds.
    #[prost(string, repeated, tag = "1")]
    pub build_ids: Vec<String>,
    /// No build.
    #[prost(bool, tag = "2")]
    pub unversioned: bool,
    /// All builds in use.
    #[prost(bool, tag = "3")]
    pub all_active: bool,
}

/// A question for a task queue.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DescribeTaskQueueRequest {
    /// The namespace.
    #[prost(string, tag = "1")]
    pub namespace: String,
    /// The queue.
    #[prost(message, optional, tag = "2")]
    pub task_queue: Option<TaskQueue>,
    /// The kind of its tasks.
    #[prost(int32, tag = "3")]
    pub task_queue_type: i32,
    /// How it is described.
    #[prost(int32, tag = "5")]
    pub api_mode: i32,
    /// Which versions count.
    #[prost(message, optional, tag = "6")]
    pub versions: Option<VersionSelection>,
    /// The kinds of its tasks.
    #[prost(int32, repeated, tag = "7")]
    pub task_queue_types: Vec<i32>,
    /// Whether its statistics are wanted.
    #[prost(bool, tag = "8")]
    pub report_stats: bool,
}

/// The statistics of a queue.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Statistics {
    /// About how many tasks wait.
    #[prost(int64, tag = "1")]
    pub approximate_backlog_count: i64,
}

/// What is known of one kind of tasks.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct TypeInfo {
    /// Their statistics.
    #[prost(message, optional, tag = "2")]
    pub stats: Option<Statistics>,
}

/// What is known of one version.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct VersionInfo {
    /// By kind of tasks.
    #[prost(btree_map = "int32, message", tag = "1")]
    pub types_info: BTreeMap<i32, TypeInfo>,
}

/// A worker that polls a queue; only that there is one matters.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Poller {}

/// A task queue, described.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DescribeTaskQueueResponse {
    /// The workers that poll it.
    #[prost(message, repeated, tag = "1")]
    pub pollers: Vec<Poller>,
    /// By version, in the enhanced way.
    #[prost(btree_map = "string, message", tag = "3")]
    pub versions_info: BTreeMap<String, VersionInfo>,
    /// Its statistics.
    #[prost(message, optional, tag = "5")]
    pub stats: Option<Statistics>,
}

/// A version of a worker deployment.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DeploymentVersion {
    /// The build.
    #[prost(string, tag = "1")]
    pub build_id: String,
    /// The deployment.
    #[prost(string, tag = "2")]
    pub deployment_name: String,
}

/// A question for a version.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DescribeVersionRequest {
    /// The namespace.
    #[prost(string, tag = "1")]
    pub namespace: String,
    /// The version.
    #[prost(message, optional, tag = "3")]
    pub deployment_version: Option<DeploymentVersion>,
    /// Whether the statistics of its queues are wanted.
    #[prost(bool, tag = "4")]
    pub report_task_queue_stats: bool,
}

/// What becomes of a version.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DeploymentVersionInfo {
    /// One of [`CURRENT`], [`RAMPING`], [`DRAINING`] and others.
    #[prost(int32, tag = "14")]
    pub status: i32,
}

/// A queue that the workers of a version poll.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct VersionTaskQueue {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The kind of its tasks.
    #[prost(int32, tag = "2")]
    pub kind: i32,
    /// Its statistics.
    #[prost(message, optional, tag = "3")]
    pub stats: Option<Statistics>,
}

/// A version, described.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DescribeVersionResponse {
    /// What becomes of it.
    #[prost(message, optional, tag = "1")]
    pub worker_deployment_version_info: Option<DeploymentVersionInfo>,
    /// Its queues.
    #[prost(message, repeated, tag = "2")]
    pub version_task_queues: Vec<VersionTaskQueue>,
}

/// A question for the number of workflows.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CountWorkflowsRequest {
    /// The namespace.
    #[prost(string, tag = "1")]
    pub namespace: String,
    /// Which count.
    #[prost(string, tag = "2")]
    pub query: String,
}

/// The number of workflows.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CountWorkflowsResponse {
    /// The number.
    #[prost(int64, tag = "1")]
    pub count: i64,
}
