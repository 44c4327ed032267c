//! `aws-kinesis-stream`: the open shards of a stream (`scalers/aws-kinesis-stream.md`).

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use serde_json::{Value, json};

use crate::client::Sources;
use crate::client::aws::{AwsOptions, Service};
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};

/// Scale on the number of open shards of a stream in Kinesis.
///
/// What counts is the number of shards that are open; those that were split or merged do not count. The replicas are
/// that number divided by `shardCount`, so `"1"` gives each shard a replica of its own. The target leaves zero when the
/// number is above `activationShardCount`.
///
/// A stream always has shards: the trigger follows the size of the stream and not what is left to read, and it never
/// scales to zero by default.
///
/// Log in with a TriggerAuthentication: either `podIdentity` with the provider `aws` (KEDA's own role, another one with
/// `roleArn`, that of the target's service account with `identityOwner: workload`), or the parameters `awsAccessKeyID`
/// and `awsSecretAccessKey`, with `awsSessionToken` for temporary keys. `identityOwner: operator` in the metadata uses
/// KEDA's own login without one. The role or user needs the right `kinesis:DescribeStreamSummary`.
///
/// ```yaml
/// type: aws-kinesis-stream
/// metadata:
///   awsRegion: us-east-1
///   streamName: clicks
///   shardCount: "1"
/// authenticationRef:
///   name: clicks-reader
/// ---
/// secretTargetRef:
///   - parameter: awsAccessKeyID
///     name: clicks-reader
///     key: access-key-id
///   - parameter: awsSecretAccessKey
///     name: clicks-reader
///     key: secret-access-key
/// ```
#[derive(Debug, Metadata)]
pub struct KinesisStream {
    /// Shards that one replica is expected to handle.
    #[meta(trigger, default = "2")]
    shard_count: i64,
    /// Number of shards above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_shard_count: i64,
    /// Name of the stream; an ARN is not taken.
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

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let service = self.options.service("kinesis", "kinesis", sources)?;
        Ok(Box::new(Stream { metric_name: self.metric_name(), service, trigger: self }))
    }
}

struct Stream {
    metric_name: String,
    service: Service,
    trigger: KinesisStream,
}

#[async_trait]
impl Scaler for Stream {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let request = json!({ "StreamName": self.trigger.stream_name });
        let answer = self.service.json("1.1", "Kinesis_20131202.DescribeStreamSummary", &request).await?;
        let shards = answer.pointer("/StreamDescriptionSummary/OpenShardCount").and_then(Value::as_i64);
        let missing = || SourceError::malformed("the answer of Kinesis has no OpenShardCount");
        let activation = float(self.trigger.activation_shard_count);
        Ok(vec![(self.metric_name.clone(), Sample::above(float(shards.ok_or_else(missing)?), activation))])
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
