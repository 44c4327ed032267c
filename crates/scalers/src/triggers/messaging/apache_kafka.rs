//! `apache-kafka`: the lag of a consumer group, asked for with another client (`scalers/kafka.md`).

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::sample::{Reading, SourceError};

use crate::client::Sources;
use crate::client::kafka::lag::Rules;
use crate::client::kafka::options::{ConsumerGroup, Security};
use crate::client::kafka::{Cluster, Partition, Topics};
use crate::trigger::{Memory, Scaler, Specs, Trigger, Unreadable};

/// Scale on the lag of a consumer group in Kafka, by the rules of KEDA's second, experimental Kafka scaler.
///
/// Take `kafka` unless you need several topics in one trigger: it counts the same, knows more logins and is stricter
/// about mistakes. The value is the lag: the messages between the group's committed offsets and the ends of the
/// partitions, all added up. One replica is wanted per `lagThreshold` messages, but no more replicas than there are
/// partitions, unless `allowIdleConsumers` is on. The target leaves zero when the lag is above
/// `activationLagThreshold`.
///
/// The user needs the right to describe the group and its topics. Logins by `sasl`:
///
/// - `plaintext`, `scram_sha256` and `scram_sha512` want `username` and `password`.
/// - `aws_msk_iam` wants `awsRegion`, `tls: enable`, and the pod identity `aws`, or in the TriggerAuthentication either
///   `awsRoleArn`, or `awsAccessKeyID` and `awsSecretAccessKey`. It cannot be used yet.
///
/// Give `sasl` and `tls` in the metadata or in the TriggerAuthentication, never in both. Without `topic` the group must
/// have active members, and all topics of the cluster count, also those that it does not read. A topic that does not
/// exist counts 0.
///
/// ```yaml
/// type: apache-kafka
/// metadata:
///   bootstrapServers: b-1.shop.example:9098,b-2.shop.example:9098
///   consumerGroup: billing
///   topic: orders,refunds
///   lagThreshold: "100"
///   activationLagThreshold: "5"
///   sasl: aws_msk_iam
///   tls: enable
///   awsRegion: eu-central-1
/// authenticationRef:
///   name: billing-identity
/// ---
/// podIdentity:
///   provider: aws
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct ApacheKafka {
    #[meta(group)]
    group: ConsumerGroup,
    /// The topics, such as `orders,refunds`; all of the cluster when not given.
    #[meta(name = "topic", trigger, env, optional)]
    topics: Vec<String>,
    /// Numbers and ranges of the partitions to count, such as `1,3-5`; all when not given. Of no effect without
    /// `topic`.
    #[meta(trigger, optional, range = "-")]
    partition_limitation: Vec<i64>,
    /// Where the group starts to read a partition that it has never read, as in the consumers' `auto.offset.reset`.
    /// Such a partition counts 1 with `latest`, and all its messages with `earliest`.
    #[meta(trigger, default = "latest", one_of("earliest", "latest"))]
    offset_reset_policy: String,
    /// Whether there may be more replicas than partitions, though those have nothing to read. Excludes
    /// `limitToPartitionsWithLag`.
    #[meta(trigger, optional)]
    allow_idle_consumers: bool,
    /// Whether to leave out partitions whose committed offset has not moved since the last reading, as where a message
    /// cannot be handled. They still keep the target above zero.
    #[meta(trigger, optional)]
    exclude_persistent_lag: bool,
    /// Whether a partition that the group has never read counts 0, in place of what `offsetResetPolicy` makes of it.
    #[meta(trigger, optional)]
    scale_to_zero_on_invalid_offset: bool,
    /// Whether there may be only as many replicas as partitions with lag. Needs `topic` and excludes
    /// `allowIdleConsumers`.
    #[meta(trigger, optional)]
    limit_to_partitions_with_lag: bool,
    /// Whether to round up to a number of replicas that all get as many partitions: of ten partitions 1, 2, 5 or 10
    /// replicas.
    #[meta(trigger, optional)]
    ensure_even_distribution_of_partitions: bool,
    /// How to log in; `gssapi` cannot be used yet. Give it in the metadata or the TriggerAuthentication, not in both.
    #[meta(
        trigger,
        auth,
        default = "none",
        one_of("none", "plaintext", "scram_sha256", "scram_sha512", "gssapi", "aws_msk_iam")
    )]
    sasl: String,
    #[meta(group)]
    security: Security,
}

impl ApacheKafka {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if reader.has_errors() {
            return;
        }
        let checked = self
            .check_lag()
            .and_then(|()| self.check_tls())
            .and_then(|()| self.check_login())
            .and_then(|()| check_places(reader))
            .and_then(|()| if self.sasl == "aws_msk_iam" { self.security.aws.login().map(drop) } else { Ok(()) });
        if let Err(message) = checked {
            reader.error(message);
        }
    }

    fn check_lag(&self) -> Result<(), String> {
        let message = if self.group.lag_threshold <= 0 {
            "lagThreshold must be a positive number"
        } else if self.group.activation_lag_threshold < 0 {
            "activationLagThreshold must be a positive number"
        } else if self.allow_idle_consumers && self.limit_to_partitions_with_lag {
            "allowIdleConsumers and limitToPartitionsWithLag cannot be set simultaneously"
        } else if self.topics.is_empty() && self.limit_to_partitions_with_lag {
            "topic must be specified when using limitToPartitionsWithLag"
        } else {
            return Ok(());
        };
        Err(message.to_string())
    }

    fn check_tls(&self) -> Result<(), String> {
        let certificates = &self.security.certificates;
        if !self.security.uses_tls() {
            return Ok(());
        }
        if certificates.is_half() {
            return Err("can't set only one of cert or key when using TLS".to_string());
        }
        certificates.check()
    }

    fn check_login(&self) -> Result<(), String> {
        let message = match self.sasl.as_str() {
            "plaintext" if self.security.username.is_empty() || self.security.password.is_empty() => {
                "username and password must be set when using SASL/PLAINTEXT"
            }
            "aws_msk_iam" if self.security.aws_region.is_empty() => "awsRegion must be set when using AWS MSK IAM",
            "aws_msk_iam" if !self.security.uses_tls() => "TLS must be enabled when using AWS MSK IAM",
            _ => return Ok(()),
        };
        Err(message.to_string())
    }
}

/// Neither login nor TLS may be said in two places.
fn check_places(reader: &Reader<'_>) -> Result<(), String> {
    let inputs = reader.inputs();
    let twice = |key: &&str| {
        let given = |text: Option<&String>| text.is_some_and(|text| !text.is_empty());
        given(inputs.metadata.get(*key)) && given(inputs.authentication.get(*key))
    };
    match ["sasl", "tls"].into_iter().find(twice) {
        Some(key) => Err(format!("unable to set `{key}` in both ScaledObject and TriggerAuthentication together")),
        None => Ok(()),
    }
}

impl Trigger for ApacheKafka {
    fn specs(&self, _: &Context) -> Specs {
        let target = Target::Integer(self.group.lag_threshold);
        Specs::one(MetricSpec::external(self.group.metric_name(&self.topics.join(",")), target))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let access = match self.security.access(&self.sasl, false) {
            Ok(access) => access,
            Err(error) => return Ok(Box::new(Unreadable(error))),
        };
        let cluster = Cluster::new(self.group.bootstrap_servers.clone(), access, sources)?;
        Ok(Box::new(Group { cluster, rules: self.rules(), trigger: self }))
    }
}

struct Group {
    cluster: Cluster,
    rules: Rules,
    trigger: ApacheKafka,
}

#[async_trait]
impl Scaler for Group {
    async fn sample(&self, memory: &mut Memory) -> Result<Reading, SourceError> {
        let topics = self.topics().await?;
        let partitions: Vec<&Partition> =
            topics.partitions().filter(|(_, index)| self.trigger.counts(*index)).collect();
        let sample = self.rules.read(&self.cluster, &self.trigger.group, &topics, &partitions, memory).await?;
        Ok(vec![(self.trigger.group.metric_name(&self.trigger.topics.join(",")), sample)])
    }
}

impl Group {
    /// The topics, as far as they exist, or all of the cluster.
    async fn topics(&self) -> Result<Topics, SourceError> {
        if !self.trigger.topics.is_empty() {
            return self.cluster.topics(Some(&self.trigger.topics), true).await;
        }
        let group = &self.trigger.group.consumer_group;
        let (members, state) = self.cluster.members(group).await?;
        if members == 0 {
            let message = format!("no active members in group {group}, group-state is {state}");
            return Err(SourceError::configuration(message));
        }
        self.cluster.topics(None, true).await
    }
}

impl ApacheKafka {
    fn rules(&self) -> Rules {
        Rules {
            threshold: self.group.lag_threshold,
            offset_reset_policy: self.offset_reset_policy.clone(),
            allow_idle_consumers: self.allow_idle_consumers,
            exclude_persistent_lag: self.exclude_persistent_lag,
            scale_to_zero_on_invalid_offset: self.scale_to_zero_on_invalid_offset,
            limit_to_partitions_with_lag: self.limit_to_partitions_with_lag,
            ensure_even_distribution_of_partitions: self.ensure_even_distribution_of_partitions,
            missing_is_unread: true,
        }
    }

    /// Whether a partition counts. A limitation has no effect without topics.
    fn counts(&self, index: i32) -> bool {
        let limitation = &self.partition_limitation;
        self.topics.is_empty() || limitation.is_empty() || limitation.contains(&i64::from(index))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(metadata: &[(&str, &str)], authentication: &[(&str, &str)]) -> (ApacheKafka, String) {
        let required = [("bootstrapServers", "b:9092"), ("consumerGroup", "g")];
        let inputs = Inputs::from_metadata(required.iter().chain(metadata).copied())
            .with_authentication(authentication.iter().copied());
        let (trigger, problems) = parse::<ApacheKafka>(&inputs, &Context::default());
        let messages: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
        (trigger, messages.join("; "))
    }

    #[test]
    fn the_name_has_all_topics() {
        for (topics, name) in [("a, b.c", "kafka-a,b-c"), ("", "kafka-g-topics")] {
            let (trigger, problems) = parsed(&[("topic", topics)], &[]);
            assert_eq!(problems, "");
            let spec = MetricSpec::external(name, Target::Integer(10));
            assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
        }
    }

    #[test]
    fn login_and_tls_are_said_in_one_place() {
        let message = "unable to set `tls` in both";
        assert!(parsed(&[("tls", "enable")], &[("tls", "enable")]).1.contains(message));
        assert!(parsed(&[("tls", "disable")], &[("tls", " ")]).1.contains(message), "blanks count");
        assert!(parsed(&[("sasl", "none")], &[("sasl", "none")]).1.contains("unable to set `sasl` in both"));
    }

    #[test]
    fn a_managed_cluster_of_aws_wants_region_tls_and_keys() {
        let metadata = [("sasl", "aws_msk_iam"), ("awsRegion", "r"), ("tls", "enable")];
        let keys = [("awsAccessKeyID", "id"), ("awsSecretAccessKey", "hunter2")];
        assert_eq!(parsed(&metadata, &keys).1, "");
        assert_eq!(parsed(&metadata, &keys[..1]).1, "awsSecretAccessKey not found");
        assert_eq!(parsed(&metadata[..2], &keys).1, "TLS must be enabled when using AWS MSK IAM");
        assert_eq!(parsed(&metadata[..1], &keys).1, "awsRegion must be set when using AWS MSK IAM");
    }

    #[test]
    fn lag_and_partitions_are_checked() {
        assert_eq!(parsed(&[("lagThreshold", "0")], &[]).1, "lagThreshold must be a positive number");
        assert!(parsed(&[("limitToPartitionsWithLag", "true")], &[]).1.contains("topic must be specified"));
        assert!(parsed(&[("partitionLimitation", "1-2-3")], &[]).1.contains("partitionLimitation"));
        assert_eq!(
            parsed(&[("sasl", "plaintext")], &[]).1,
            "username and password must be set when using SASL/PLAINTEXT"
        );
    }
}
