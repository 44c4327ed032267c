//! `redis-streams`, `redis-cluster-streams`, `redis-sentinel-streams`: entries of a stream (`scalers/redis-streams.md`).

use keda_core::metadata::{Context, Metadata};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;

use crate::client::redis::RedisOptions;
use crate::trigger::{Specs, Trigger};

/// Scale on the entries of a stream in Redis.
#[derive(Debug, Metadata)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct RedisStream {
    /// Entries delivered to the consumer group and not yet acknowledged that one replica is expected to handle.
    #[meta(trigger, default = "5")]
    pending_entries_count: i64,
    /// Entries of the stream that one replica is expected to handle, where no consumer group is given.
    #[meta(trigger, default = "5")]
    stream_length: i64,
    /// Entries not yet delivered to the consumer group that one replica is expected to handle; counted in place of
    /// pending ones when given.
    #[meta(trigger, optional)]
    lag_count: i64,
    /// The stream.
    #[meta(trigger)]
    stream: String,
    /// The consumer group; the length of the stream counts without it.
    #[meta(trigger, optional)]
    consumer_group: String,
    /// Number of the database; a cluster has only one.
    #[meta(trigger, optional)]
    database_index: i64,
    #[meta(group)]
    options: RedisOptions,
    /// Entries above which the target leaves zero, whatever is counted.
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
}
