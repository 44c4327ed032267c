//! `redis`, `redis-cluster`, `redis-sentinel`: the length of a list, set, sorted set or hash (`scalers/redis.md`).

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{ErrorKind, Reading, Sample, SourceError};

use crate::client::Sources;
use crate::client::redis::{Redis, RedisOptions};
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};

/// Scale on the length of a list, set, sorted set or hash in Redis.
///
/// What counts is the number of elements under the key `listName`: of a list its entries, of a set or sorted set its
/// members, of a hash its fields. A key that does not exist counts as 0; a string or a stream is an error (for streams
/// there is `redis-streams`). One replica is wanted per `listLength` of them. The target leaves zero when the number is
/// above `activationListLength`.
///
/// The type says how the servers are set up:
///
/// - `redis` asks one server, the first of `address`.
/// - `redis-cluster` finds the server that has the key; `addresses` are some of the cluster's servers, and
///   `databaseIndex` is of no effect.
/// - `redis-sentinel` asks the sentinels in `addresses` for the master that they call `sentinelMaster`.
///
/// In place of addresses, `hosts` and `ports` can be given, as many of one as of the other. Log in with `password`, and
/// `username` where the servers have users; sentinels may have their own `sentinelUsername` and `sentinelPassword`. The
/// user needs the commands `PING`, `TYPE`, `LLEN`, `SCARD`, `ZCARD` and `HLEN` on the key (KEDA itself also `EVAL`).
/// TLS is switched on either by `enableTLS: "true"` in the metadata or by `tls: enable` in the TriggerAuthentication,
/// never both; without it certificates and `unsafeSsl` are of no effect.
///
/// ```yaml
/// type: redis
/// metadata:
///   address: redis.shop.svc:6379
///   listName: emails
///   listLength: "50"
///   activationListLength: "5"
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
/// type: redis-cluster
/// metadata:
///   addresses: redis-0.shop.svc:6379,redis-1.shop.svc:6379,redis-2.shop.svc:6379
///   listName: emails
///   listLength: "50"
///   activationListLength: "5"
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
/// type: redis-sentinel
/// metadata:
///   addresses: sentinel-0.shop.svc:26379,sentinel-1.shop.svc:26379
///   sentinelMaster: mymaster
///   listName: outbox
///   listLength: "50"
///   activationListLength: "5"
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
pub struct RedisList {
    /// Elements that one replica is expected to handle.
    #[meta(trigger, default = "5")]
    list_length: i64,
    /// Number of elements above which the target leaves zero; 0 when not given.
    #[meta(trigger, optional)]
    activation_list_length: i64,
    /// The key of the list, set, sorted set or hash.
    #[meta(trigger)]
    list_name: String,
    /// Number of the database; 0 when not given. A cluster has only that one.
    #[meta(trigger, optional)]
    database_index: i64,
    #[meta(group)]
    options: RedisOptions,
}

impl RedisList {
    fn metric_name(&self) -> String {
        normalize(&format!("redis-{}", self.list_name))
    }
}

impl Trigger for RedisList {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(self.list_length)))
    }

    fn connect(self, context: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let deployment = self
            .options
            .deployment(&context.trigger_type, self.database_index)
            .ok_or_else(|| SourceError::new(ErrorKind::Configuration, "no addresses or hosts given"))?;
        let redis = Redis::new(deployment, sources)?;
        Ok(Box::new(Length { metric_name: self.metric_name(), redis, list: self }))
    }
}

struct Length {
    metric_name: String,
    list: RedisList,
    redis: Redis,
}

#[async_trait]
impl Scaler for Length {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let key = &self.list.list_name;
        let kind: String = self.redis.run(redis::cmd("TYPE").arg(key)).await?;
        let command = match kind.as_str() {
            "list" | "none" => "LLEN",
            "set" => "SCARD",
            "zset" => "ZCARD",
            "hash" => "HLEN",
            other => {
                let message = format!("unsupported key type: {key} is a {other}, not a list, set, sorted set or hash");
                return Err(SourceError::new(ErrorKind::Configuration, message));
            }
        };
        let length: i64 = self.redis.run(redis::cmd(command).arg(key)).await?;
        Ok(vec![(self.metric_name.clone(), Sample::above(float(length), float(self.list.activation_list_length)))])
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn problems(entries: &[(&str, &str)], authentication: &[(&str, &str)]) -> Vec<String> {
        let inputs = Inputs::from_metadata(entries.iter().copied())
            .with_authentication(authentication.iter().copied())
            .with_environment([("H", "one,two"), ("P", "1,2")]);
        let (_, problems) =
            parse::<RedisList>(&inputs, &Context { trigger_type: "redis".into(), ..Context::default() });
        problems.into_iter().map(|problem| problem.message).collect()
    }

    #[test]
    fn the_name_is_the_lists_and_the_target_a_whole_number() {
        let inputs = Inputs::from_metadata([("listName", "queue:a/b"), ("address", "r:6379"), ("listLength", "10")]);
        let (list, problems) = parse::<RedisList>(&inputs, &Context::default());
        assert!(problems.is_empty());
        let spec = MetricSpec::external("redis-queue-a-b", Target::Integer(10));
        assert_eq!(list.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn hosts_and_ports_come_in_pairs_from_the_environment_too() {
        assert!(problems(&[("listName", "l"), ("hostFromEnv", "H"), ("portFromEnv", "P")], &[]).is_empty());
        let unequal = problems(&[("listName", "l"), ("hosts", "a,b"), ("ports", "1")], &[]);
        assert!(unequal[0].contains("not enough hosts or ports given"));
        assert!(problems(&[("listName", "l")], &[])[0].contains("no addresses or hosts given"));
    }

    #[test]
    fn tls_is_said_in_one_place() {
        let here = [("listName", "l"), ("address", "r:1"), ("enableTLS", "true")];
        assert!(problems(&here, &[("tls", "enable")])[0].contains("unable to set `tls` in both"));
        assert!(
            problems(&here[..2], &[("tls", "hunter2")])[0].contains("TLS value given: `tls` must be enable or disable")
        );
        assert!(problems(&here[..2], &[("tls", "enable")]).is_empty());
    }

    #[test]
    fn a_misspelt_required_key_is_told_from_a_missing_one() {
        let inputs = Inputs::from_metadata([("listNam", "l"), ("address", "r:1")]);
        let (_, problems) =
            parse::<RedisList>(&inputs, &Context { trigger_type: "redis".into(), ..Context::default() });
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].path.to_string(), "metadata.listNam");
        assert!(problems[0].help.as_ref().is_some_and(|help| help.contains("did you mean \"listName\"?")));
    }
}
