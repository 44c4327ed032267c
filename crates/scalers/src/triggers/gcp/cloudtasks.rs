//! `gcp-cloudtasks`: the tasks in a queue (`scalers/gcp-cloudtasks.md`).

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};

use crate::client::Sources;
use crate::client::gcp::{GcpOptions, Monitoring};
use crate::trigger::{Memory, Scaler, Specs, Trigger};

/// Scale on the number of tasks in a queue of Cloud Tasks.
///
/// What counts is the depth of the queue, as Cloud Monitoring last heard of it: the newest value of the last
/// `filterDuration` minutes. The replicas are that number divided by `value`. The target leaves zero when it is above
/// `activationValue`.
///
/// Cloud Monitoring is a minute or two behind the queue. Where it has no value at all, as for a queue that is new or
/// does not exist, the reading fails; a longer `filterDuration` helps against gaps. KEDA has deprecated this trigger in
/// favour of `prometheus`, pointed at the Prometheus interface of Cloud Monitoring; it goes on working.
///
/// Log in with a TriggerAuthentication: either `podIdentity` with the provider `gcp`, which is KEDA's own service
/// account, or the parameter `GoogleApplicationCredentials`, the key of a service account as JSON. Without one,
/// `credentialsFromEnv` names a variable of the target's container that holds such a key. The service account needs the
/// role `roles/monitoring.viewer` in the project.
///
/// ```yaml
/// type: gcp-cloudtasks
/// metadata:
///   projectID: ticket-shop
///   queueName: confirmations
///   value: "50"
///   activationValue: "5"
///   filterDuration: "5"
/// authenticationRef:
///   name: ticket-shop-monitoring
/// ---
/// podIdentity:
///   provider: gcp
/// ```
#[derive(Debug, Metadata)]
pub struct CloudTasks {
    /// Tasks that one replica is expected to handle.
    #[meta(trigger, optional, default = "100")]
    value: f64,
    /// Number of tasks above which the target leaves zero.
    #[meta(trigger, optional, default = "0")]
    activation_value: f64,
    /// Length of the time that is looked at, in minutes; 2 where it is not given or not above 0.
    #[meta(trigger, optional)]
    filter_duration: i64,
    /// Name of the queue, without project and location.
    #[meta(trigger)]
    queue_name: String,
    /// Id of the project that has the queue, such as `ticket-shop`.
    #[meta(
        name = "projectID",
        trigger,
        announce = "This scaler is deprecated. More info -> 'https://keda.sh/blog/2025-09-15-gcp-deprecations'"
    )]
    project_id: String,
    #[meta(group)]
    options: GcpOptions,
}

impl CloudTasks {
    fn metric_name(&self) -> String {
        normalize(&format!("gcp-ct-{}", self.queue_name))
    }
}

impl Trigger for CloudTasks {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Float(self.value)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let monitoring = Monitoring::new(self.options.login.clone(), sources)?;
        Ok(Box::new(Queue { monitoring, trigger: self }))
    }
}

struct Queue {
    monitoring: Monitoring,
    trigger: CloudTasks,
}

#[async_trait]
impl Scaler for Queue {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let CloudTasks { project_id, filter_duration, queue_name, .. } = &self.trigger;
        let filter = filter(queue_name);
        let now = crate::sampler::wall_clock();
        let depth = self.monitoring.newest(project_id, &filter, *filter_duration, None, now).await?;
        let missing = || SourceError::configuration(format!("could not find stackdriver metric with filter {filter}"));
        let depth = depth.ok_or_else(missing)?;
        Ok(vec![(self.trigger.metric_name(), Sample::above(depth, self.trigger.activation_value))])
    }
}

fn filter(queue: &str) -> String {
    let queue = queue.replace('\\', "\\\\").replace('"', "\\\"");
    format!("metric.type=\"cloudtasks.googleapis.com/queue/depth\" AND resource.labels.queue_id=\"{queue}\"")
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    #[test]
    fn the_name_is_the_queues() {
        let inputs = Inputs::from_metadata([("queueName", "a:b"), ("projectID", "p")])
            .with_authentication([("GoogleApplicationCredentials", "{}")]);
        let (trigger, problems) = parse::<CloudTasks>(&inputs, &Context::default());
        assert!(problems.is_empty(), "that the type is deprecated is no fault of the manifest: {problems:?}");
        let spec = MetricSpec::external("gcp-ct-a-b", Target::Float(100.0));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn queue_project_and_login_are_needed() {
        let (_, problems) = parse::<CloudTasks>(&Inputs::default(), &Context::default());
        let expected = [
            r#"missing required parameter "queueName" in [triggerMetadata]"#,
            r#"missing required parameter "projectID" in [triggerMetadata]"#,
            "google application credentials not found",
        ];
        assert_eq!(problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>(), expected);
    }
}
