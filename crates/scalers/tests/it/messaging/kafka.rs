//! `kafka` and `apache-kafka`, against brokers.

use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use keda_core::sample::ErrorKind;
use keda_scalers::client::Sources;
use keda_scalers::trigger::Memory;

use crate::http::serve;
use crate::servers::certificates::Certificates;
use crate::servers::free_port;
use crate::stand_ins::kafka::{Kafka, Known};
use crate::{Source, sources};

const KINDS: [&str; 2] = ["kafka", "apache-kafka"];

/// Two topics, of which the group has read a part of one.
fn known() -> Known {
    let orders = [(0, 10), (1, 20), (2, 30)].map(|(index, offset)| (("orders".to_string(), index), offset));
    Known {
        topics: [("orders".to_string(), vec![12, 23, 35]), ("refunds".to_string(), vec![7])].into(),
        committed: orders.into(),
        ..Known::default()
    }
}

fn group(
    sources: &Sources,
    kind: &'static str,
    brokers: &str,
    metadata: &[(&str, &str)],
    authentication: &[(&str, &str)],
) -> Source {
    let needed = [("bootstrapServers", brokers), ("consumerGroup", "billing")];
    Source::new(sources, kind, &[&needed, metadata].concat(), authentication)
}

const ORDERS: (&str, &str) = ("topic", "orders");

#[tokio::test(flavor = "multi_thread")]
async fn the_lag_is_that_of_all_partitions_whoever_leads_them() {
    let kafka = Kafka::start(known(), None).await;
    for kind in KINDS {
        let read = async |metadata: &[(&str, &str)]| {
            let sample = group(&sources(), kind, &kafka.address(), metadata, &[]).sample().await.unwrap();
            (sample.value, sample.active)
        };
        assert_eq!(read(&[ORDERS]).await, (10.0, true), "{kind}");
        assert_eq!(read(&[ORDERS, ("activationLagThreshold", "10")]).await, (10.0, false));
        assert_eq!(read(&[ORDERS, ("lagThreshold", "2")]).await, (6.0, true), "three replicas for three partitions");
        assert_eq!(read(&[ORDERS, ("partitionLimitation", "0,2-5")]).await, (7.0, true));
        assert_eq!(read(&[("topic", "refunds")]).await, (1.0, true), "never read, with the policy latest");
        assert_eq!(read(&[("topic", "refunds"), ("offsetResetPolicy", "earliest")]).await, (7.0, true));
        let zero = [("topic", "refunds"), ("scaleToZeroOnInvalidOffset", "true")];
        assert_eq!(read(&zero).await, (0.0, false));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn which_topics_count_depends_on_the_type() {
    let kafka = Kafka::start(known(), None).await;
    let (sources, address) = (sources(), kafka.address());
    let read = |kind, metadata: &[(&str, &str)]| group(&sources, kind, &address, metadata, &[]);
    assert_eq!(read("kafka", &[]).value().await, 10.0, "those that the group has committed offsets for");
    kafka.with(|known| known.committed.clear());
    assert_eq!(read("kafka", &[]).value().await, 4.0, "all of the cluster before it has");
    let missing = read("kafka", &[("topic", "missing")]).error().await;
    assert_eq!(missing.kind, ErrorKind::Configuration, "{missing}");
    let none = read("kafka", &[ORDERS, ("partitionLimitation", "7")]).error().await;
    assert!(none.message.contains("expected at least one active partition within the topic 'orders'"), "{none}");

    let idle = read("apache-kafka", &[]).error().await;
    assert_eq!(idle.message, "no active members in group billing, group-state is Empty");
    kafka.with(|known| known.members = 1);
    assert_eq!(read("apache-kafka", &[]).value().await, 4.0);
    assert_eq!(read("apache-kafka", &[("topic", "missing,refunds")]).value().await, 1.0);
    assert_eq!(read("apache-kafka", &[("topic", "missing")]).value().await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_that_does_not_move_is_remembered() {
    let kafka = Kafka::start(known(), None).await;
    for kind in KINDS {
        let metadata = [ORDERS, ("excludePersistentLag", "true")];
        let trigger = group(&sources(), kind, &kafka.address(), &metadata, &[]);
        let mut memory = Memory::default();
        assert_eq!(trigger.0.sample(&mut memory).await.unwrap()[0].1.value, 10.0);
        let sample = trigger.0.sample(&mut memory).await.unwrap()[0].1;
        assert_eq!((sample.value, sample.active), (0.0, true), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_log_in_and_brokers_show_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(folder.path());
    let login = Known { login: Some(("keda", "hunter22")), ..known() };
    let (plain, tls) = (Kafka::start(login.clone(), None).await, Kafka::start(login, Some(&certificates)).await);
    let user = [("username", "keda"), ("password", "hunter22")];
    for kind in KINDS {
        let read = |kafka: &Kafka, metadata: &[(&str, &str)], authentication: &[(&str, &str)]| {
            group(&sources(), kind, &kafka.address(), &[&[ORDERS], metadata].concat(), authentication)
        };
        let sasl = ("sasl", "plaintext");
        assert_eq!(read(&plain, &[sasl], &user).value().await, 10.0);
        let wrong = read(&plain, &[sasl], &[user[0], ("password", "hunter33")]).error().await;
        assert!(wrong.kind == ErrorKind::Denied && !wrong.message.contains("hunter"), "{wrong}");
        let scram = read(&plain, &[("sasl", "scram_sha256")], &user).error().await;
        assert_eq!(scram.kind, ErrorKind::Configuration, "{scram}");
        assert!(scram.message.contains("the broker does not take SCRAM-SHA-256, only PLAIN"), "{scram}");
        assert_eq!(read(&plain, &[], &[]).error().await.kind, ErrorKind::Unreachable, "it hangs up on strangers");
        let trusting = [user[0], user[1], ("ca", certificates.ca.as_str())];
        assert_eq!(read(&tls, &[sasl, ("tls", "enable")], &trusting).value().await, 10.0);
        assert_eq!(read(&tls, &[sasl, ("tls", "enable")], &user).error().await.kind, ErrorKind::Unreachable);
        assert_eq!(read(&plain, &[sasl, ("tls", "enable")], &user).error().await.kind, ErrorKind::Unreachable);
    }
    let any = [ORDERS, ("sasl", "plaintext"), ("tls", "enable"), ("unsafeSsl", "true")];
    assert_eq!(group(&sources(), "kafka", &tls.address(), &any, &user).value().await, 10.0);
    let kerberos = [user[0], user[1], ("realm", "SHOP"), ("kerberosConfig", "[libdefaults]")];
    let kerberos = group(&sources(), "kafka", &plain.address(), &[ORDERS, ("sasl", "gssapi")], &kerberos);
    assert_eq!(kerberos.error().await.kind, ErrorKind::Unsupported);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_logs_in() {
    let given = post(|| async { r#"{"access_token": "granted", "expires_in": 3600}"# });
    let place = format!("{}/token", serve(Router::new().route("/token", given)).await);
    let kafka =
        Kafka::start(Known { token: Some("granted\u{1}logicalCluster=lkc-1\u{1}pool=2"), ..known() }, None).await;
    let client = [("username", "keda"), ("password", "hunter22"), ("oauthTokenEndpointUri", place.as_str())];
    let read = |more: &[(&str, &str)]| {
        let authentication = [&client, more].concat();
        group(&sources(), "kafka", &kafka.address(), &[ORDERS, ("sasl", "oauthbearer")], &authentication)
    };
    assert_eq!(read(&[("oauthExtensions", "logicalCluster=lkc-1,pool=2")]).value().await, 10.0);
    let refused = read(&[]).error().await;
    assert!(refused.kind == ErrorKind::Denied && !refused.message.contains("granted"), "{refused}");
    assert!(refused.message.contains("the broker does not take the token"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_triggers_share_a_connection_to_each_broker() {
    let kafka = Kafka::start(known(), None).await;
    let sources = sources();
    let triggers: Vec<Source> =
        (0..100).map(|number| group(&sources, KINDS[number % 2], &kafka.address(), &[ORDERS], &[])).collect();
    let values = futures::future::join_all(triggers.iter().map(Source::value)).await;
    assert!(values.iter().all(|value| *value == 10.0), "{values:?}");
    assert_eq!(kafka.with(|known| known.connections), 2);
    kafka.hang_up();
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let values = futures::future::join_all(triggers.iter().map(Source::value)).await;
    assert!(values.iter().all(|value| *value == 10.0), "{values:?}");
    assert_eq!(kafka.with(|known| known.connections), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_told_apart() {
    let kafka = Kafka::start(known(), None).await;
    let sources = Arc::clone(&sources());
    let read = |brokers: &str| group(&sources, "kafka", brokers, &[ORDERS], &[]);
    for (code, kind) in [(15, ErrorKind::Unreachable), (30, ErrorKind::Denied), (24, ErrorKind::Configuration)] {
        kafka.with(|known| known.group_error = code);
        let error = read(&kafka.address()).error().await;
        assert!(error.kind == kind && error.message.contains("group billing"), "{code}: {error}");
    }
    kafka.with(|known| known.group_error = 0);
    let nobody = format!("127.0.0.1:{}", free_port());
    assert_eq!(read(&nobody).error().await.kind, ErrorKind::Unreachable);
    assert_eq!(read(&format!("{nobody},{}", kafka.address())).value().await, 10.0, "the second one answers");
    assert_eq!(read("kafka").error().await.kind, ErrorKind::Configuration, "there is no port");
    let web = crate::servers::beanstalkd::one_that_says("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    assert_eq!(read(&web).error().await.kind, ErrorKind::Malformed);
}
