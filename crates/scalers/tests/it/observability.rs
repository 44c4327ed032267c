//! `graphite`, against Graphite.

use keda_core::sample::ErrorKind;

use crate::servers::graphite::Graphite;
use crate::servers::poll_until;
use crate::{Source, sources};

#[tokio::test]
#[ignore = "needs Graphite; make test runs it"]
async fn graphite_gives_the_last_point_of_a_series() {
    let Some(mut graphite) = Graphite::start() else { return };
    let (sources, server) = (sources(), format!("http://127.0.0.1:{}", graphite.port));
    let query = |query: &str| {
        let metadata = [
            ("serverAddress", server.as_str()),
            ("query", query),
            ("queryTime", "-5Minutes"),
            ("activationThreshold", "6"),
        ];
        Source::new(&sources, "graphite", &metadata, &[])
    };
    graphite.write("shop.a.waiting", 2.5);
    graphite.write("shop.b.waiting", 4.0);
    let one = query("shop.a.waiting");
    assert!(poll_until(20, || async { one.value().await == 2.5 }).await);
    assert!(!one.sample().await.unwrap().active);
    let sum = query("sumSeries(shop.*.waiting)");
    assert!(poll_until(20, || async { sum.sample().await.is_ok_and(|sample| sample.value == 6.5) }).await);
    assert!(sum.sample().await.unwrap().active);
    assert_eq!(query("shop.c.waiting").value().await, 0.0);
    let error = query("shop.*.waiting").error().await;
    assert!(error.kind == ErrorKind::Configuration && error.message.contains("multiple series"), "{error}");
    graphite.pause();
    assert_eq!(one.error().await.kind, ErrorKind::Unreachable);
    graphite.resume();
    assert_eq!(one.value().await, 2.5);
}
