//! `temporal`: the backlog of a task queue (`scalers/temporal.md`).

mod backlog;
pub mod messages;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;

use crate::client::Sources;
use crate::client::certificates::Certificates;
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};
use backlog::Backlog;

/// Scale on the backlog of a task queue in Temporal.
///
/// The value is the server's approximate number of tasks that wait in the queue for a worker, over all kinds of tasks
/// or those in `queueTypes`; tasks that a worker has taken do not count. One replica is wanted per `targetQueueSize`
/// tasks, and the target leaves zero when there are more than `activationTargetQueueSize`.
///
/// With `workerDeploymentName` and `workerDeploymentBuildId` only the tasks of that version of the workers count;
/// without them those of workers without versions. The older `buildId`, `selectAllActive` and `selectUnversioned` are
/// going away, and cannot be combined with them.
///
/// Log in with `apiKey`, or with the client's certificate in `cert` and `key`, or with both. Pod identities are not
/// used.
///
/// - With neither, the connection is not encrypted, whatever `enableTLS` says. `ca` counts only with a certificate.
/// - Fast workers keep the queue empty, and the target would go to zero under them: `includeRunningWorkflowCount` keeps
///   it up while workflows run.
///
/// ```yaml
/// type: temporal
/// metadata:
///   endpoint: shop.a1b2c.tmprl.example:7233
///   namespace: shop.a1b2c
///   taskQueue: billing
///   targetQueueSize: "10"
///   activationTargetQueueSize: "2"
///   includeRunningWorkflowCount: "true"
/// authenticationRef:
///   name: temporal-login
/// ---
/// secretTargetRef:
///   - parameter: apiKey
///     name: temporal-login
///     key: api-key
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct Temporal {
    /// Address of the server's gRPC frontend, as `host:port`, such as `temporal-frontend.shop.svc:7233`.
    #[meta(trigger, env)]
    endpoint: String,
    /// The namespace in Temporal.
    #[meta(trigger, env, default = "default")]
    namespace: String,
    /// Tasks above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_target_queue_size: i64,
    /// Tasks that one replica is expected to handle.
    #[meta(trigger, default = "5")]
    target_queue_size: i64,
    /// Name of the task queue that the workers poll.
    #[meta(trigger, env)]
    task_queue: String,
    /// Which kinds of tasks to count, such as `workflow,activity`, of `workflow`, `activity` and `nexus`; all when not
    /// given.
    #[meta(trigger, optional)]
    queue_types: Vec<String>,
    /// Build whose tasks to count, by the old rules of versions. Excludes `workerDeploymentName`.
    #[meta(
        trigger,
        env,
        optional,
        announce = "The 'buildId' setting is DEPRECATED and will be removed in v2.21 because Temporal Server is dropping support for the Rules-Based Versioning APIs - Use 'workerDeploymentName' and 'workerDeploymentBuildId' instead"
    )]
    build_id: String,
    /// Worker deployment whose tasks to count, such as `billing`; needs `workerDeploymentBuildId`.
    #[meta(trigger, env, optional)]
    worker_deployment_name: String,
    /// Build of the worker deployment whose tasks to count, such as `v42`; needs `workerDeploymentName`.
    #[meta(trigger, env, optional)]
    worker_deployment_build_id: String,
    /// Whether to count the tasks of all builds in use, by the old rules of versions. Excludes `workerDeploymentName`.
    #[meta(
        trigger,
        default = "false",
        announce = "The 'selectAllActive' setting is DEPRECATED and will be removed in v2.21 because Temporal Server is dropping support for the Rules-Based Versioning APIs - Use 'workerDeploymentName' and 'workerDeploymentBuildId' instead"
    )]
    select_all_active: bool,
    /// Whether to count the tasks of no build, by the old rules of versions. Excludes `workerDeploymentName`.
    #[meta(
        trigger,
        default = "false",
        announce = "The 'selectUnversioned' setting is DEPRECATED and will be removed in v2.21 because Temporal Server is dropping support for the Rules-Based Versioning APIs - Remove it if your workers are unversioned. Or use 'workerDeploymentName' and 'workerDeploymentBuildId' if you're migrating to Worker Deployment Versioning"
    )]
    select_unversioned: bool,
    /// Whether workflows that run keep the target above zero; the value stays the backlog.
    #[meta(trigger, default = "false")]
    include_running_workflow_count: bool,
    /// Task queue of those workflows, as where `taskQueue` is one of activities; `taskQueue` when not given. Needs
    /// `includeRunningWorkflowCount`.
    #[meta(trigger, env, optional)]
    workflow_task_queue_for_count: String,
    /// Key to log in with, sent as a bearer token.
    #[meta(auth, env, optional)]
    api_key: Secret,
    /// Time that a call may take at least, in seconds, as it may have to connect first.
    #[meta(trigger, default = "5")]
    min_connect_timeout: i64,
    /// Whether to use TLS with an `apiKey`; with a certificate it is always used, with neither never.
    #[meta(name = "enableTLS", trigger, default = "true")]
    enable_tls: bool,
    /// Whether to take any certificate of the server, where TLS is on.
    #[meta(trigger, optional)]
    unsafe_ssl: bool,
    #[meta(group)]
    certificates: Certificates,
    /// Name that the server's certificate is for, where it is not that of `endpoint`, such as
    /// `frontend.temporal.example`.
    #[meta(trigger, optional)]
    tls_server_name: String,
}

impl Temporal {
    fn check(&mut self, reader: &mut Reader<'_>) {
        let not_negative = [
            ("targetQueueSize", self.target_queue_size),
            ("activationTargetQueueSize", self.activation_target_queue_size),
            ("minConnectTimeout", self.min_connect_timeout),
        ];
        for (name, _) in not_negative.into_iter().filter(|(_, number)| *number < 0) {
            reader.error_at(name, format!("{name} must be a positive number"));
        }
        let rules = [self.check_certificates(), self.check_version(), self.check_workflows(reader)];
        for problem in rules.into_iter().filter_map(Result::err) {
            reader.error(problem);
        }
    }

    fn check_certificates(&self) -> Result<(), String> {
        if self.certificates.is_half() {
            return Err("both cert and key must be provided when using TLS".to_string());
        }
        if self.certificates.is_whole() { self.certificates.check() } else { Ok(()) }
    }

    fn check_version(&self) -> Result<(), String> {
        if self.worker_deployment_name.is_empty() != self.worker_deployment_build_id.is_empty() {
            return Err("workerDeploymentName and workerDeploymentBuildId must both be set".to_string());
        }
        if !self.worker_deployment_name.is_empty() && self.has_old_rules() {
            return Err("workerDeploymentName/workerDeploymentBuildId cannot be combined with buildId, \
                selectAllActive, or selectUnversioned"
                .to_string());
        }
        Ok(())
    }

    /// What is asked for stands in the text of a query, where other characters would change its meaning.
    fn check_workflows(&self, reader: &Reader<'_>) -> Result<(), String> {
        if !self.include_running_workflow_count {
            if self.workflow_task_queue_for_count.is_empty() {
                return Ok(());
            }
            let message = "workflowTaskQueueForCount has no effect unless includeRunningWorkflowCount is true";
            return Err(message.to_string());
        }
        let names = [
            ("taskQueue", &self.task_queue),
            ("workflowTaskQueueForCount", &self.workflow_task_queue_for_count),
            ("workerDeploymentName", &self.worker_deployment_name),
            ("workerDeploymentBuildId", &self.worker_deployment_build_id),
        ];
        let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':');
        match names.into_iter().find(|(_, text)| !text.chars().all(safe)) {
            Some((name, text)) => Err(format!(
                "{name}: value {:?} contains characters not allowed in Temporal visibility queries when \
                 includeRunningWorkflowCount is enabled",
                reader.presentable(name, text)
            )),
            None => Ok(()),
        }
    }

    /// Whether the old rules of versions select what counts.
    fn has_old_rules(&self) -> bool {
        !self.build_id.is_empty() || self.select_all_active || self.select_unversioned
    }

    /// TLS, when it is on.
    fn tls(&self) -> Option<TlsOptions> {
        if self.certificates.is_whole() {
            return Some(self.certificates.options(self.unsafe_ssl));
        }
        let is_on = self.enable_tls && !self.api_key.is_empty();
        is_on.then(|| TlsOptions { insecure: self.unsafe_ssl, ..TlsOptions::default() })
    }

    fn metric_name(&self) -> String {
        let queue = format!("temporal-{}-{}", self.namespace, self.task_queue);
        if self.worker_deployment_name.is_empty() {
            return normalize(&queue);
        }
        normalize(&format!("{queue}-{}-{}", self.worker_deployment_name, self.worker_deployment_build_id))
    }
}

impl Trigger for Temporal {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(self.target_queue_size)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let (metric_name, activation) = (self.metric_name(), self.activation_target_queue_size);
        Ok(Box::new(Queue { metric_name, activation, backlog: Backlog::new(self, sources) }))
    }
}

struct Queue {
    metric_name: String,
    activation: i64,
    backlog: Backlog,
}

#[async_trait]
impl Scaler for Queue {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let tasks = self.backlog.tasks().await;
        let (tasks, status) = tasks.map_err(|error| error.within("failed to get Temporal backlog count"))?;
        let active = tasks > self.activation || self.backlog.is_kept_up(status).await?;
        Ok(vec![(self.metric_name.clone(), Sample { value: float(tasks), active })])
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(queue: &str, more: &[(&str, &str)], authentication: &[(&str, &str)]) -> (Temporal, Vec<String>) {
        let metadata = [("endpoint", "t:7233"), ("taskQueue", queue)].into_iter().chain(more.iter().copied());
        let inputs = Inputs::from_metadata(metadata).with_authentication(authentication.iter().copied());
        let (trigger, problems) = parse::<Temporal>(&inputs, &Context::default());
        let problems = problems.into_iter().filter(|problem| problem.rule.id != "deprecated-parameter");
        (trigger, problems.map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_queues_and_that_of_its_version() {
        let specs = |more: &[(&str, &str)]| {
            let (trigger, problems) = parsed("q.x", more, &[]);
            assert!(problems.is_empty(), "{problems:?}");
            trigger.specs(&Context::default())
        };
        let spec = |name: &str| Specs::one(MetricSpec::external(name, Target::Integer(5)));
        assert_eq!(specs(&[]), spec("temporal-default-q-x"));
        let version = [("workerDeploymentName", "my-deploy"), ("workerDeploymentBuildId", "v1")];
        assert_eq!(specs(&version), spec("temporal-default-q-x-my-deploy-v1"));
        assert_eq!(specs(&[("buildId", "v1")]), spec("temporal-default-q-x"));
    }

    #[test]
    fn versions_are_said_in_one_way() {
        let name = ("workerDeploymentName", "d");
        assert!(parsed("q", &[name], &[]).1[0].ends_with("must both be set"));
        let both = [name, ("workerDeploymentBuildId", "v"), ("selectAllActive", "true")];
        assert!(parsed("q", &both, &[]).1[0].contains("cannot be combined with buildId"));
    }

    #[test]
    fn names_that_go_into_a_query_cannot_change_it() {
        let counted = [("includeRunningWorkflowCount", "true")];
        assert!(parsed("a-Z_0./:", &counted, &[]).1.is_empty());
        assert!(parsed("a'b", &counted, &[]).1[0].contains("characters not allowed"));
        assert!(parsed("a'b", &[], &[]).1.is_empty());
        assert!(parsed("q", &[("workflowTaskQueueForCount", "w")], &[]).1[0].contains("has no effect unless"));
    }

    #[test]
    fn numbers_are_not_negative_and_certificates_not_alone() {
        assert_eq!(parsed("q", &[("targetQueueSize", "-1")], &[]).1, ["targetQueueSize must be a positive number"]);
        let (_, problems) = parsed("q", &[], &[("cert", "hunter2")]);
        assert_eq!(problems, ["both cert and key must be provided when using TLS"]);
    }
}
