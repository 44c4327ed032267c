//! `azure-eventhub`: events of an Event Hub that nobody has read yet (`scalers/azure-eventhub.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::secret::Secret;

use crate::client::azure::{self, Cloud};
use crate::trigger::{Specs, Trigger};

/// Scale on the events of an Event Hub that a consumer group has not read yet.
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
    /// Number of events by which a checkpoint may be ahead of what the hub says, which is old then.
    #[meta(trigger, default = "10000")]
    stale_partition_info_threshold: i64,
    /// Connection string of the Event Hub, where there is no workload identity.
    #[meta(auth, env, optional)]
    connection: Secret,
    /// The consumer group.
    #[meta(trigger, default = "$Default")]
    consumer_group: String,
    /// Connection string of the storage account that holds the checkpoints.
    #[meta(auth, env, optional)]
    storage_connection: Secret,
    /// Name of the storage account that holds the checkpoints, with a workload identity.
    #[meta(trigger, optional)]
    storage_account_name: String,
    /// Container of the checkpoints.
    #[meta(trigger, optional)]
    blob_container: String,
    /// Namespace of the Event Hub, without the end of its host's name, with a workload identity.
    #[meta(trigger, env, optional)]
    event_hub_namespace: String,
    /// Name of the Event Hub, where the connection string does not hold it.
    #[meta(trigger, env, optional)]
    event_hub_name: String,
    /// Who wrote the checkpoints: `azureFunction`, `blobMetadata`, `goSdk` or `dapr`; anything else stands for older
    /// libraries of Azure.
    #[meta(trigger, optional)]
    checkpoint_strategy: String,
    /// The Azure cloud, such as `AzureChinaCloud`; `Private` for one whose endpoints are given here.
    #[meta(trigger, optional)]
    cloud: String,
    /// What follows the namespace in the name of the Event Hub's host, in the cloud `Private`.
    #[meta(trigger, optional)]
    endpoint_suffix: String,
    /// What follows `<account>.blob.` in the name of the storage account's host, in the cloud `Private`.
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
