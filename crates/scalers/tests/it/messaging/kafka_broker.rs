//! `kafka` and `apache-kafka`, against a broker of Kafka itself.

use keda_core::sample::ErrorKind;

use crate::servers::kafka::{Broker, USER};
use crate::{Source, sources};

const KINDS: [&str; 2] = ["kafka", "apache-kafka"];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka from Maven; make test runs it"]
async fn a_broker_tells_what_is_left_to_read() {
    let Some(broker) = Broker::start() else { return };
    broker.fill("billing", "orders", &["12/10", "23/20", "35/30"]);
    broker.fill("billing", "refunds", &["7/-", "4/4"]);
    lag(&broker).await;
    logins(&broker).await;
    let gone = [("topic", "orders"), ("bootstrapServers", "localhost:1"), ("consumerGroup", "billing")];
    assert_eq!(Source::new(&sources(), "kafka", &gone, &[]).error().await.kind, ErrorKind::Unreachable);
}

async fn lag(broker: &Broker) {
    let sources = sources();
    let read = |kind, group: &str, metadata: &[(&str, &str)]| {
        let address = broker.open();
        let needed = [("bootstrapServers", address.as_str()), ("consumerGroup", group)];
        Source::new(&sources, kind, &[&needed, metadata].concat(), &[])
    };
    for kind in KINDS {
        let read = async |metadata: &[(&str, &str)]| {
            let sample = read(kind, "billing", metadata).sample().await.unwrap();
            (sample.value, sample.active)
        };
        assert_eq!(read(&[("topic", "orders")]).await, (10.0, true), "{kind}");
        assert_eq!(read(&[("topic", "orders"), ("partitionLimitation", "0-1")]).await, (5.0, true));
        assert_eq!(read(&[("topic", "refunds")]).await, (1.0, true), "never read, with the policy latest");
        assert_eq!(read(&[("topic", "refunds"), ("offsetResetPolicy", "earliest")]).await, (7.0, true));
    }
    assert_eq!(read("kafka", "billing", &[]).value().await, 11.0, "all topics that the group reads");
    assert_eq!(read("kafka", "nobody", &[("topic", "orders")]).value().await, 3.0, "a group that there is not");
    let missing = read("kafka", "billing", &[("topic", "missing")]).error().await;
    assert_eq!(missing.kind, ErrorKind::Configuration, "{missing}");
    let idle = read("apache-kafka", "billing", &[]).error().await;
    assert_eq!(idle.message, "no active members in group billing, group-state is Empty");
}

async fn logins(broker: &Broker) {
    let user = [("username", USER.0), ("password", USER.1)];
    let read = |kind, sasl, tls: &str, authentication: &[(&str, &str)]| {
        let address = if tls == "enable" { broker.tls() } else { broker.login() };
        let needed = [("bootstrapServers", address.as_str()), ("consumerGroup", "billing"), ("topic", "orders")];
        Source::new(&sources(), kind, &[&needed[..], &[("sasl", sasl), ("tls", tls)]].concat(), authentication)
    };
    let trusting = [user[0], user[1], ("ca", broker.certificates.ca.as_str())];
    for kind in KINDS {
        for sasl in ["plaintext", "scram_sha256", "scram_sha512"] {
            assert_eq!(read(kind, sasl, "disable", &user).value().await, 10.0, "{kind} {sasl}");
            assert_eq!(read(kind, sasl, "enable", &trusting).value().await, 10.0, "{kind} {sasl} by TLS");
            let wrong = read(kind, sasl, "disable", &[user[0], ("password", "hunter33")]).error().await;
            assert!(wrong.kind == ErrorKind::Denied && !wrong.message.contains("hunter"), "{sasl}: {wrong}");
        }
        assert_eq!(read(kind, "plaintext", "enable", &user).error().await.kind, ErrorKind::Unreachable, "no such root");
    }
}
