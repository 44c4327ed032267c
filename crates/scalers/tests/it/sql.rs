//! `mysql`.

use std::sync::Arc;

use keda_core::sample::ErrorKind;
use keda_scalers::client::{SourceSettings, Sources};

use crate::servers::mariadb::{self, MariaDb};
use crate::servers::poll_until;
use crate::{Source, sources};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mariadb-server; make test runs it"]
async fn mysql_reads_one_number() {
    let Some(mut server) = MariaDb::start() else { return };
    let sources = sources();
    let query = |text: &str| {
        let metadata = [("query", text), ("queryValue", "5"), ("activationQueryValue", "2.5")];
        Source::new(&sources, "mysql", &metadata, &[("connectionString", &server.connection(""))])
    };
    assert!(poll_until(10, || async { query("SELECT 1").sample().await.is_ok() }).await);
    let numbers = [
        ("SELECT 7", 7.0),
        ("SELECT CAST(2.25 AS DOUBLE)", 2.25),
        ("SELECT 2.50", 2.5),
        ("SELECT '12.75'", 12.75),
        ("SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = 'shop'", 1.0),
        ("SELECT 3 UNION ALL SELECT 9", 3.0),
    ];
    for (text, number) in numbers {
        let sample = query(text).sample().await.unwrap();
        assert_eq!((sample.value, sample.active), (number, number > 2.5), "{text}");
    }
    let failures = [
        ("SELECT NULL", ErrorKind::Malformed, "NULL"),
        ("SELECT 1 FROM DUAL WHERE FALSE", ErrorKind::Malformed, "sql: no rows in result set"),
        ("SELECT 1, 2", ErrorKind::Malformed, "expected 2 destination arguments"),
        ("SELECT 'many'", ErrorKind::Malformed, "\"many\" is not a number"),
        ("SET @a = 1", ErrorKind::Malformed, "sql: no rows in result set"),
        ("SELECT * FROM nowhere", ErrorKind::Configuration, "nowhere' doesn't exist"),
        ("SELECT * FROM mysql.user", ErrorKind::Denied, "denied"),
    ];
    for (text, kind, message) in failures {
        let error = query(text).error().await;
        assert_eq!(error.kind, kind, "{text}: {error}");
        assert!(error.message.starts_with("error inspecting MySQL: ") && error.message.contains(message), "{error}");
    }
    let connections = query("SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'keda'");
    let at_once = (0..50).map(|_| query("SELECT 4 FROM (SELECT SLEEP(0.01)) AS pause"));
    let at_once: Vec<Source> = at_once.collect();
    let values = futures::future::join_all(at_once.iter().map(Source::value)).await;
    assert!(values.iter().all(|value| *value == 4.0));
    assert_eq!(connections.value().await, 1.0, "one connection for all queries");
    let before = query("SELECT 1");
    server.start_again();
    assert_eq!(before.value().await, 1.0, "a connection that broke unnoticed is made anew");
    server.stop();
    assert_eq!(before.error().await.kind, ErrorKind::Unreachable);
    server.start_again();
    assert_eq!(before.value().await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mariadb-server; make test runs it"]
async fn mysql_one_who_gives_up_leaves_nothing_to_the_next() {
    let Some(server) = MariaDb::start() else { return };
    let sources = sources();
    let query = |text: &str| {
        let metadata = [("query", text), ("queryValue", "5")];
        Source::new(&sources, "mysql", &metadata, &[("connectionString", &server.connection(""))])
    };
    assert!(poll_until(10, || async { query("SELECT 1").sample().await.is_ok() }).await);
    let slow = query("SELECT 1 + SLEEP(1)");
    let given_up = tokio::time::timeout(std::time::Duration::from_millis(300), slow.sample()).await;
    assert!(given_up.is_err());
    assert_eq!(query("SELECT 7").value().await, 7.0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mariadb-server; make test runs it"]
async fn mysql_logs_in_by_parts_and_over_tls() {
    let Some(server) = MariaDb::start() else { return };
    let settings = SourceSettings { ca_dirs: vec![server.ca_folder()], ..SourceSettings::default() };
    let trusting = Arc::new(Sources::new(settings));
    let encrypted =
        "SELECT VARIABLE_VALUE <> '' FROM information_schema.session_status WHERE VARIABLE_NAME = 'SSL_CIPHER'";
    let query = |sources: &Arc<Sources>, connection: &str| {
        let metadata = [("query", encrypted), ("queryValue", "5")];
        Source::new(sources, "mysql", &metadata, &[("connectionString", connection)])
    };
    let plain = server.connection("");
    assert!(poll_until(10, || async { query(&trusting, &plain).sample().await.is_ok() }).await);
    for (parameters, number) in
        [("", 0.0), ("?tls=false", 0.0), ("?tls=true", 1.0), ("?tls=skip-verify", 1.0), ("?tls=preferred", 1.0)]
    {
        assert_eq!(query(&trusting, &server.connection(parameters)).value().await, number, "{parameters}");
    }
    assert_eq!(query(&sources(), &server.connection("?tls=skip-verify")).value().await, 1.0);
    let untrusted = query(&sources(), &server.connection("?tls=true")).error().await;
    assert_eq!(untrusted.kind, ErrorKind::Unreachable, "{untrusted}");
    let wrong = query(&trusting, &format!("keda:hunter2@tcp(localhost:{})/shop", server.port)).error().await;
    assert_eq!(wrong.kind, ErrorKind::Denied, "{wrong}");
    assert!(!wrong.message.contains("hunter2"), "{wrong}");
    let elsewhere = query(&trusting, &server.connection("").replace("/shop", "/nowhere")).error().await;
    assert_eq!(elsewhere.kind, ErrorKind::Denied, "a database that the user may not see: {elsewhere}");
    let nobody = query(&trusting, "keda:p@tcp(127.0.0.1:1)/shop").error().await;
    assert_eq!(nobody.kind, ErrorKind::Unreachable, "{nobody}");
    let port = server.port.to_string();
    let parts = [
        ("host", "localhost"),
        ("port", port.as_str()),
        ("username", "keda"),
        ("dbName", "shop"),
        ("query", "SELECT @@port"),
        ("queryValue", "5"),
    ];
    let by_parts = Source::new(&sources(), "mysql", &parts, &[("password", mariadb::PASSWORD)]);
    assert_eq!(by_parts.value().await, f64::from(server.port));
    let without_host = Source::new(&sources(), "mysql", &parts[1..], &[]).error().await;
    assert_eq!(without_host.kind, ErrorKind::Configuration);
    assert_eq!(without_host.message, "error establishing MySQL connection: no host given");
}
