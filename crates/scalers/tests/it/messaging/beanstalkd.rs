//! `beanstalkd`, against a server.

use keda_core::sample::ErrorKind;
use keda_scalers::client::Sources;

use crate::servers::beanstalkd::Beanstalkd;
use crate::servers::{free_port, poll_until};
use crate::{Source, sources};

fn tube(sources: &Sources, server: &str, name: &str, more: &[(&str, &str)]) -> Source {
    let metadata = [("server", server), ("tube", name), ("value", "5"), ("timeout", "5s")];
    Source::new(sources, "beanstalkd", &[&metadata, more].concat(), &[])
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs beanstalkd; make test runs it"]
async fn beanstalkd() {
    let Some(mut server) = Beanstalkd::start() else { return };
    let (sources, address) = (sources(), server.address());
    let jobs = tube(&sources, &address, "jobs", &[]);
    let sample = jobs.sample().await.unwrap();
    assert_eq!((sample.value, sample.active), (0.0, false), "a tube that does not exist is empty");
    let mut worker = server.connect();
    worker.say("use jobs");
    worker.say("watch jobs");
    for _ in 0..4 {
        worker.put(0);
    }
    worker.put(3600);
    worker.put(3600);
    assert!(worker.say("reserve").starts_with("RESERVED"));
    let sample = jobs.sample().await.unwrap();
    assert_eq!((sample.value, sample.active), (4.0, true));
    assert_eq!(tube(&sources, &address, "jobs", &[("includeDelayed", "true")]).value().await, 6.0);
    assert!(!tube(&sources, &address, "jobs", &[("activationValue", "4")]).sample().await.unwrap().active);

    let unusable = tube(&sources, &address, "no tube", &[]).error().await;
    assert_eq!(unusable.kind, ErrorKind::Configuration, "{unusable}");
    let nowhere = tube(&sources, &format!("127.0.0.1:{}", free_port()), "jobs", &[]).error().await;
    assert_eq!(nowhere.kind, ErrorKind::Unreachable, "{nowhere}");
    assert!(nowhere.message.starts_with("error interacting with beanstalkd: "), "{nowhere}");
    assert_eq!(tube(&sources, "localhost", "jobs", &[]).error().await.kind, ErrorKind::Configuration);

    let triggers: Vec<Source> = (0..100).map(|_| tube(&sources, &address, "jobs", &[])).collect();
    let values = futures::future::join_all(triggers.iter().map(Source::value)).await;
    assert!(values.iter().all(|value| *value == 4.0), "{values:?}");
    assert_eq!(server.connections(), 3, "ours, the worker's, and one for all triggers");

    server.stop();
    assert_eq!(jobs.error().await.kind, ErrorKind::Unreachable);
    server.start_again();
    assert_eq!(jobs.value().await, 4.0, "what was reserved is ready again");
    drop((jobs, triggers));
    assert!(poll_until(5, || async { server.connections() == 1 }).await, "nobody needs it any more");
}

#[tokio::test]
async fn what_beanstalkd_would_not_say_is_no_number() {
    for (said, kind) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", ErrorKind::Malformed),
        ("OK 500\r\n---\ncurrent-jobs-ready: 3\n", ErrorKind::Malformed),
        ("OK 5\r\n---\n\n\r\n", ErrorKind::Malformed),
        ("INTERNAL_ERROR\r\n", ErrorKind::Unreachable),
        ("", ErrorKind::Unreachable),
    ] {
        let address = crate::servers::beanstalkd::one_that_says(said).await;
        let error = tube(&sources(), &address, "jobs", &[]).error().await;
        assert_eq!(error.kind, kind, "{said:?}: {error}");
    }
}
