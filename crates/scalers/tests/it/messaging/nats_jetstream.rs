//! `nats-jetstream`, against a server.

use keda_core::sample::ErrorKind;
use keda_scalers::client::Sources;

use crate::servers::free_port;
use crate::servers::nats::Nats;
use crate::{Source, sources};

fn consumer(sources: &Sources, endpoint: &str, name: &str, more: &[(&str, &str)]) -> Source {
    let metadata =
        [("natsServerMonitoringEndpoint", endpoint), ("account", "$G"), ("stream", "orders"), ("consumer", name)];
    Source::new(sources, "nats-jetstream", &[&metadata, more].concat(), &[])
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nats-server; make test runs it"]
async fn nats_jetstream() {
    let Some(mut server) = Nats::start() else { return };
    let (sources, endpoint) = (sources(), server.monitoring());
    let billing = consumer(&sources, &endpoint, "billing", &[]);
    let error = billing.error().await;
    assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
    assert!(error.message.contains(r#"consumer "billing" not found in stream "orders""#), "{error}");

    server.ask("$JS.API.STREAM.CREATE.orders", r#"{"name": "orders", "subjects": ["orders"], "storage": "file"}"#);
    let settings = r#"{"stream_name": "orders", "config": {"durable_name": "billing", "ack_policy": "explicit"}}"#;
    server.ask("$JS.API.CONSUMER.DURABLE.CREATE.orders.billing", settings);
    let sample = billing.sample().await.unwrap();
    assert_eq!((sample.value, sample.active), (0.0, false));
    for _ in 0..3 {
        server.ask("orders", "an order");
    }
    let sample = billing.sample().await.unwrap();
    assert_eq!((sample.value, sample.active), (3.0, true));
    server.ask("$JS.API.CONSUMER.MSG.NEXT.orders.billing", "1");
    assert_eq!(billing.value().await, 3.0, "one of them is not acknowledged");
    assert!(
        !consumer(&sources, &endpoint, "billing", &[("activationLagThreshold", "3")]).sample().await.unwrap().active
    );

    let other = consumer(&sources, &endpoint, "shipping", &[]).error().await;
    assert_eq!(other.kind, ErrorKind::Configuration, "{other}");
    let nowhere = consumer(&sources, &format!("127.0.0.1:{}", free_port()), "billing", &[]).error().await;
    assert_eq!(nowhere.kind, ErrorKind::Unreachable, "{nowhere}");
    assert_eq!(
        consumer(&sources, &endpoint, "billing", &[("useHttps", "true")]).error().await.kind,
        ErrorKind::Unreachable
    );
    server.stop();
    assert_eq!(billing.error().await.kind, ErrorKind::Unreachable);
    server.start_again();
    assert_eq!(billing.value().await, 3.0);
}
