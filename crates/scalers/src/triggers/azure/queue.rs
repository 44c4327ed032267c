//! `azure-queue`: the length of a queue in Azure Storage (`scalers/azure-queue.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::secret::Secret;

use crate::client::azure::{self, StorageAccount};
use crate::trigger::{Specs, Trigger};

/// Scale on the number of messages in a queue of Azure Storage.
///
/// What counts is Azure's approximate number of messages, those included that a consumer is working on. The replicas
/// are that number divided by `queueLength`. The target leaves zero when it is above `activationQueueLength`.
///
/// With `queueLengthStrategy: visibleonly` messages that are being worked on do not count, as long as fewer than 32
/// others wait; from 32 on all count again. A queue that does not exist is an error and not 0.
///
/// Log in with a TriggerAuthentication: either the parameter `connection`, the connection string of the storage
/// account, or `podIdentity` with the provider `azure-workload`, and then `accountName` in the metadata. The identity
/// needs the role `Storage Queue Data Reader`.
///
/// ```yaml
/// type: azure-queue
/// metadata:
///   queueName: mails
///   accountName: shopstorage
///   queueLength: "30"
///   activationQueueLength: "3"
/// authenticationRef:
///   name: mails-identity
/// ---
/// podIdentity:
///   provider: azure-workload
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct AzureQueue {
    /// Number of messages above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_queue_length: i64,
    /// Name of the queue.
    #[meta(trigger)]
    queue_name: String,
    /// Messages that one replica is expected to handle.
    #[meta(trigger, default = "5")]
    queue_length: i64,
    /// Connection string of the storage account; needed without a workload identity. It belongs into a Secret and not
    /// into the metadata.
    #[meta(auth, trigger, env, optional)]
    connection: Secret,
    /// Which messages count: `all`, or with `visibleonly` those that nobody works on, as long as there are fewer than
    /// 32.
    #[meta(trigger, default = "all", one_of("all", "visibleonly"))]
    queue_length_strategy: String,
    #[meta(group)]
    account: StorageAccount,
}

impl AzureQueue {
    fn check(&mut self, reader: &mut Reader<'_>) {
        self.account.locate("queue", reader);
        match reader.context().identity_provider() {
            "none" if self.connection.is_empty() => reader.error("no connection setting given"),
            azure::WORKLOAD_IDENTITY if self.account.account_name.is_empty() => reader.error("no accountName given"),
            "none" | azure::WORKLOAD_IDENTITY => {}
            other => reader.error(format!("pod identity {other} not supported for azure storage queues")),
        }
    }
}

impl Trigger for AzureQueue {
    fn specs(&self, _: &Context) -> Specs {
        let name = normalize(&format!("azure-queue-{}", self.queue_name));
        Specs::one(MetricSpec::external(name, Target::Integer(self.queue_length)))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::api::PodIdentity;
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(provider: &str, more: &[(&str, &str)]) -> (AzureQueue, Vec<String>) {
        let inputs = Inputs::from_metadata([("queueName", "my.q")].iter().chain(more).copied());
        let pod_identity = Some(PodIdentity { provider: provider.into(), ..PodIdentity::default() });
        let (trigger, problems) = parse::<AzureQueue>(&inputs, &Context { pod_identity, ..Context::default() });
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_queues_and_the_host_the_clouds() {
        let (trigger, problems) =
            parsed("azure-workload", &[("accountName", "a"), ("cloud", "AzureChinaCloud"), ("endpointSuffix", "x")]);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("azure-queue-my-q", Target::Integer(5));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
        assert_eq!(trigger.account.endpoint_suffix, "queue.core.chinacloudapi.cn");
    }

    #[test]
    fn a_connection_or_an_identity_with_an_account_is_needed() {
        assert_eq!(parsed("none", &[]).1, ["no connection setting given"]);
        assert!(parsed("none", &[("connection", "c")]).1.is_empty());
        assert_eq!(parsed("azure-workload", &[]).1, ["no accountName given"]);
        assert_eq!(parsed("aws", &[]).1, ["pod identity aws not supported for azure storage queues"]);
    }

    #[test]
    fn the_cloud_must_exist() {
        let connection = ("connection", "c");
        assert_eq!(parsed("none", &[connection, ("cloud", "Nope")]).1, ["invalid cloud environment Nope"]);
        assert_eq!(
            parsed("none", &[connection, ("cloud", "private")]).1,
            ["endpointSuffix must be provided for Private cloud type"]
        );
    }
}
