//! `aws-sqs-queue`: the messages in a queue (`scalers/aws-sqs-queue.md`).

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use serde_json::{Value, json};

use crate::client::Sources;
use crate::client::aws::{AwsOptions, Service};
use crate::client::request_uri;
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};

/// Scale on the number of messages in a queue of SQS.
///
/// What counts is the sum of the messages that wait and of those that are being worked on (`scaleOnInFlight`), and with
/// `scaleOnDelayed` of those that are delayed; SQS gives these numbers approximately. The replicas are the sum divided
/// by `queueLength`. The target leaves zero when it is above `activationQueueLength`.
///
/// Messages in flight count by default, so that a replica is not taken away while it still works on one. With
/// `scaleOnInFlight: "false"` the replicas follow the backlog alone.
///
/// `awsRegion` is needed even where the address of the queue names it. `queueURL` must be an address with the account
/// and the name of the queue, or the bare name; the bare name is looked for in the account of the login.
///
/// Log in with a TriggerAuthentication: either `podIdentity` with the provider `aws` (KEDA's own role, another one with
/// `roleArn`, that of the target's service account with `identityOwner: workload`), or the parameters `awsAccessKeyID`
/// and `awsSecretAccessKey`, with `awsSessionToken` for temporary keys. `identityOwner: operator` in the metadata uses
/// KEDA's own login without one. The role or user needs the right `sqs:GetQueueAttributes` on the queue.
///
/// ```yaml
/// type: aws-sqs-queue
/// metadata:
///   awsRegion: eu-west-1
///   queueURL: https://sqs.eu-west-1.amazonaws.com/111122223333/thumbnails
///   queueLength: "20"
///   activationQueueLength: "5"
/// authenticationRef:
///   name: thumbnails-queue
/// ---
/// podIdentity:
///   provider: aws
///   roleArn: arn:aws:iam::111122223333:role/thumbnails-queue
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct SqsQueue {
    /// Messages that one replica is expected to handle.
    #[meta(trigger, default = "5")]
    queue_length: i64,
    /// Number of messages above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_queue_length: i64,
    /// The queue, as its URL such as `https://sqs.eu-west-1.amazonaws.com/111122223333/thumbnails`, or as its name.
    #[meta(name = "queueURL", trigger, env)]
    queue_url: String,
    /// Whether messages count that a consumer has received and not deleted yet.
    #[meta(trigger, default = "true")]
    scale_on_in_flight: bool,
    /// Whether messages count that SQS holds back until their delay is over.
    #[meta(trigger, default = "false")]
    scale_on_delayed: bool,
    #[meta(group)]
    options: AwsOptions,
}

impl SqsQueue {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.queue_name().is_none() {
            reader.error_at("queueURL", "cannot get queueName from queueURL");
        }
    }

    /// The name of the queue: of a URL, what comes after the account.
    fn queue_name(&self) -> Option<String> {
        let Some(path) = request_uri::path(&self.queue_url) else { return Some(self.queue_url.clone()) };
        match path.split('/').collect::<Vec<_>>().as_slice() {
            [_, _, name] if !name.is_empty() => Some((*name).to_string()),
            _ => None,
        }
    }

    fn metric_name(&self) -> String {
        normalize(&format!("aws-sqs-{}", self.queue_name().unwrap_or_default()))
    }
}

impl Trigger for SqsQueue {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(self.queue_length)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let service = self.options.service("sqs", "sqs", sources)?;
        Ok(Box::new(Queue { metric_name: self.metric_name(), service, trigger: self }))
    }
}

struct Queue {
    metric_name: String,
    service: Service,
    trigger: SqsQueue,
}

#[async_trait]
impl Scaler for Queue {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let request = json!({ "QueueUrl": self.trigger.queue_url, "AttributeNames": self.trigger.attributes() });
        let answer = self.service.json("1.0", "AmazonSQS.GetQueueAttributes", &request).await?;
        let length = float(self.trigger.length(&answer)?);
        let activation = float(self.trigger.activation_queue_length);
        Ok(vec![(self.metric_name.clone(), Sample::above(length, activation))])
    }
}

impl SqsQueue {
    /// The attributes whose sum counts.
    fn attributes(&self) -> Vec<&'static str> {
        let in_flight = self.scale_on_in_flight.then_some("ApproximateNumberOfMessagesNotVisible");
        let delayed = self.scale_on_delayed.then_some("ApproximateNumberOfMessagesDelayed");
        ["ApproximateNumberOfMessages"].into_iter().chain(in_flight).chain(delayed).collect()
    }

    fn length(&self, answer: &Value) -> Result<i64, SourceError> {
        let mut sum = 0_i64;
        for name in self.attributes() {
            let text = answer.pointer(&format!("/Attributes/{name}")).and_then(Value::as_str);
            let text =
                text.ok_or_else(|| SourceError::malformed(format!("metric {name} not found in SQS queue attributes")))?;
            let number: i64 =
                text.parse().map_err(|_| SourceError::malformed(format!("{name} is {text:?}, not a number")))?;
            sum = sum.saturating_add(number);
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(queue: (&str, &str)) -> (SqsQueue, Vec<String>) {
        let inputs = Inputs::from_metadata([("awsRegion", "eu-west-1"), ("identityOwner", "operator"), queue])
            .with_environment([("Q", "https://sqs.eu-west-1.amazonaws.com/1234/DeleteQ")]);
        let (trigger, problems) = parse(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_queues_however_it_is_written() {
        for (queue, name) in [
            (("queueURLFromEnv", "Q"), "aws-sqs-DeleteQ"),
            (("queueURL", "my.queue"), "aws-sqs-my-queue"),
            (("queueURL", "/1234/q%3Ax"), "aws-sqs-q-x"),
        ] {
            let (trigger, problems) = parsed(queue);
            assert!(problems.is_empty(), "{problems:?}");
            let spec = MetricSpec::external(name, Target::Integer(5));
            assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
        }
    }

    #[test]
    fn a_url_has_an_account_and_a_name() {
        for url in ["https://h/q", "https://h/1234/", "https://h/1234/q/x", "name:x", "https://h"] {
            assert_eq!(parsed(("queueURL", url)).1, ["cannot get queueName from queueURL"], "{url}");
        }
        assert_eq!(
            parsed(("queueURLFromEnv", "NONE")).1,
            [r#"missing required parameter "queueURL" in [triggerMetadata resolvedEnv]"#]
        );
    }
}
