//! `azure-eventhub`: events of an Event Hub that nobody has read yet (`scalers/azure-eventhub.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::secret::Secret;

use crate::client::azure::{self, Cloud};
use crate::trigger::{Specs, Trigger};

/// Scale on the events of an Event Hub that a consumer group has not read yet.
///
/// For each partition, what counts is the distance between its last event and the checkpoint of the consumer group in
/// Blob Storage; the value is the sum over all partitions. The replicas are the sum divided by
/// `unprocessedEventThreshold`, but never more than there are partitions. The target leaves zero when the sum is above
/// `activationUnprocessedEventThreshold`.
///
/// `checkpointStrategy` must fit the consumer's library, as each keeps its checkpoints elsewhere. Today's libraries for
/// .NET, Java, JavaScript and Python want `blobMetadata`, together with `blobContainer`. A checkpoint that is not found
/// is no error: all events that the partition still holds count then, so a wrong strategy shows as a huge backlog.
///
/// Log in with a TriggerAuthentication, in one of two ways:
///
/// - `podIdentity` with the provider `azure-workload`, and `eventHubNamespace`, `eventHubName` and `storageAccountName`
///   in the metadata. The identity needs the roles `Azure Event Hubs Data Receiver` and `Storage Blob Data Reader`.
/// - the parameters `connection` and `storageConnection`. If the former has no `EntityPath`, `eventHubName` is needed
///   too.
///
/// ```yaml
/// type: azure-eventhub
/// metadata:
///   eventHubNamespace: shop-events
///   eventHubName: orders
///   consumerGroup: billing
///   storageAccountName: shopcheckpoints
///   blobContainer: billing-checkpoints
///   checkpointStrategy: blobMetadata
///   unprocessedEventThreshold: "100"
///   activationUnprocessedEventThreshold: "10"
/// authenticationRef:
///   name: billing-identity
/// ---
/// podIdentity:
///   provider: azure-workload
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct AzureEventHub {
    /// Events that one replica is expected to handle.
    #[meta(trigger, default = "64")]
    unprocessed_event_threshold: i64,
    /// Number of events above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_unprocessed_event_threshold: i64,
    /// Number of events by which a checkpoint may be ahead of what the hub says about a partition. The hub's word is
    /// old then, and nothing counts for that partition.
    #[meta(trigger, default = "10000")]
    stale_partition_info_threshold: i64,
    /// Connection string of the Event Hub or of its namespace, needed without a workload identity:
    /// `Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…;EntityPath=…`.
    #[meta(auth, env, optional)]
    connection: Secret,
    /// Name of the consumer group whose checkpoints are looked at.
    #[meta(trigger, default = "$Default")]
    consumer_group: String,
    /// Connection string of the storage account that holds the checkpoints, needed without a workload identity. One
    /// with a shared access signature cannot be used.
    #[meta(auth, env, optional)]
    storage_connection: Secret,
    /// Name of the storage account that holds the checkpoints, such as `shopcheckpoints`; needed with a workload
    /// identity.
    #[meta(trigger, optional)]
    storage_account_name: String,
    /// Name of the container that holds the checkpoints; needed for every `checkpointStrategy` but `azureFunction`,
    /// whose container has a fixed name.
    #[meta(trigger, optional)]
    blob_container: String,
    /// Name of the Event Hub's namespace, such as `shop-events`, without `.servicebus.windows.net`; needed with a
    /// workload identity.
    #[meta(trigger, env, optional)]
    event_hub_namespace: String,
    /// Name of the Event Hub; needed with a workload identity, and with a connection string that has no `EntityPath`.
    #[meta(trigger, env, optional)]
    event_hub_name: String,
    /// Who writes the checkpoints: `azureFunction`, `blobMetadata` (the libraries of today), `goSdk` or `dapr`
    /// (versions 1.6 to 1.9). Without one, or with any other word, it is an older library of Azure, or Azure Functions
    /// where `blobContainer` is not given.
    #[meta(trigger, optional)]
    checkpoint_strategy: String,
    /// The Azure cloud, such as `AzureChinaCloud`, or `Private` for one whose addresses are given in `endpointSuffix`
    /// and `storageEndpointSuffix`; the public cloud where it is not given.
    #[meta(trigger, optional)]
    cloud: String,
    /// What follows the namespace in the name of the Event Hub's host, such as `servicebus.cloud.example`; needed in
    /// the cloud `Private`, not looked at in another.
    #[meta(trigger, optional)]
    endpoint_suffix: String,
    /// What follows `<account>.blob.` in the name of the storage account's host, such as `cloud.example`; needed in the
    /// cloud `Private` with `storageAccountName`, not looked at in another.
    #[meta(trigger, optional)]
    storage_endpoint_suffix: String,
}

impl AzureEventHub {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if reader.has_errors() {
            return;
        }
        if self.unprocessed_event_threshold <= 0 {
            reader.error_at("unprocessedEventThreshold", "\"unprocessedEventThreshold\" must be a positive number");
        }
        match azure::endpoint(reader, "endpointSuffix", Cloud::service_bus_suffix) {
            Ok(suffix) => self.endpoint_suffix = suffix,
            Err(message) => {
                reader.error_at("cloud", message);
                return;
            }
        }
        match reader.context().identity_provider() {
            "none" => self.check_connections(reader),
            azure::WORKLOAD_IDENTITY => self.check_names(reader),
            other => reader.error(format!("event hub does not support pod identity {other}")),
        }
    }

    fn check_connections(&self, reader: &mut Reader<'_>) {
        if self.storage_connection.is_empty() {
            reader.error("no storage connection string given");
        }
        if self.connection.is_empty() {
            reader.error("no event hub connection string given");
        } else if !names_a_hub(self.connection.expose()) && self.event_hub_name.is_empty() {
            let message = "connection string does not contain event hub name, and parameter eventHubName not provided";
            reader.error(message);
        }
    }

    fn check_names(&mut self, reader: &mut Reader<'_>) {
        if !self.storage_account_name.is_empty() {
            match azure::endpoint(reader, "storageEndpointSuffix", Cloud::storage_suffix) {
                Ok(suffix) => self.storage_endpoint_suffix = suffix,
                Err(message) => reader.error_at("cloud", message),
            }
        } else if self.storage_connection.is_empty() {
            let message =
                "no storage connection string or storage account name for pod identity based authentication given";
            reader.error(message);
        }
        if self.event_hub_namespace.is_empty() {
            reader.error("no event hub namespace string given");
        }
        if self.event_hub_name.is_empty() {
            reader.error("no event hub name string given");
        }
    }
}

/// Whether a connection string says which hub it is for.
fn names_a_hub(connection: &str) -> bool {
    let mut pairs = connection.split(';').filter_map(|part| part.split_once('='));
    pairs.any(|(key, _)| key.trim().eq_ignore_ascii_case("EntityPath"))
}

impl Trigger for AzureEventHub {
    fn specs(&self, _: &Context) -> Specs {
        let name = normalize(&format!("azure-eventhub-{}", self.consumer_group));
        Specs::one(MetricSpec::external(name, Target::Integer(self.unprocessed_event_threshold)))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::api::PodIdentity;
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    const HUB: &str = "Endpoint=sb://n.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey=hunter2=";

    fn parsed(provider: &str, metadata: &[(&str, &str)], connection: &str) -> (AzureEventHub, Vec<String>) {
        let authentication = [("connection", connection), ("storageConnection", "s")];
        let inputs = Inputs::from_metadata(metadata.iter().copied()).with_authentication(authentication);
        let pod_identity = Some(PodIdentity { provider: provider.into(), ..PodIdentity::default() });
        let (trigger, problems) = parse::<AzureEventHub>(&inputs, &Context { pod_identity, ..Context::default() });
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_consumer_groups() {
        let (trigger, problems) = parsed("none", &[("eventHubName", "h"), ("consumerGroup", "g.1")], HUB);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("azure-eventhub-g-1", Target::Integer(64));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn a_connection_says_which_hub() {
        let unnamed = parsed("none", &[], HUB).1;
        assert!(unnamed.len() == 1 && unnamed[0].contains("eventHubName not provided"), "{unnamed:?}");
        assert!(parsed("none", &[], &format!("{HUB}; entitypath=h")).1.is_empty());
        assert_eq!(parsed("none", &[], "").1, ["no event hub connection string given"]);
    }

    #[test]
    fn a_workload_identity_needs_names_and_in_a_private_cloud_both_endpoints() {
        assert_eq!(
            parsed("azure-workload", &[], "").1,
            ["no event hub namespace string given", "no event hub name string given"]
        );
        let private = [
            ("eventHubName", "h"),
            ("eventHubNamespace", "n"),
            ("storageAccountName", "a"),
            ("cloud", "private"),
            ("endpointSuffix", "bus.x"),
        ];
        assert_eq!(
            parsed("azure-workload", &private, "").1,
            ["storageEndpointSuffix must be provided for Private cloud type"]
        );
        assert_eq!(parsed("gcp", &[], "").1, ["event hub does not support pod identity gcp"]);
    }

    #[test]
    fn the_threshold_is_positive() {
        let problems = parsed("none", &[("eventHubName", "h"), ("unprocessedEventThreshold", "0")], HUB).1;
        assert_eq!(problems, ["\"unprocessedEventThreshold\" must be a positive number"]);
    }
}
