//! `kafka`: the lag of a consumer group (`scalers/kafka.md`).

use std::ops::RangeInclusive;

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::secret::Secret;

use crate::client::kafka::options::{ConsumerGroup, Security};
use crate::trigger::{Specs, Trigger};

/// Scale on the lag of a consumer group in Kafka.
///
/// The value is the lag: the messages between the group's committed offsets and the ends of the partitions, all added
/// up. One replica is wanted per `lagThreshold` messages, but no more replicas than there are partitions, unless
/// `allowIdleConsumers` is on. The target leaves zero when the lag is above `activationLagThreshold`.
///
/// The user needs the right to describe the group and its topics. With `tls: enable`, `ca` names an authority of your
/// own, and `cert` and `key` are the client's certificate. Logins by `sasl`:
///
/// - `plaintext`, `scram_sha256` and `scram_sha512` want `username` and `password`.
/// - `oauthbearer` wants `username` and `password` (client and its secret) and `oauthTokenEndpointUri`; with
///   `saslTokenProvider: aws_msk_iam` instead `awsRegion`, `tls: enable`, and the pod identity `aws`, or in the
///   TriggerAuthentication either `awsRoleArn`, or `awsAccessKeyID` and `awsSecretAccessKey`.
/// - `gssapi` wants `username`, `realm`, `kerberosConfig`, and either `password` or `keytab`.
///
/// A partition that the group has never read counts 1 with `offsetResetPolicy: latest`, which keeps one replica until
/// there is a commit. Without `topic` all topics count that the group has committed offsets for; before its first
/// commit these are all of the cluster. A trigger that may go to zero should name its topic.
///
/// ```yaml
/// type: kafka
/// metadata:
///   bootstrapServers: kafka-0.shop.svc:9093,kafka-1.shop.svc:9093
///   consumerGroup: billing
///   topic: orders
///   lagThreshold: "100"
///   activationLagThreshold: "5"
///   sasl: scram_sha512
///   tls: enable
/// authenticationRef:
///   name: kafka-login
/// ---
/// secretTargetRef:
///   - parameter: username
///     name: kafka-login
///     key: username
///   - parameter: password
///     name: kafka-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct Kafka {
    #[meta(group)]
    group: ConsumerGroup,
    /// The topic; all that the group has committed offsets for when not given.
    #[meta(trigger, env, optional)]
    topic: String,
    /// Numbers and ranges of the partitions to count, such as `1,3-5`; all when not given. Of no effect without
    /// `topic`.
    #[meta(trigger, optional)]
    partition_limitation: String,
    /// Where the group starts to read a partition that it has never read, as in the consumers' `auto.offset.reset`.
    /// Such a partition counts 1 with `latest`, and all its messages with `earliest`.
    #[meta(trigger, default = "latest", one_of("latest", "earliest"))]
    offset_reset_policy: String,
    /// Whether there may be more replicas than partitions, though those have nothing to read. Excludes
    /// `limitToPartitionsWithLag`.
    #[meta(trigger, default = "false")]
    allow_idle_consumers: bool,
    /// Whether to leave out partitions whose committed offset has not moved since the last reading, as where a message
    /// cannot be handled. They still keep the target above zero.
    #[meta(trigger, default = "false")]
    exclude_persistent_lag: bool,
    /// Whether a partition that the group has never read counts 0, in place of what `offsetResetPolicy` makes of it.
    #[meta(trigger, default = "false")]
    scale_to_zero_on_invalid_offset: bool,
    /// Whether there may be only as many replicas as partitions with lag. Needs `topic`; excludes `allowIdleConsumers`
    /// and `ensureEvenDistributionOfPartitions`.
    #[meta(trigger, default = "false")]
    limit_to_partitions_with_lag: bool,
    /// Whether to round up to a number of replicas that all get as many partitions: of ten partitions 1, 2, 5 or 10
    /// replicas. Needs `topic`; excludes `limitToPartitionsWithLag`.
    #[meta(trigger, default = "false")]
    ensure_even_distribution_of_partitions: bool,
    /// Whether to ask the brokers about all topics, not only about `topic`; `false` spares work in large clusters and
    /// needs `topic`.
    #[meta(trigger, default = "true")]
    full_metadata: bool,
    /// Version of the brokers, as `2.5.0` or `0.11.0.2`; 1.0.0 when not given.
    #[meta(trigger, optional)]
    version: String,
    #[meta(group)]
    security: Security,
    /// Whether to take any certificate of the brokers.
    #[meta(trigger, default = "false")]
    unsafe_ssl: bool,
    /// How to log in; `none` when not given. With `oauthbearer`, `saslTokenProvider` says where its token is from.
    #[meta(
        trigger,
        auth,
        optional,
        one_of("none", "plaintext", "scram_sha256", "scram_sha512", "oauthbearer", "gssapi")
    )]
    sasl: String,
    /// Who gives the token of `oauthbearer`: `bearer`, a server of OAuth 2.0, which is the default, or `aws_msk_iam`,
    /// AWS.
    #[meta(trigger, auth, optional, one_of("bearer", "aws_msk_iam"))]
    sasl_token_provider: String,
    /// Scopes to ask for with `oauthbearer`, such as `kafka.read,kafka.describe`; none when not given.
    #[meta(auth, optional)]
    scopes: String,
    /// Address of the server of OAuth 2.0 that gives the tokens, such as `https://login.example/oauth2/token`; needed
    /// with `oauthbearer`, but not for AWS.
    #[meta(auth, optional)]
    oauth_token_endpoint_uri: String,
    /// SASL extensions that are sent with the token of `oauthbearer`, such as
    /// `logicalCluster=lkc-1,identityPoolId=pool-2`.
    #[meta(auth, optional)]
    oauth_extensions: Secret,
    /// Content of the Kerberos keytab of `gssapi`, in place of `password`.
    #[meta(auth, optional)]
    keytab: Secret,
    /// Kerberos realm of `gssapi`, such as `SHOP.EXAMPLE`.
    #[meta(auth, optional)]
    realm: String,
    /// Content of the `krb5.conf` of `gssapi`.
    #[meta(auth, optional)]
    kerberos_config: String,
    /// Name of the brokers' service in Kerberos; `kafka` when not given.
    #[meta(auth, optional)]
    kerberos_service_name: String,
    /// Whether to turn off FAST pre-authentication with `gssapi`, as some Active Directories need it.
    #[meta(name = "kerberosDisableFAST", auth, default = "false")]
    kerberos_disable_fast: bool,
}

impl Kafka {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if reader.has_errors() {
            return;
        }
        let checked = self
            .check_lag()
            .and_then(|()| self.check_topic())
            .and_then(|()| self.check_tls())
            .and_then(|()| self.check_login())
            .and_then(|()| check_version(&self.version))
            .and_then(|()| if self.takes_token_of_aws() { self.security.aws.login().map(drop) } else { Ok(()) });
        if let Err(message) = checked {
            reader.error(message);
        }
    }

    fn check_lag(&self) -> Result<(), String> {
        if self.group.lag_threshold <= 0 {
            return Err("\"lagThreshold\" must be positive number".to_string());
        }
        if self.group.activation_lag_threshold < 0 {
            return Err("\"activationLagThreshold\" must be a non-negative number".to_string());
        }
        partitions(&self.partition_limitation).map(drop)
    }

    fn check_topic(&self) -> Result<(), String> {
        let both = |one: &str, two: &str| Err(format!("{one} and {two} cannot be set simultaneously"));
        let without_topic = |when: &str| Err(format!("topic must be specified when {when}"));
        let (limited, even) = (self.limit_to_partitions_with_lag, self.ensure_even_distribution_of_partitions);
        let all_topics = self.topic.is_empty();
        if self.allow_idle_consumers && limited {
            both("allowIdleConsumers", "limitToPartitionsWithLag")
        } else if all_topics && limited {
            without_topic("using limitToPartitionsWithLag")
        } else if limited && even {
            both("limitToPartitionsWithLag", "ensureEvenDistributionOfPartitions")
        } else if all_topics && even {
            without_topic("using ensureEvenDistributionOfPartitions")
        } else if all_topics && !self.full_metadata {
            without_topic("fullMetadata is false")
        } else {
            Ok(())
        }
    }

    fn check_tls(&self) -> Result<(), String> {
        if !self.security.uses_tls() {
            return Ok(());
        }
        let certificates = &self.security.certificates;
        match (&certificates.cert, &certificates.key) {
            (Some(_), None) => Err("key must be provided with cert".to_string()),
            (None, Some(_)) => Err("cert must be provided with key".to_string()),
            _ => certificates.check(),
        }
    }

    /// What each way to log in needs. `a,b` passes for a way, and is none.
    fn check_login(&self) -> Result<(), String> {
        match self.sasl.as_str() {
            "plaintext" | "scram_sha256" | "scram_sha512" => self.check_user_and_password(),
            "oauthbearer" => {
                let token = if self.takes_token_of_aws() { self.check_token_of_aws() } else { self.check_token() };
                token.map_err(|message| format!("error parsing OAuth token provider configuration: {message}"))
            }
            "gssapi" => self.check_kerberos(),
            _ => Ok(()),
        }
    }

    fn check_user_and_password(&self) -> Result<(), String> {
        require(!self.security.username.is_empty(), "no username given")?;
        require(!self.security.password.is_empty(), "no password given")
    }

    fn check_token(&self) -> Result<(), String> {
        if !matches!(self.sasl_token_provider.as_str(), "" | "bearer") {
            return Err("saslTokenProvider must be either bearer or aws_msk_iam".to_string());
        }
        self.check_user_and_password()?;
        require(!self.oauth_token_endpoint_uri.is_empty(), "no oauth token endpoint uri given")?;
        let extensions = self.oauth_extensions.expose();
        let is_pair = |extension: &str| extension.split('=').count() == 2;
        require(
            extensions.is_empty() || extensions.split(',').all(is_pair),
            "invalid OAuthBearer extension, must be of format key=value",
        )
    }

    fn takes_token_of_aws(&self) -> bool {
        self.sasl == "oauthbearer" && self.sasl_token_provider == "aws_msk_iam"
    }

    fn check_token_of_aws(&self) -> Result<(), String> {
        require(self.security.uses_tls(), "TLS is required for AWS MSK authentication")?;
        require(!self.security.aws_region.is_empty(), "no awsRegion given")
    }

    fn check_kerberos(&self) -> Result<(), String> {
        require(!self.security.username.is_empty(), "no username given")?;
        require(
            self.security.password.is_empty() != self.keytab.is_empty(),
            "exactly one of 'password' or 'keytab' must be provided for GSSAPI authentication",
        )?;
        require(!self.realm.is_empty(), "no realm given")?;
        require(!self.kerberos_config.is_empty(), "no Kerberos configuration file (kerberosConfig) given")
    }
}

fn require(fine: bool, message: &str) -> Result<(), String> {
    if fine { Ok(()) } else { Err(message.to_string()) }
}

/// The partitions that a limitation such as `1,3-5` names; none where it is empty.
fn partitions(limitation: &str) -> Result<Vec<RangeInclusive<i32>>, String> {
    let number = |text: &str, part: &str| {
        text.trim().parse::<i32>().map_err(|_| format!("invalid partition limitation: {part}"))
    };
    let parts = limitation.split(',').map(str::trim).filter(|_| !limitation.is_empty());
    parts
        .map(|part| match part.split('-').collect::<Vec<_>>().as_slice() {
            [one] => number(one, part).map(|one| one..=one),
            [first, last] => Ok(number(first, part)?..=number(last, part)?),
            _ => Err(format!("invalid partition limitation range: {part}")),
        })
        .collect()
}

/// `0.a.b.c`, or `a.b.c`, in numbers.
fn check_version(version: &str) -> Result<(), String> {
    let numbers = version.strip_prefix("0.").unwrap_or(version);
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u64>().is_ok();
    let begins_well = numbers.len() < version.len() || !version.starts_with('0');
    let valid = begins_well && numbers.split('.').count() == 3 && numbers.split('.').all(is_number);
    if version.is_empty() || valid {
        return Ok(());
    }
    Err(format!("error parsing kafka version: invalid version `{version}`"))
}

impl Trigger for Kafka {
    fn specs(&self, _: &Context) -> Specs {
        let target = Target::Integer(self.group.lag_threshold);
        Specs::one(MetricSpec::external(self.group.metric_name(&self.topic), target))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(metadata: &[(&str, &str)], authentication: &[(&str, &str)]) -> (Kafka, String) {
        let required = [("bootstrapServers", "b:9092"), ("consumerGroup", "my.group")];
        let inputs = Inputs::from_metadata(required.iter().chain(metadata).copied())
            .with_authentication(authentication.iter().copied());
        let (trigger, problems) = parse::<Kafka>(&inputs, &Context::default());
        let messages: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
        (trigger, messages.join("; "))
    }

    #[test]
    fn the_name_is_the_topics_or_the_groups() {
        for (topic, name) in [("my.topic", "kafka-my-topic"), ("", "kafka-my-group-topics")] {
            let (trigger, problems) = parsed(&[("topic", topic)], &[]);
            assert_eq!(problems, "");
            let spec = MetricSpec::external(name, Target::Integer(10));
            assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
        }
    }

    #[test]
    fn what_excludes_each_other_and_what_needs_a_topic_is_refused() {
        let (limited, even) = (("limitToPartitionsWithLag", "1"), ("ensureEvenDistributionOfPartitions", "1"));
        let topic = ("topic", "t");
        for (metadata, message) in [
            (vec![topic, limited, ("allowIdleConsumers", "true")], "allowIdleConsumers and limitTo"),
            (vec![topic, limited, even], "limitToPartitionsWithLag and ensureEven"),
            (vec![limited], "topic must be specified when using limitTo"),
            (vec![even], "topic must be specified when using ensureEven"),
            (vec![("fullMetadata", "false")], "topic must be specified when fullMetadata"),
            (vec![("lagThreshold", "0")], "\"lagThreshold\" must be positive"),
            (vec![("partitionLimitation", "1, 3 - 5,1-2-3")], "invalid partition limitation range: 1-2-3"),
            (vec![("partitionLimitation", "1,")], "invalid partition limitation: "),
        ] {
            assert!(parsed(&metadata, &[]).1.contains(message), "{metadata:?}");
        }
        assert_eq!(partitions("+3, 00012-15"), Ok(vec![3..=3, 12..=15]));
    }

    #[test]
    fn every_login_has_its_needs() {
        let region = [("awsRegion", "eu-west-1"), ("tls", "enable")];
        let aws = [("sasl", "oauthbearer"), ("saslTokenProvider", "aws_msk_iam")];
        let user = [("username", "u"), ("password", "p")];
        let with = |more: &[(&'static str, &'static str)]| user.iter().chain(more).copied().collect::<Vec<_>>();
        for (metadata, authentication, message) in [
            (vec![("sasl", "plaintext")], vec![user[0]], "no password given"),
            (vec![("sasl", "oauthbearer")], with(&[]), "no oauth token endpoint uri given"),
            (vec![("sasl", "gssapi")], with(&[("keytab", "k")]), "exactly one of 'password' or 'keytab'"),
            (vec![("sasl", "gssapi")], with(&[("realm", "r")]), "no Kerberos configuration file"),
            (vec![region[0]], aws.to_vec(), "TLS is required for AWS MSK authentication"),
            (region.to_vec(), aws.to_vec(), "awsAccessKeyID not found"),
            (vec![region[1]], vec![("cert", "c")], "key must be provided with cert"),
        ] {
            assert!(parsed(&metadata, &authentication).1.contains(message), "{metadata:?} {authentication:?}");
        }
        assert_eq!(parsed(&[("sasl", "plaintext")], &with(&[])).1, "");
        let keys = [aws[0], aws[1], ("awsAccessKeyID", "id"), ("awsSecretAccessKey", "hunter2")];
        assert_eq!(parsed(&region, &keys).1, "");
    }

    #[test]
    fn versions_are_those_of_kafka() {
        for version in ["", "0.11.0.3", "1.0.0", "4.0.10"] {
            assert!(check_version(version).is_ok(), "{version}");
        }
        for version in ["1", "1.0", "0.11.0", "1.0.0.0", "1.0.x", "0.1..2", "v1.0.0", "1.0.99999999999999999999"] {
            assert!(check_version(version).is_err(), "{version}");
        }
    }
}
