//! Services of AWS, as Moto plays them.

use keda_core::sample::ErrorKind;

use crate::servers::moto::Moto;
use crate::{Source, sources};

const KEYS: [(&str, &str); 2] = [("awsAccessKeyID", "AKIDEXAMPLE"), ("awsSecretAccessKey", "hunter2-secret")];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Moto from PyPI; make test runs it"]
async fn services_of_aws_are_read() {
    let Some(moto) = Moto::start() else { return };
    let sources = sources();
    let read = |kind, metadata: &[(&str, &str)]| {
        let place = [("awsRegion", "eu-west-1"), ("awsEndpoint", moto.endpoint.as_str())];
        Source::new(&sources, kind, &[&place, metadata].concat(), &KEYS)
    };
    let queue = ("queueURL", moto.queue.as_str());
    assert_eq!(read("aws-sqs-queue", &[queue]).value().await, 3.0);
    assert_eq!(read("aws-sqs-queue", &[queue, ("scaleOnInFlight", "false")]).value().await, 2.0);
    let missing = moto.queue.replace("orders", "refunds");
    let missing = read("aws-sqs-queue", &[("queueURL", &missing)]).error().await;
    assert_eq!(missing.kind, ErrorKind::Configuration, "{missing}");

    assert_eq!(read("aws-kinesis-stream", &[("streamName", "clicks")]).value().await, 3.0);
    let missing = read("aws-kinesis-stream", &[("streamName", "keys")]).error().await;
    assert_eq!(missing.kind, ErrorKind::Configuration, "{missing}");

    let query = [
        ("tableName", "invoices"),
        ("keyConditionExpression", "#s = :s"),
        ("expressionAttributeNames", r##"{"#s":"state"}"##),
        ("expressionAttributeValues", r#"{":s":{"S":"unpaid"}}"#),
        ("targetValue", "1"),
    ];
    assert_eq!(read("aws-dynamodb", &query).value().await, 3.0);
    assert_eq!(read("aws-dynamodb-streams", &[("tableName", "invoices")]).value().await, 1.0);

    let metric = [
        ("namespace", "Shop"),
        ("metricName", "Waiting"),
        ("dimensionName", "Counter"),
        ("dimensionValue", "2"),
        ("targetMetricValue", "5"),
        ("minMetricValue", "0"),
        ("metricStatPeriod", "60"),
    ];
    assert_eq!(read("aws-cloudwatch", &metric).value().await, 42.0);
}
