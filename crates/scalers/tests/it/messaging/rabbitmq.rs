//! `rabbitmq`, in one test, as its server is slow to start.

use keda_core::sample::ErrorKind;
use keda_scalers::client::Sources;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};

use crate::servers::poll_until;
use crate::servers::rabbitmq::{PASSWORD, RabbitMq, USER};
use crate::{Source, sources};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq-server; make test runs it"]
async fn rabbitmq() {
    let Some(mut server) = RabbitMq::start() else { return };
    let sources = sources();
    let own = Connection::connect(&server.amqp(), ConnectionProperties::default()).await.unwrap();
    let channel = own.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();

    amqp_reads_the_length_of_a_queue(&server, &sources, &channel).await;
    amqp_logs_in(&server, &sources).await;
    many_triggers_share_a_connection(&server, &sources).await;
    the_management_api_has_lengths_and_rates(&server, &sources, &channel).await;

    let trigger = queue(&sources, &server.amqp(), "jobs", &[], &[]);
    assert_eq!(trigger.value().await, 3.0);
    drop(own);
    server.start_again();
    assert!(poll_until(30, || async { trigger.sample().await.is_ok_and(|sample| sample.value == 3.0) }).await);
}

fn queue(
    sources: &Sources,
    host: &str,
    name: &str,
    metadata: &[(&str, &str)],
    authentication: &[(&str, &str)],
) -> Source {
    let metadata: Vec<_> = [("queueName", name)].into_iter().chain(metadata.iter().copied()).collect();
    let authentication: Vec<_> = [("host", host)].into_iter().chain(authentication.iter().copied()).collect();
    Source::new(sources, "rabbitmq", &metadata, &authentication)
}

async fn declare(channel: &Channel, name: &str) {
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), durable, FieldTable::default()).await.unwrap();
}

async fn publish(channel: &Channel, name: &str, messages: usize) {
    for _ in 0..messages {
        let kept = BasicProperties::default().with_delivery_mode(2);
        let sent = channel.basic_publish("".into(), name.into(), BasicPublishOptions::default(), b"job", kept).await;
        assert!(sent.unwrap().await.unwrap().is_ack());
    }
}

async fn amqp_reads_the_length_of_a_queue(server: &RabbitMq, sources: &Sources, channel: &Channel) {
    let jobs = queue(sources, &server.amqp(), "jobs", &[], &[]);
    let error = jobs.error().await;
    assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
    assert!(error.message.contains("no queue \"jobs\" in the vhost \"/\""), "{error}");
    assert!(error.message.starts_with("error inspecting RabbitMQ: "), "{error}");
    declare(channel, "jobs").await;
    assert_eq!(jobs.value().await, 0.0);
    publish(channel, "jobs", 3).await;
    let sample = jobs.sample().await.unwrap();
    assert_eq!((sample.value, sample.active), (3.0, true));
}

async fn amqp_logs_in(server: &RabbitMq, sources: &Sources) {
    let wrong = format!("amqp://{USER}:hunter2@127.0.0.1:{}", server.port);
    let error = queue(sources, &wrong, "jobs", &[], &[]).error().await;
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(!error.message.contains("hunter2"), "{error}");
    let login = [("username", USER), ("password", PASSWORD)];
    assert_eq!(queue(sources, &wrong, "jobs", &[], &login).value().await, 3.0);
    let nowhere = queue(sources, &server.amqp(), "jobs", &[("vhostName", "nowhere")], &[]).error().await;
    assert_eq!(nowhere.kind, ErrorKind::Configuration, "{nowhere}");
    let tls = format!("amqps://{USER}:{PASSWORD}@localhost:{}/%2F", server.tls_port);
    let trust = [("tls", "enable"), ("ca", server.certificates.ca.as_str())];
    assert_eq!(queue(sources, &tls, "jobs", &[], &trust).value().await, 3.0);
    assert_eq!(queue(sources, &tls, "jobs", &[], &[]).error().await.kind, ErrorKind::Unreachable);
    let closed = format!("amqp://127.0.0.1:{}", crate::servers::free_port());
    assert_eq!(queue(sources, &closed, "jobs", &[], &[]).error().await.kind, ErrorKind::Unreachable);
}

/// One asks for a queue that does not exist, which disturbs nobody.
async fn many_triggers_share_a_connection(server: &RabbitMq, sources: &Sources) {
    let names = (0..100).map(|number| if number == 50 { "missing" } else { "jobs" });
    let triggers: Vec<Source> = names.map(|name| queue(sources, &server.amqp(), name, &[], &[])).collect();
    let samples = futures::future::join_all(triggers.iter().map(Source::sample)).await;
    assert_eq!(samples.iter().filter(|sample| sample.is_err()).count(), 1);
    let client = reqwest_client(sources);
    let address = format!("{}/api/connections", server.http());
    let seen = poll_until(15, || async {
        let answer = client.get(&address).send().await.unwrap().text().await.unwrap();
        let connections: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let names = connections.as_array().unwrap().iter();
        names.filter(|connection| connection["client_properties"]["connection_name"] == "keda-test-app").count() == 1
    });
    assert!(seen.await, "one connection with the object's name");
}

fn reqwest_client(sources: &Sources) -> std::sync::Arc<reqwest::Client> {
    sources.http.client(&sources.tls, &Default::default()).unwrap()
}

async fn the_management_api_has_lengths_and_rates(server: &RabbitMq, sources: &Sources, channel: &Channel) {
    let jobs = queue(sources, &server.http(), "jobs", &[], &[]);
    assert!(poll_until(15, || async { jobs.value().await == 3.0 }).await, "the API lags behind, but not so long");
    declare(channel, "other").await;
    let young = queue(sources, &server.http(), "other", &[], &[]);
    // An error until the server has counted, and never anything but 0 afterwards.
    assert!(poll_until(15, || async { young.sample().await.is_ok() }).await);
    assert_eq!(young.value().await, 0.0);
    publish(channel, "other", 1).await;
    let regex = [("useRegex", "true"), ("operation", "sum"), ("pageSize", "10")];
    let all = queue(sources, &server.http(), "^(jobs|other)$", &regex, &[]);
    assert!(poll_until(15, || async { all.value().await == 4.0 }).await);
    for mode in ["MessageRate", "DeliverGetRate", "PublishedToDeliveredRatio", "ExpectedQueueConsumptionTime"] {
        let sample = queue(sources, &server.http(), "jobs", &[("mode", mode), ("value", "1")], &[]).sample().await;
        assert!(sample.unwrap().value >= 0.0, "{mode}");
    }
    let ready = [("excludeUnacknowledged", "true")];
    assert_eq!(queue(sources, &server.http(), "jobs", &ready, &[]).value().await, 3.0);
    let wrong = format!("http://{USER}:hunter2@127.0.0.1:{}", server.management_port);
    let error = queue(sources, &wrong, "jobs", &[], &[]).error().await;
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(error.message.contains("error requesting RabbitMQ API status: 401"), "{error}");
    assert!(!error.message.contains("hunter2"), "{error}");
    let missing = queue(sources, &server.http(), "missing", &[], &[]).error().await;
    assert_eq!(missing.kind, ErrorKind::Configuration, "{missing}");
}
