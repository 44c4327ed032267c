//! `activemq` and `artemis-queue`, against their brokers.

use keda_core::sample::ErrorKind;

use crate::servers::activemq::{Broker, USER};
use crate::{Source, sources};

const LOGIN: [(&str, &str); 2] = [("username", USER.0), ("password", USER.1)];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ActiveMQ from Maven; make test runs it"]
async fn a_queue_of_activemq_is_counted() {
    let Some(broker) = Broker::classic("orders", 3) else { return };
    let read = |more: &[(&str, &str)], login: &[(&str, &str)]| {
        let metadata = [("managementEndpoint", broker.console.as_str()), ("brokerName", "shop")];
        Source::new(&sources(), "activemq", &[&metadata, more].concat(), login)
    };
    assert_eq!(read(&[("destinationName", "orders")], &LOGIN).value().await, 3.0);
    let missing = read(&[("destinationName", "refunds")], &LOGIN).error().await;
    assert_eq!(missing.kind, ErrorKind::Configuration, "{missing}");
    refuses_strangers(&read(&[("destinationName", "orders")], &[LOGIN[0], ("password", "hunter33")])).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Artemis from Maven; make test runs it"]
async fn a_queue_of_artemis_is_counted() {
    let Some(broker) = Broker::artemis("orders", 3) else { return };
    let read = |queue: &str, more: &[(&str, &str)], login: &[(&str, &str)]| {
        let metadata = [("managementEndpoint", broker.console.as_str()), ("brokerName", "shop"), ("queueName", queue)];
        Source::new(&sources(), "artemis-queue", &[&metadata[..], &[("brokerAddress", queue)], more].concat(), login)
    };
    assert_eq!(read("orders", &[], &LOGIN).value().await, 3.0);
    let missing = read("refunds", &[], &LOGIN).error().await;
    assert_eq!(missing.kind, ErrorKind::Configuration, "{missing}");
    refuses_strangers(&read("orders", &[], &[LOGIN[0], ("password", "hunter33")])).await;
    let elsewhere = read("orders", &[("corsHeader", "http://elsewhere")], &LOGIN).error().await;
    assert_eq!(elsewhere.kind, ErrorKind::Denied, "{elsewhere}");
}

async fn refuses_strangers(source: &Source) {
    let error = source.error().await;
    assert!(error.kind == ErrorKind::Denied && !error.message.contains("hunter"), "{error}");
}
