//! The tasks that wait, and whether workflows keep the workers up.

use std::time::Duration;

use keda_core::sample::{ErrorKind, SourceError};
use keda_core::secret::Secret;
use prost::Message;

use super::Temporal;
use super::messages::{
    ACTIVITY, COUNT_WORKFLOWS, CURRENT, CountWorkflowsRequest, CountWorkflowsResponse, DESCRIBE_TASK_QUEUE,
    DESCRIBE_VERSION, DRAINING, DeploymentVersion, DescribeTaskQueueRequest, DescribeTaskQueueResponse,
    DescribeVersionRequest, DescribeVersionResponse, ENHANCED, NEXUS, NORMAL, RAMPING, Statistics, TaskQueue,
    VersionSelection, WORKFLOW,
};
use crate::client::Sources;
use crate::client::grpc::{Endpoint, Grpc, explain};

/// Asks the server for one trigger.
#[derive(Debug)]
pub(super) struct Backlog {
    client: Grpc,
    patience: Duration,
    metadata: Vec<(&'static str, Secret)>,
    trigger: Temporal,
}

impl Backlog {
    pub(super) fn new(trigger: Temporal, sources: &Sources) -> Self {
        let endpoint = Endpoint { target: trigger.endpoint.clone(), tls: trigger.tls() };
        let name = Some(trigger.tls_server_name.clone()).filter(|name| !name.is_empty());
        let client = Grpc::with_certificate_name(endpoint, name, sources);
        let to_connect = Duration::from_secs(u64::try_from(trigger.min_connect_timeout).unwrap_or_default());
        let patience = sources.settings.timeout.max(to_connect);
        Backlog { client, patience, metadata: metadata(&trigger), trigger }
    }

    /// The tasks that wait, and the status of the version, where one counts alone.
    pub(super) async fn tasks(&self) -> Result<(i64, Option<i32>), SourceError> {
        if !self.trigger.worker_deployment_name.is_empty() {
            let (tasks, status) = self.tasks_of_version().await?;
            return Ok((tasks, Some(status)));
        }
        let tasks = if self.trigger.has_old_rules() { self.tasks_by_old_rules().await } else { self.all_tasks().await };
        Ok((tasks?, None))
    }

    /// Whether workflows that run keep the target above zero although hardly a task waits.
    pub(super) async fn is_kept_up(&self, status: Option<i32>) -> Result<bool, SourceError> {
        match status {
            _ if !self.trigger.include_running_workflow_count => Ok(false),
            Some(DRAINING) => Ok(true),
            None | Some(CURRENT | RAMPING) => Ok(self.running_workflows().await? > 0),
            Some(_) => Ok(false),
        }
    }

    async fn tasks_of_version(&self) -> Result<(i64, i32), SourceError> {
        let Temporal { worker_deployment_name, worker_deployment_build_id, task_queue, .. } = &self.trigger;
        let version = DeploymentVersion {
            build_id: worker_deployment_build_id.clone(),
            deployment_name: worker_deployment_name.clone(),
        };
        let request = DescribeVersionRequest {
            namespace: self.trigger.namespace.clone(),
            deployment_version: Some(version),
            report_task_queue_stats: true,
        };
        let answer: DescribeVersionResponse = self.call(DESCRIBE_VERSION, request).await?;
        let types = self.trigger.types();
        let every_type = self.trigger.queue_types.is_empty();
        let queues = answer.version_task_queues.iter();
        let queues = queues.filter(|queue| queue.name == *task_queue && (every_type || types.contains(&queue.kind)));
        let status = answer.worker_deployment_version_info.map_or(0, |info| info.status);
        Ok((sum(queues.map(|queue| queue.stats.as_ref())), status))
    }

    async fn tasks_by_old_rules(&self) -> Result<i64, SourceError> {
        let request = DescribeTaskQueueRequest {
            namespace: self.trigger.namespace.clone(),
            task_queue: Some(TaskQueue { name: self.trigger.task_queue.clone(), kind: 0 }),
            api_mode: ENHANCED,
            versions: Some(VersionSelection {
                build_ids: vec![self.trigger.build_id.clone()],
                unversioned: self.trigger.select_unversioned,
                all_active: self.trigger.select_all_active,
            }),
            task_queue_types: self.trigger.types(),
            report_stats: true,
            ..DescribeTaskQueueRequest::default()
        };
        let answer: DescribeTaskQueueResponse = self.call(DESCRIBE_TASK_QUEUE, request).await?;
        if answer.versions_info.is_empty() && !answer.pollers.is_empty() {
            let message = "server does not support DescribeTaskQueueEnhanced; give worker deployment versions instead";
            return Err(SourceError::configuration(message));
        }
        let types = answer.versions_info.values().flat_map(|version| version.types_info.values());
        Ok(sum(types.map(|info| info.stats.as_ref())))
    }

    async fn all_tasks(&self) -> Result<i64, SourceError> {
        let mut tasks = 0_i64;
        for task_queue_type in self.trigger.types() {
            let request = DescribeTaskQueueRequest {
                namespace: self.trigger.namespace.clone(),
                task_queue: Some(TaskQueue { name: self.trigger.task_queue.clone(), kind: NORMAL }),
                task_queue_type,
                report_stats: true,
                ..DescribeTaskQueueRequest::default()
            };
            let answer: DescribeTaskQueueResponse = self.call(DESCRIBE_TASK_QUEUE, request).await?;
            tasks = tasks.saturating_add(sum([answer.stats.as_ref()]));
        }
        Ok(tasks)
    }

    async fn running_workflows(&self) -> Result<i64, SourceError> {
        let request =
            CountWorkflowsRequest { namespace: self.trigger.namespace.clone(), query: self.trigger.running() };
        let answer: CountWorkflowsResponse = self.call(COUNT_WORKFLOWS, request).await?;
        Ok(answer.count)
    }

    async fn call<Q, A>(&self, path: &'static str, request: Q) -> Result<A, SourceError>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let answer = tokio::time::timeout(self.patience, self.client.call_with(path, request, &self.metadata)).await;
        let answer = answer.map_err(|_| SourceError::new(ErrorKind::Unreachable, "no answer in time"));
        let answer = answer.and_then(|answer| answer.map_err(|status| explain(&status)));
        answer.map_err(|error| error.within(path.rsplit('/').next().unwrap_or_default()))
    }
}

fn sum<'a>(statistics: impl IntoIterator<Item = Option<&'a Statistics>>) -> i64 {
    let counts = statistics.into_iter().flatten().map(|statistics| statistics.approximate_backlog_count);
    counts.fold(0, i64::saturating_add)
}

/// What goes with every call: the namespace, and the key.
fn metadata(trigger: &Temporal) -> Vec<(&'static str, Secret)> {
    let mut metadata = vec![("temporal-namespace", Secret::new(trigger.namespace.as_str()))];
    if !trigger.api_key.is_empty() {
        metadata.push(("authorization", Secret::new(format!("Bearer {}", trigger.api_key.expose()))));
    }
    metadata
}

impl Temporal {
    /// The kinds of tasks that count. Unknown words are no kind, as in KEDA.
    fn types(&self) -> Vec<i32> {
        let types = self.queue_types.iter().map(|word| match word.as_str() {
            "workflow" => WORKFLOW,
            "activity" => ACTIVITY,
            "nexus" => NEXUS,
            _ => 0,
        });
        if self.queue_types.is_empty() { vec![ACTIVITY, WORKFLOW, NEXUS] } else { types.collect() }
    }

    /// The query for the workflows that run.
    fn running(&self) -> String {
        let queue = Some(&self.workflow_task_queue_for_count).filter(|queue| !queue.is_empty());
        let running = format!("ExecutionStatus = 'Running' AND TaskQueue = '{}'", queue.unwrap_or(&self.task_queue));
        if self.has_old_rules() {
            return running;
        }
        if self.worker_deployment_name.is_empty() {
            return format!("{running} AND TemporalWorkerDeploymentVersion is null");
        }
        let version = format!("{}:{}", self.worker_deployment_name, self.worker_deployment_build_id);
        format!("{running} AND TemporalWorkerDeploymentVersion = '{version}'")
    }
}
