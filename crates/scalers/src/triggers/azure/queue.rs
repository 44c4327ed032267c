//! `azure-queue`: the length of a queue in Azure Storage (`scalers/azure-queue.md`).

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;

use crate::client::Sources;
use crate::client::azure::{self, Storage, StorageAccount};
use crate::format::xml;
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};

/// Messages that Azure shows at once.
const MOST_PEEKED: i64 = 32;

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
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(self.queue_length)))
    }

    fn connect(self, context: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let storage = Storage::new("queue", &self.connection, &self.account, context, sources)?;
        Ok(Box::new(Queue { metric_name: self.metric_name(), storage, trigger: self }))
    }
}

impl AzureQueue {
    fn metric_name(&self) -> String {
        normalize(&format!("azure-queue-{}", self.queue_name))
    }
}

struct Queue {
    metric_name: String,
    storage: Storage,
    trigger: AzureQueue,
}

#[async_trait]
impl Scaler for Queue {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let length = float(self.length().await?);
        let activation = float(self.trigger.activation_queue_length);
        Ok(vec![(self.metric_name.clone(), Sample::above(length, activation))])
    }
}

impl Queue {
    async fn length(&self) -> Result<i64, SourceError> {
        if self.trigger.queue_length_strategy == "visibleonly" {
            let visible = self.visible().await?;
            if visible < MOST_PEEKED {
                return Ok(visible);
            }
        }
        let answer = self.storage.get(&self.trigger.queue_name, &[("comp", "metadata")]).await?;
        let count = answer.header("x-ms-approximate-messages-count");
        let missing = || SourceError::malformed("Azure Storage gave no number of messages");
        count.and_then(|count| count.parse().ok()).ok_or_else(missing)
    }

    /// The messages that nobody works on, as far as Azure tells.
    async fn visible(&self) -> Result<i64, SourceError> {
        let path = format!("{}/messages", self.trigger.queue_name);
        let most = MOST_PEEKED.to_string();
        let answer = self.storage.get(&path, &[("numofmessages", &most), ("peekonly", "true")]).await?;
        let document = xml::document(&answer.body, "the answer of Azure Storage")?;
        let list = document.root_element();
        if !xml::is_named(&list, "QueueMessagesList") {
            return Err(SourceError::malformed("Azure Storage gave no list of messages"));
        }
        let messages = list.children().filter(|node| xml::is_named(node, "QueueMessage")).count();
        Ok(i64::try_from(messages).unwrap_or(MOST_PEEKED))
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
