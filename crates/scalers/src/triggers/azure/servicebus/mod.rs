//! `azure-servicebus`: the messages in queues or subscriptions of a Service Bus (`scalers/azure-servicebus.md`).

mod login;
mod pattern;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;
use regex::bytes::Regex;
use reqwest::StatusCode;
use roxmltree::Node;

use crate::client::Sources;
use crate::client::azure::{self, Cloud};
use crate::format::xml;
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};
use login::Namespace;

/// Scale on the messages in a queue or a subscription of Azure's Service Bus.
///
/// What counts is the number of active messages, those included that a receiver has locked; dead letters and scheduled
/// messages do not count. The replicas are that number divided by `messageCount`. The target leaves zero when it is
/// above `activationMessageCount`.
///
/// Give either `queueName`, or `topicName` with `subscriptionName`. With `useRegex: "true"` the name of the queue or
/// subscription is a regular expression that the whole name must match, and `operation` makes one number of all that
/// match: `sum`, `max` or `avg`. None that match count as 0, while a single one that does not exist is an error.
///
/// Log in with a TriggerAuthentication: either the parameter `connection`, the connection string of the namespace, or
/// `podIdentity` with the provider `azure-workload`, and then `namespace` in the metadata. The numbers are part of the
/// management of the Service Bus: the connection string must be of a policy with the claim `Manage`, and the identity
/// needs the role `Azure Service Bus Data Owner`.
///
/// ```yaml
/// type: azure-servicebus
/// metadata:
///   topicName: orders
///   subscriptionName: shipping
///   messageCount: "25"
///   activationMessageCount: "5"
/// authenticationRef:
///   name: shipping-bus
/// ---
/// secretTargetRef:
///   - parameter: connection
///     name: shipping-bus
///     key: connection-string
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct AzureServiceBus {
    /// Messages that one replica is expected to handle.
    #[meta(trigger, default = "5")]
    message_count: i64,
    /// Number of messages above which the target leaves zero.
    #[meta(trigger, optional)]
    activation_message_count: i64,
    /// Name of the queue, or with `useRegex` a regular expression for names such as `orders-.*`. Excludes `topicName`
    /// and `subscriptionName`.
    #[meta(trigger, optional)]
    queue_name: String,
    /// Name of the topic, in place of a queue; needs `subscriptionName`. It is never a regular expression.
    #[meta(trigger, optional)]
    topic_name: String,
    /// Name of the topic's subscription, or with `useRegex` a regular expression for names.
    #[meta(trigger, optional)]
    subscription_name: String,
    /// Connection string of the namespace, needed without a workload identity:
    /// `Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…`.
    #[meta(auth, env, optional)]
    connection: Secret,
    /// Name of the Service Bus namespace, such as `shop-bus`, without `.servicebus.windows.net`; needed with a workload
    /// identity.
    #[meta(trigger, optional)]
    namespace: String,
    /// Whether `queueName` or `subscriptionName` is a regular expression that the whole name must match.
    #[meta(trigger, optional)]
    use_regex: bool,
    /// How one number is made of several queues or subscriptions, with `useRegex`.
    #[meta(trigger, default = "sum", one_of("sum", "max", "avg"))]
    operation: String,
    /// The Azure cloud, such as `AzureChinaCloud`, or `Private` for one whose address is given in `endpointSuffix`; the
    /// public cloud where it is not given. Only a workload identity needs it.
    #[meta(trigger, optional)]
    #[expect(dead_code, reason = "the endpoint was found with it")]
    cloud: String,
    /// What follows the namespace in the name of the host, such as `servicebus.cloud.example`; needed in the cloud
    /// `Private`, not looked at in another.
    #[meta(trigger, optional)]
    endpoint_suffix: String,
}

impl AzureServiceBus {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if let Err(message) = self.check_entity() {
            reader.error(message);
        }
        match reader.context().identity_provider() {
            "none" if self.connection.is_empty() => reader.error("no connection setting given"),
            "none" => {}
            azure::WORKLOAD_IDENTITY if self.namespace.is_empty() => {
                reader.error("namespace are required when using pod identity");
            }
            azure::WORKLOAD_IDENTITY => match azure::endpoint(reader, "endpointSuffix", Cloud::service_bus_suffix) {
                Ok(suffix) => self.endpoint_suffix = suffix,
                Err(message) => reader.error_at("cloud", message),
            },
            other => reader.error(format!("azure service bus doesn't support pod identity {other}")),
        }
    }

    fn check_entity(&self) -> Result<(), &'static str> {
        let is_pattern = |name: &str| !self.use_regex || pattern::compile(name).is_some();
        let (queue, topic) = (!self.queue_name.is_empty(), !self.topic_name.is_empty());
        let subscription = !self.subscription_name.is_empty();
        match (queue, topic) {
            (true, _) if subscription => Err("subscription name provided with queue name"),
            (true, true) => Err("both topic and queue name metadata provided"),
            (true, false) if !is_pattern(&self.queue_name) => Err("queueName is not a valid regular expression"),
            (false, true) if !subscription => Err("no subscription name provided with topic name"),
            (false, true) if !is_pattern(&self.subscription_name) => {
                Err("subscriptionName is not a valid regular expression")
            }
            (false, false) => Err("no service bus entity type set"),
            (true, false) | (false, true) => Ok(()),
        }
    }

    fn metric_name(&self) -> String {
        let queue = !self.queue_name.is_empty();
        let name = match (self.use_regex, queue) {
            (true, true) => "queue-regex",
            (true, false) => "topic-regex",
            (false, true) => &self.queue_name,
            (false, false) => &self.topic_name,
        };
        normalize(&format!("azure-servicebus-{name}"))
    }
}

impl Trigger for AzureServiceBus {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(self.message_count)))
    }

    fn connect(self, context: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let host = format!("{}.{}", self.namespace, self.endpoint_suffix);
        let namespace = Namespace::new(&self.connection, &host, context, sources)?;
        let name = if self.queue_name.is_empty() { &self.subscription_name } else { &self.queue_name };
        let pattern = pattern::compile(name).filter(|_| self.use_regex);
        Ok(Box::new(Entities { namespace, pattern, trigger: self }))
    }
}

/// The queues or subscriptions whose messages count.
struct Entities {
    namespace: Namespace,
    /// For the names of all that counts; `None` for the one that is named.
    pattern: Option<Regex>,
    trigger: AzureServiceBus,
}

#[async_trait]
impl Scaler for Entities {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let trigger = &self.trigger;
        let count = match &self.pattern {
            Some(pattern) => combine(&trigger.operation, &self.matching(pattern).await?),
            None => self.one().await?,
        };
        let activation = float(trigger.activation_message_count);
        Ok(vec![(trigger.metric_name(), Sample::above(float(count), activation))])
    }
}

impl Entities {
    /// The messages of the one entity that is named.
    async fn one(&self) -> Result<i64, SourceError> {
        let AzureServiceBus { queue_name, topic_name, subscription_name, .. } = &self.trigger;
        let (path, missing) = if queue_name.is_empty() {
            let missing = format!("subscription {subscription_name} doesn't exist in topic {topic_name}");
            (vec![topic_name.as_str(), "Subscriptions", subscription_name], missing)
        } else {
            (vec![queue_name.as_str()], format!("queue {queue_name} doesn't exist"))
        };
        let answer = self.namespace.get(&path, &[]).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Err(SourceError::configuration(missing));
        }
        let body = answer.success("Service Bus")?;
        let document = xml::document(&body, "the answer of Service Bus")?;
        match document.root_element().tag_name().name() {
            "entry" => active(document.root_element()),
            // What does not exist is answered with a list of nothing.
            "feed" => Err(SourceError::configuration(missing)),
            _ => Err(SourceError::malformed("the answer of Service Bus is no entry")),
        }
    }

    /// The messages of all entities whose whole name matches.
    async fn matching(&self, pattern: &Regex) -> Result<Vec<i64>, SourceError> {
        let topic = self.trigger.topic_name.as_str();
        let path = if topic.is_empty() { ["$Resources", "Queues"] } else { [topic, "Subscriptions"] };
        let (mut counts, mut seen) = (Vec::new(), 0_usize);
        loop {
            let skip = seen.to_string();
            let query = [("$skip", skip.as_str())];
            let answer = self.namespace.get(&path, if seen == 0 { &[] } else { &query }).await?;
            let body = answer.success("Service Bus")?;
            let document = xml::document(&body, "the answer of Service Bus")?;
            let feed = document.root_element();
            if !xml::is_named(&feed, "feed") {
                return Err(SourceError::malformed("the answer of Service Bus is no feed"));
            }
            let before = seen;
            for entry in feed.children().filter(|node| xml::is_named(node, "entry")) {
                seen += 1;
                let name = xml::child(entry, "title").and_then(|title| title.text()).unwrap_or_default();
                if pattern.is_match(name.as_bytes()) {
                    counts.push(active(entry)?);
                }
            }
            if seen == before {
                return Ok(counts);
            }
        }
    }
}

/// The active messages of a queue's or subscription's entry.
fn active(entry: Node<'_, '_>) -> Result<i64, SourceError> {
    let count = xml::below(entry, "ActiveMessageCount");
    let count = count.and_then(|count| count.text()?.trim().parse().ok());
    count.ok_or_else(|| SourceError::malformed("Service Bus gave no ActiveMessageCount"))
}

/// One number of many: their sum, their largest, or their mean, rounded down.
fn combine(operation: &str, counts: &[i64]) -> i64 {
    let sum = counts.iter().fold(0_i64, |sum, count| sum.saturating_add(*count));
    match operation {
        "max" => counts.iter().copied().max().unwrap_or(0).max(0),
        "avg" => i64::try_from(counts.len()).ok().filter(|length| *length > 0).map_or(0, |length| sum / length),
        _ => sum,
    }
}

#[cfg(test)]
mod tests {
    use keda_core::api::PodIdentity;
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(provider: &str, metadata: &[(&str, &str)]) -> (AzureServiceBus, Vec<String>) {
        let inputs = Inputs::from_metadata(metadata.iter().copied()).with_authentication([("connection", "hunter2")]);
        let pod_identity = Some(PodIdentity { provider: provider.into(), ..PodIdentity::default() });
        let (trigger, problems) = parse::<AzureServiceBus>(&inputs, &Context { pod_identity, ..Context::default() });
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_queues_or_the_topics_or_says_that_there_are_several() {
        let regex = ("useRegex", "true");
        let topic = [("topicName", "t"), ("subscriptionName", "s")];
        for (metadata, name) in [
            (vec![("queueName", "q.1")], "azure-servicebus-q-1"),
            (topic.to_vec(), "azure-servicebus-t"),
            (vec![("queueName", "orders-.*"), regex], "azure-servicebus-queue-regex"),
            (vec![topic[0], topic[1], regex], "azure-servicebus-topic-regex"),
        ] {
            let (trigger, problems) = parsed("none", &metadata);
            assert!(problems.is_empty(), "{problems:?}");
            let spec = MetricSpec::external(name, Target::Integer(5));
            assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
        }
    }

    #[test]
    fn there_is_a_queue_or_a_subscription_of_a_topic() {
        let (queue, topic, subscription) = (("queueName", "*"), ("topicName", "t"), ("subscriptionName", "s"));
        for (metadata, expected) in [
            (vec![], "no service bus entity type set"),
            (vec![subscription], "no service bus entity type set"),
            (vec![topic], "no subscription name provided with topic name"),
            (vec![queue, topic], "both topic and queue name metadata provided"),
            (vec![queue, topic, subscription], "subscription name provided with queue name"),
            (vec![queue, ("useRegex", "true")], "queueName is not a valid regular expression"),
        ] {
            assert_eq!(parsed("none", &metadata).1, [expected]);
        }
    }

    #[test]
    fn a_workload_identity_needs_the_namespace() {
        let queue = ("queueName", "q");
        assert_eq!(parsed("azure-workload", &[queue]).1, ["namespace are required when using pod identity"]);
        let moon = ("cloud", "Moon");
        assert_eq!(parsed("azure-workload", &[queue, ("namespace", "n"), moon]).1, ["invalid cloud environment Moon"]);
        assert!(parsed("none", &[queue, moon]).1.is_empty(), "only an identity asks for the cloud");
        assert_eq!(parsed("aws", &[queue]).1, ["azure service bus doesn't support pod identity aws"]);
    }
}
