//! `aws-dynamodb-streams`: the shards of a table's stream (`scalers/aws-dynamodb-streams.md`).

use keda_core::metadata::{Context, Metadata};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;

use crate::client::aws::AwsOptions;
use crate::trigger::{Specs, Trigger};

/// Scale on the number of shards of the stream of a table in DynamoDB.
#[derive(Debug, Metadata)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct DynamoDbStreams {
    /// Shards that one replica is expected to handle.
    #[meta(trigger, default = "2")]
    shard_count: i64,
    /// Number of shards above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_shard_count: i64,
    /// Name of the table.
    #[meta(trigger)]
    table_name: String,
    #[meta(group)]
    options: AwsOptions,
}

impl DynamoDbStreams {
    fn metric_name(&self) -> String {
        normalize(&format!("aws-dynamodb-streams-{}", self.table_name))
    }
}

impl Trigger for DynamoDbStreams {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(self.shard_count)))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(shard_count: &str) -> (DynamoDbStreams, usize) {
        let metadata = [
            ("tableName", "t.x"),
            ("awsRegion", "eu-west-1"),
            ("identityOwner", "operator"),
            ("shardCount", shard_count),
        ];
        let (trigger, problems) = parse(&Inputs::from_metadata(metadata), &Context::default());
        (trigger, problems.len())
    }

    #[test]
    fn the_name_is_the_tables_and_any_whole_number_is_a_target() {
        for (shard_count, target) in [("", 2), ("0", 0), ("-3", -3)] {
            let (trigger, problems) = parsed(shard_count);
            assert_eq!(problems, 0);
            let spec = MetricSpec::external("aws-dynamodb-streams-t-x", Target::Integer(target));
            assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
        }
    }

    #[test]
    fn a_count_is_a_whole_number() {
        assert_eq!(parsed("a").1, 1);
        assert_eq!(parsed("1.5").1, 1);
    }
}
