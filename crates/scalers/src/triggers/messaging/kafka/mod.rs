//! `kafka`: the lag of a consumer group (`scalers/kafka.md`).

use std::ops::RangeInclusive;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::sample::{Reading, SourceError};
use keda_core::secret::Secret;

use crate::client::Sources;
use crate::client::kafka::lag::Rules;
use crate::client::kafka::options::{ConsumerGroup, Security};
use crate::client::kafka::{Access, Cluster, Login, Partition, Topics};
use crate::client::oauth2::ClientCredentials;
use crate::trigger::{Memory, Scaler, Specs, Trigger, Unreadable};

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
/// - `oauthbearer` wants `username` and `password` (client and its secret) and `oauthTokenEndpointUri`.
/// - `oauthbearer` with `saslTokenProvider: aws_msk_iam`, and `gssapi`, cannot be used yet.
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
    /// Of no effect: the brokers are only asked about what counts. `false` needs `topic`, as in KEDA.
    #[meta(trigger, default = "true")]
    full_metadata: bool,
    /// Version of the brokers, as `2.5.0` or `0.11.0.2`; of no effect, as they are asked what they know.
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
    #[expect(dead_code, reason = "read once Kerberos is supported")]
    kerberos_service_name: String,
    /// Whether to turn off FAST pre-authentication with `gssapi`, as some Active Directories need it.
    #[meta(name = "kerberosDisableFAST", auth, default = "false")]
    #[expect(dead_code, reason = "read once Kerberos is supported")]
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

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let access = match self.access() {
            Ok(access) => access,
            Err(error) => return Ok(Box::new(Unreadable(error))),
        };
        let cluster = Cluster::new(self.group.bootstrap_servers.clone(), access, sources)?;
        let limitation = if self.topic.is_empty() { "" } else { &self.partition_limitation };
        let limitation = partitions(limitation).map_err(SourceError::configuration)?;
        Ok(Box::new(Group { cluster, rules: self.rules(), limitation, trigger: self }))
    }
}

struct Group {
    cluster: Cluster,
    rules: Rules,
    /// The partitions that count; all where there are none. A limitation has no effect without a topic.
    limitation: Vec<RangeInclusive<i32>>,
    trigger: Kafka,
}

#[async_trait]
impl Scaler for Group {
    async fn sample(&self, memory: &mut Memory) -> Result<Reading, SourceError> {
        let topics = self.topics().await?;
        let partitions: Vec<&Partition> = topics.partitions().filter(|(_, index)| self.counts(*index)).collect();
        if partitions.is_empty() && !self.trigger.topic.is_empty() {
            let topic = &self.trigger.topic;
            let message = format!("expected at least one active partition within the topic '{topic}'");
            return Err(SourceError::configuration(message));
        }
        let sample = self.rules.read(&self.cluster, &self.trigger.group, &topics, &partitions, memory).await?;
        Ok(vec![(self.trigger.group.metric_name(&self.trigger.topic), sample)])
    }
}

impl Group {
    fn counts(&self, index: i32) -> bool {
        self.limitation.is_empty() || self.limitation.iter().any(|range| range.contains(&index))
    }

    /// The topic, or all that the group has committed offsets for; before it has, all of the cluster.
    async fn topics(&self) -> Result<Topics, SourceError> {
        if !self.trigger.topic.is_empty() {
            return self.cluster.topics(Some(std::slice::from_ref(&self.trigger.topic)), false).await;
        }
        let committed = self.cluster.committed(&self.trigger.group.consumer_group, None).await?;
        let mut names: Vec<String> = committed.into_keys().map(|(topic, _)| topic).collect();
        names.dedup();
        self.cluster.topics((!names.is_empty()).then_some(names.as_slice()), false).await
    }
}

impl Kafka {
    fn rules(&self) -> Rules {
        Rules {
            threshold: self.group.lag_threshold,
            offset_reset_policy: self.offset_reset_policy.clone(),
            allow_idle_consumers: self.allow_idle_consumers,
            exclude_persistent_lag: self.exclude_persistent_lag,
            scale_to_zero_on_invalid_offset: self.scale_to_zero_on_invalid_offset,
            limit_to_partitions_with_lag: self.limit_to_partitions_with_lag,
            ensure_even_distribution_of_partitions: self.ensure_even_distribution_of_partitions,
            missing_is_unread: false,
        }
    }

    /// How the brokers are reached. Tokens of AWS are not to be had yet.
    fn access(&self) -> Result<Access, SourceError> {
        if self.sasl != "oauthbearer" || self.takes_token_of_aws() {
            return self.security.access(&self.sasl, self.unsafe_ssl);
        }
        let credentials = ClientCredentials {
            token_uri: self.oauth_token_endpoint_uri.clone(),
            client_id: self.security.username.clone(),
            client_secret: self.security.password.clone(),
            scopes: self.scopes.split(',').map(str::to_string).collect(),
            ..ClientCredentials::default()
        };
        let extensions = self.oauth_extensions.expose().split(',').filter(|pair| !pair.is_empty());
        let extensions = extensions.map(Secret::new).collect();
        let login = Login::Token { credentials, extensions };
        Ok(Access { login, ..self.security.access("none", self.unsafe_ssl)? })
    }
}

#[cfg(test)]
mod tests;
