//! `aws-kinesis-stream`: the open shards of a stream (`scalers/aws-kinesis-stream.md`).

use keda_core::metadata::{Context, Metadata};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;

use crate::client::aws::AwsOptions;
use crate::trigger::{Specs, Trigger};

/// Scale on the number of open shards of a stream in Kinesis.
#[derive(Debug, Metadata)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct KinesisStream {
    /// Shards that one replica is expected to handle.
    #[meta(trigger, default = "2")]
    shard_count: i64,
    /// Number of shards above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_shard_count: i64,
    /// Name of the stream.
    #[meta(trigger)]
    stream_name: String,
    #[meta(group)]
    options: AwsOptions,
}

impl KinesisStream {
    fn metric_name(&self) -> String {
        normalize(&format!("aws-kinesis-{}", self.stream_name))
    }
}

impl Trigger for KinesisStream {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(self.shard_count)))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    #[test]
    fn the_name_is_the_streams_and_the_region_may_come_from_an_authentication() {
        let inputs = Inputs::from_metadata([("streamName", "a.b"), ("identityOwner", "operator")])
            .with_authentication([("awsRegion", "eu-west-1")]);
        let (stream, problems) = parse::<KinesisStream>(&inputs, &Context::default());
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("aws-kinesis-a-b", Target::Integer(2));
        assert_eq!(stream.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn stream_region_and_login_are_needed() {
        let (_, problems) = parse::<KinesisStream>(&Inputs::default(), &Context::default());
        let expected = [
            r#"missing required parameter "streamName" in [triggerMetadata]"#,
            r#"missing required parameter "awsRegion" in [triggerMetadata authParams]"#,
            "awsAccessKeyID not found",
        ];
        assert_eq!(problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>(), expected);
    }
}
