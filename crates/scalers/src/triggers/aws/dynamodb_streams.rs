//! `aws-dynamodb-streams`: the shards of a table's stream (`scalers/aws-dynamodb-streams.md`).

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::client::Sources;
use crate::client::aws::{AwsOptions, Service};
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};

/// Scale on the number of shards of the stream of a table in DynamoDB.
///
/// What counts is the number of shards of the table's latest stream. The replicas are that number divided by
/// `shardCount`, so `"1"` gives each shard a replica of its own. The target leaves zero when the number is above
/// `activationShardCount`.
///
/// Shards that are closed count as long as DynamoDB lists them, which is about a day. A stream always has shards: the
/// trigger follows the size of the stream and not what is left to read, and it never scales to zero by default.
///
/// The table must have a stream; without one each reading fails.
///
/// Log in with a TriggerAuthentication: either `podIdentity` with the provider `aws` (KEDA's own role, another one with
/// `roleArn`, that of the target's service account with `identityOwner: workload`), or the parameters `awsAccessKeyID`
/// and `awsSecretAccessKey`, with `awsSessionToken` for temporary keys. `identityOwner: operator` in the metadata uses
/// KEDA's own login without one. The role or user needs the rights `dynamodb:DescribeTable` and
/// `dynamodb:DescribeStream`.
///
/// ```yaml
/// type: aws-dynamodb-streams
/// metadata:
///   awsRegion: eu-west-1
///   tableName: orders
///   shardCount: "1"
/// authenticationRef:
///   name: orders-stream
/// ---
/// podIdentity:
///   provider: aws
///   roleArn: arn:aws:iam::111122223333:role/orders-stream
/// ```
#[derive(Debug, Metadata)]
pub struct DynamoDbStreams {
    /// Shards that one replica is expected to handle.
    #[meta(trigger, default = "2")]
    shard_count: i64,
    /// Number of shards above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_shard_count: i64,
    /// Name of the table, whose latest stream is looked at.
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

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let tables = self.options.service("dynamodb", "dynamodb", sources)?;
        let streams = self.options.service("dynamodb", "streams.dynamodb", sources)?;
        Ok(Box::new(Stream { metric_name: self.metric_name(), tables, streams, arn: OnceCell::new(), trigger: self }))
    }
}

struct Stream {
    metric_name: String,
    tables: Service,
    streams: Service,
    /// The table's latest stream; it is looked up again after a failure, with a new scaler.
    arn: OnceCell<String>,
    trigger: DynamoDbStreams,
}

#[async_trait]
impl Scaler for Stream {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let arn = self.arn.get_or_try_init(|| self.find()).await?;
        let (shards, activation) = (self.shards(arn).await?, self.trigger.activation_shard_count);
        Ok(vec![(self.metric_name.clone(), Sample::above(float(shards), float(activation)))])
    }
}

impl Stream {
    async fn find(&self) -> Result<String, SourceError> {
        let table = &self.trigger.table_name;
        let request = json!({ "TableName": table });
        let answer = self.tables.json("1.0", "DynamoDB_20120810.DescribeTable", &request).await;
        let answer = answer.map_err(|error| error.within("error dynamodb stream arn"))?;
        if answer.get("Table").is_none() {
            return Err(SourceError::malformed("the answer of DynamoDB has no Table"));
        }
        let arn = answer.pointer("/Table/LatestStreamArn").and_then(Value::as_str).filter(|arn| !arn.is_empty());
        let missing =
            || SourceError::configuration(format!("error dynamodb stream arn: the table {table} has no stream"));
        arn.map(str::to_string).ok_or_else(missing)
    }

    /// The shards on all pages.
    async fn shards(&self, arn: &str) -> Result<i64, SourceError> {
        let mut request = json!({ "StreamArn": arn });
        let mut count = 0;
        loop {
            let answer = self.streams.json("1.0", "DynamoDBStreams_20120810.DescribeStream", &request).await?;
            let description = answer.get("StreamDescription");
            let shards = description.and_then(|description| description.get("Shards")?.as_array());
            let missing = || SourceError::malformed("the answer of DynamoDB has no Shards");
            count += i64::try_from(shards.ok_or_else(missing)?.len()).unwrap_or(i64::MAX);
            match description.and_then(|description| description.get("LastEvaluatedShardId")?.as_str()) {
                // A page that begins where it ends would never end.
                Some(last) if request.get("ExclusiveStartShardId").and_then(Value::as_str) != Some(last) => {
                    request = json!({ "StreamArn": arn, "ExclusiveStartShardId": last });
                }
                _ => return Ok(count),
            }
        }
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
