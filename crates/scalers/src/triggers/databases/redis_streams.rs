//! `redis-streams`, `redis-cluster-streams`, `redis-sentinel-streams`: entries of a stream (`scalers/redis-streams.md`).

use std::collections::BTreeMap;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use redis::Value;

use crate::client::Sources;
use crate::client::redis::{Redis, RedisOptions};
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};

/// The first version of Redis that knows the lag of a group.
const FIRST_WITH_LAG: u32 = 7;

/// Scale on the entries of a stream in Redis.
///
/// What counts depends on `consumerGroup` and `lagCount`, and so does the parameter that says how much of it one
/// replica is expected to handle:
///
/// - without `consumerGroup`, all entries of the stream: `streamLength`. Acknowledging does not shorten a stream; the
///   consumers have to delete or trim.
/// - with `consumerGroup`, the entries that the group was given and has not acknowledged yet: `pendingEntriesCount`. At
///   zero replicas nobody is given anything, so this number alone does not wake a target.
/// - with `consumerGroup` and `lagCount`, the entries that the group has not been given yet: `lagCount`. It needs Redis
///   7, and is the one to scale from zero with. After entries were deleted from the middle of a stream Redis may not
///   know the number; it then counts as 0.
///
/// The target leaves zero when the number is above `activationLagCount`, whatever is counted. A stream that does not
/// exist counts as 0; in the second way it is an error, as is a group that does not exist. In the third way all entries
/// count for such a group.
///
/// `redis-streams` asks one server, the first of `address`; `redis-cluster-streams` finds the server of a cluster that
/// has the stream; `redis-sentinel-streams` asks the sentinels in `addresses` for the master that they call
/// `sentinelMaster`. Log in with `password`, and `username` where the servers have users, who need the commands `PING`,
/// `XLEN`, `XPENDING`, `XINFO` and `INFO`. TLS is switched on either by `enableTLS: "true"` in the metadata or by
/// `tls: enable` in the TriggerAuthentication, never both.
///
/// ```yaml
/// type: redis-streams
/// metadata:
///   address: redis.shop.svc:6379
///   stream: orders
///   consumerGroup: invoicing
///   lagCount: "20"
///   activationLagCount: "2"
/// authenticationRef:
///   name: redis-login
/// ---
/// secretTargetRef:
///   - parameter: password
///     name: redis-login
///     key: password
/// ```
///
/// ```yaml
/// type: redis-cluster-streams
/// metadata:
///   addresses: redis-0.shop.svc:6379,redis-1.shop.svc:6379,redis-2.shop.svc:6379
///   stream: orders
///   consumerGroup: invoicing
///   lagCount: "20"
///   activationLagCount: "2"
/// authenticationRef:
///   name: redis-login
/// ---
/// secretTargetRef:
///   - parameter: username
///     name: redis-login
///     key: username
///   - parameter: password
///     name: redis-login
///     key: password
/// ```
///
/// ```yaml
/// type: redis-sentinel-streams
/// metadata:
///   addresses: sentinel-0.shop.svc:26379,sentinel-1.shop.svc:26379
///   sentinelMaster: mymaster
///   stream: orders
///   consumerGroup: invoicing
///   pendingEntriesCount: "20"
/// authenticationRef:
///   name: redis-login
/// ---
/// secretTargetRef:
///   - parameter: password
///     name: redis-login
///     key: password
///   - parameter: sentinelPassword
///     name: redis-login
///     key: sentinel-password
/// ```
#[derive(Debug, Metadata)]
pub struct RedisStream {
    /// Entries delivered to the consumer group and not yet acknowledged that one replica is expected to handle. Counts
    /// with `consumerGroup` and without `lagCount`.
    #[meta(trigger, default = "5")]
    pending_entries_count: i64,
    /// Entries of the stream that one replica is expected to handle. Counts without `consumerGroup`.
    #[meta(trigger, default = "5")]
    stream_length: i64,
    /// Entries not yet delivered to the consumer group that one replica is expected to handle; with it these count in
    /// place of pending ones. Needs `consumerGroup` and Redis 7.
    #[meta(trigger, optional)]
    lag_count: i64,
    /// The key of the stream.
    #[meta(trigger)]
    stream: String,
    /// The consumer group; without it the length of the stream counts.
    #[meta(trigger, optional)]
    consumer_group: String,
    /// Number of the database; 0 when not given. A cluster has only that one.
    #[meta(trigger, optional)]
    database_index: i64,
    #[meta(group)]
    options: RedisOptions,
    /// Number of entries above which the target leaves zero, whatever is counted.
    #[meta(trigger, default = "0")]
    activation_lag_count: i64,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    /// All entries of the stream.
    Length,
    /// Those delivered to the group and not yet acknowledged.
    Pending,
    /// Those not yet delivered to the group.
    Lag,
}

impl RedisStream {
    fn metric_name(&self) -> String {
        normalize(&format!("redis-streams-{}", self.stream))
    }

    fn counted(&self) -> Counted {
        match (self.consumer_group.as_str(), self.lag_count) {
            ("", _) => Counted::Length,
            (_, 0) => Counted::Pending,
            _ => Counted::Lag,
        }
    }
}

impl Trigger for RedisStream {
    fn specs(&self, _: &Context) -> Specs {
        let target = match self.counted() {
            Counted::Length => self.stream_length,
            Counted::Pending => self.pending_entries_count,
            Counted::Lag => self.lag_count,
        };
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(target)))
    }

    fn connect(self, context: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let deployment = self
            .options
            .deployment(&context.trigger_type, self.database_index)
            .ok_or_else(|| SourceError::configuration("no addresses or hosts given"))?;
        let redis = Redis::new(deployment, sources)?;
        Ok(Box::new(Entries { metric_name: self.metric_name(), redis, stream: self }))
    }
}

struct Entries {
    metric_name: String,
    redis: Redis,
    stream: RedisStream,
}

#[async_trait]
impl Scaler for Entries {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let count = match self.stream.counted() {
            Counted::Length => self.length().await?,
            Counted::Pending => self.pending().await?,
            Counted::Lag => self.lag().await?,
        };
        let activation = float(self.stream.activation_lag_count);
        Ok(vec![(self.metric_name.clone(), Sample::above(float(count), activation))])
    }
}

impl Entries {
    async fn length(&self) -> Result<i64, SourceError> {
        self.redis.run(redis::cmd("XLEN").arg(&self.stream.stream)).await
    }

    async fn pending(&self) -> Result<i64, SourceError> {
        let question = redis::cmd("XPENDING").arg(&self.stream.stream).arg(&self.stream.consumer_group).to_owned();
        let (count, _, _, _): (i64, Value, Value, Value) = self.redis.run(&question).await?;
        Ok(count)
    }

    /// The entries that the group was not given yet: all of them for a group that does not exist, as in KEDA. It is -1
    /// where Redis cannot say, after entries were deleted.
    async fn lag(&self) -> Result<i64, SourceError> {
        let information: String = self.redis.run(redis::cmd("INFO").arg("server")).await?;
        check_version(&information).map_err(SourceError::configuration)?;
        let question = redis::cmd("XINFO").arg("GROUPS").arg(&self.stream.stream).to_owned();
        let groups: Vec<BTreeMap<String, Value>> = match self.redis.run(&question).await {
            Err(error) if error.message.contains("no such key") => return Ok(0),
            groups => groups?,
        };
        let is_named = |group: &&BTreeMap<String, Value>| match group.get("name") {
            Some(Value::BulkString(name)) => name.as_slice() == self.stream.consumer_group.as_bytes(),
            Some(Value::SimpleString(name)) => *name == self.stream.consumer_group,
            _ => false,
        };
        match groups.iter().find(is_named).map(|group| group.get("lag")) {
            None => self.length().await,
            Some(Some(Value::Int(lag))) => Ok(*lag),
            Some(Some(Value::Nil)) => Ok(-1),
            Some(_) => Err(SourceError::malformed("Redis gave no lag of the consumer group")),
        }
    }
}

/// Whether a server that says this of itself knows the lag of a group.
fn check_version(information: &str) -> Result<(), String> {
    let version = information.lines().find_map(|line| line.strip_prefix("redis_version:"));
    let version = version.ok_or("could not find Redis version number")?.trim();
    let major: Option<u32> = version.split('.').next().and_then(|major| major.parse().ok());
    match major.ok_or("redis version could not be converted to number")? {
        FIRST_WITH_LAG.. => Ok(()),
        _ => Err(format!("redis version 7+ required for lag, and this is {version}")),
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn target(more: &[(&str, &str)]) -> Specs {
        let required = [("stream", "my.stream"), ("address", "r:6379"), ("streamLength", "15")];
        let inputs = Inputs::from_metadata(required.iter().chain(more).copied());
        let (stream, problems) = parse::<RedisStream>(&inputs, &Context::default());
        assert!(problems.is_empty(), "{problems:?}");
        stream.specs(&Context::default())
    }

    #[test]
    fn consumer_group_and_lag_count_say_what_is_counted() {
        let one = |target| Specs::one(MetricSpec::external("redis-streams-my-stream", Target::Integer(target)));
        assert_eq!(target(&[("lagCount", "7"), ("pendingEntriesCount", "9")]), one(15));
        assert_eq!(target(&[("consumerGroup", "g"), ("pendingEntriesCount", "9")]), one(9));
        assert_eq!(target(&[("consumerGroup", "g"), ("lagCount", "0")]), one(5));
        assert_eq!(target(&[("consumerGroup", "g"), ("lagCount", "7")]), one(7));
    }

    #[test]
    fn a_stream_and_an_address_are_needed() {
        let (_, problems) = parse::<RedisStream>(&Inputs::default(), &Context::default());
        let messages: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
        assert!(messages[0].contains("missing required parameter \"stream\""), "{messages:?}");
        assert!(messages[1].contains("no addresses or hosts given"), "{messages:?}");
    }

    #[test]
    fn the_lag_of_a_group_is_known_since_redis_7() {
        assert_eq!(check_version("# Server\r\nredis_version:7.0.15\r\nx:y\r\n"), Ok(()));
        for (information, why) in [
            ("redis_version:6.2.1\r\n", "redis version 7+ required for lag"),
            ("redis_version:x\r\n", "could not be converted to number"),
            ("# Server", "could not find Redis version number"),
        ] {
            assert!(check_version(information).unwrap_err().contains(why), "{information}");
        }
    }
}
