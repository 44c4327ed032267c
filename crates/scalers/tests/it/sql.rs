//! `mysql`, `clickhouse` and `mssql`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use keda_core::sample::ErrorKind;
use keda_scalers::client::{SourceSettings, Sources};

use crate::servers::clickhouse::{self, ClickHouse};
use crate::servers::mariadb::{self, MariaDb};
use crate::servers::{free_port, poll_until};
use crate::stand_ins::tds::{self, SqlServer};
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
    assert!(connections.value().await <= 4.0, "a few connections for all queries");
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
    let endless = query("SELECT BENCHMARK(1000000000000, MD5('a'))");
    let given_up = tokio::time::timeout(std::time::Duration::from_millis(300), endless.sample()).await;
    assert!(given_up.is_err());
    let running = query(
        "SELECT COUNT(*) FROM information_schema.processlist
         WHERE info LIKE '%BENCHMARK%' AND id <> CONNECTION_ID()",
    );
    assert!(poll_until(10, || async { running.value().await == 0.0 }).await, "it is called off");
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs clickhouse-server; make test runs it"]
async fn clickhouse_reads_one_number_in_its_own_protocol_and_over_http() {
    let Some(mut server) = ClickHouse::start() else { return };
    let sources = sources();
    let login = "keda:p%40ss%3Aw%2Frd";
    let native = format!("clickhouse://{login}@localhost:{}/default", server.port);
    let http = format!("http://{login}@localhost:{}/default", server.http_port);
    let query = |connection: &str, text: &str| {
        let metadata = [("query", text), ("targetQueryValue", "5"), ("activationTargetQueryValue", "2.5")];
        Source::new(&sources, "clickhouse", &metadata, &[("connectionString", connection)])
    };
    let numbers = [
        ("SELECT count() FROM numbers(70000)", 70000.0),
        ("SELECT number + 3 FROM numbers(70000)", 3.0),
        ("SELECT toInt32(-7)", -7.0),
        ("SELECT 2.25", 2.25),
        ("SELECT toDecimal64(12.5, 3)", 12.5),
        ("SELECT '12.75'", 12.75),
        ("SELECT toFixedString('7', 3)", 7.0),
        ("SELECT toNullable(toUInt8(9))", 9.0),
        ("SELECT 1 WHERE 0", 0.0),
        ("SELECT 5 AS n GROUP BY n WITH TOTALS", 5.0),
    ];
    let failures = [
        ("SELECT NULL", ErrorKind::Malformed, "NULL"),
        ("SELECT CAST(NULL, 'Nullable(Int32)')", ErrorKind::Malformed, "NULL"),
        ("SELECT 1, 2", ErrorKind::Malformed, "expected 2 destination arguments"),
        ("SELECT 'many'", ErrorKind::Malformed, "\"many\" is not a number"),
        ("SELECT today()", ErrorKind::Malformed, "not a number"),
        ("SELECT * FROM nowhere", ErrorKind::Configuration, ""),
        ("SELECT toUInt8(throwIf(number = 69999)) FROM numbers(70000)", ErrorKind::Configuration, ""),
    ];
    for connection in [&native, &http] {
        for (text, number) in numbers {
            let sample = query(connection, text).sample().await.unwrap();
            assert_eq!((sample.value, sample.active), (number, number > 2.5), "{connection} {text}");
        }
        for (text, kind, message) in failures {
            let error = query(connection, text).error().await;
            // Over HTTP the server says of some mistakes that it is at fault.
            assert!(
                error.kind == kind || connection == &http && error.kind == ErrorKind::Unreachable,
                "{text}: {error}"
            );
            let start = "error inspecting ClickHouse: could not query ClickHouse database: ";
            assert!(error.message.starts_with(start) && error.message.contains(message), "{text}: {error}");
        }
    }
    let at_once: Vec<Source> = (0..50).map(|_| query(&native, "SELECT 4")).collect();
    let values = futures::future::join_all(at_once.iter().map(Source::value)).await;
    assert!(values.iter().all(|value| *value == 4.0));
    let connections = "SELECT value FROM system.metrics WHERE metric = 'TCPConnection'";
    assert!(query(&native, connections).value().await <= 4.0, "a few connections for all queries");
    let (before, before_http) = (query(&native, "SELECT 1"), query(&http, "SELECT 1"));
    server.start_again();
    assert_eq!(before.value().await, 1.0, "a connection that broke unnoticed is made anew");
    server.stop();
    assert_eq!(before.error().await.kind, ErrorKind::Unreachable);
    assert_eq!(before_http.error().await.kind, ErrorKind::Unreachable);
    server.start_again();
    assert_eq!(before.value().await, 1.0);
    assert_eq!(before_http.value().await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs clickhouse-server; make test runs it"]
async fn clickhouse_logs_in_by_parts_and_over_tls() {
    let Some(server) = ClickHouse::start() else { return };
    let sources = sources();
    let parts = |port: u16, password: &str, more: &[(&str, &str)]| {
        let port = port.to_string();
        let metadata = [
            ("host", "localhost"),
            ("port", port.as_str()),
            ("username", "keda"),
            ("query", "SELECT 5"),
            ("targetQueryValue", "1"),
        ];
        let authentication: Vec<_> = [("password", password)].into_iter().chain(more.iter().copied()).collect();
        Source::new(&sources, "clickhouse", &metadata, &authentication)
    };
    assert_eq!(parts(server.port, clickhouse::PASSWORD, &[]).value().await, 5.0);
    let wrong = parts(server.port, "hunter2", &[]).error().await;
    assert_eq!(wrong.kind, ErrorKind::Denied, "{wrong}");
    assert!(!wrong.message.contains("hunter2"), "{wrong}");
    assert_eq!(parts(1, "hunter2", &[]).error().await.kind, ErrorKind::Unreachable);
    let ca = [("tls", "true"), ("ca", server.certificates.ca.as_str())];
    assert_eq!(parts(server.tls_port, clickhouse::PASSWORD, &ca).value().await, 5.0);
    let any = [("tls", "true"), ("unsafeSsl", "true")];
    assert_eq!(parts(server.tls_port, clickhouse::PASSWORD, &any).value().await, 5.0);
    let untrusted = parts(server.tls_port, clickhouse::PASSWORD, &any[..1]).error().await;
    assert_eq!(untrusted.kind, ErrorKind::Unreachable, "{untrusted}");
    let query = |connection: &str| {
        let text = "SELECT value FROM system.settings WHERE name = 'max_threads'";
        let metadata = [("query", text), ("targetQueryValue", "1")];
        Source::new(&sources, "clickhouse", &metadata, &[("connectionString", connection)])
    };
    let login = "keda:p%40ss%3Aw%2Frd";
    let settings = format!("clickhouse://{login}@localhost:{}?max_threads=3", server.port);
    assert_eq!(query(&settings).value().await, 3.0);
    let settings = format!("http://{login}@localhost:{}?max_threads=3", server.http_port);
    assert_eq!(query(&settings).value().await, 3.0);
    let wrong = query(&format!("http://keda:hunter2@localhost:{}", server.http_port)).error().await;
    assert_eq!(wrong.kind, ErrorKind::Denied, "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mssql_reads_one_number() {
    let server = SqlServer::start(free_port()).await;
    let sources = sources();
    let connection =
        |password: &str| format!("sqlserver://sa:{password}@127.0.0.1:{}?database=shop&encrypt=disable", server.port);
    let query = |text: &str, connection: &str| {
        let metadata = [("query", text), ("targetValue", "5"), ("activationTargetValue", "2.5")];
        Source::new(&sources, "mssql", &metadata, &[("connectionString", connection)])
    };
    let right = connection("Password%231");
    let numbers = [
        ("SELECT 7", 7.0),
        ("SELECT 3 UNION 4", 3.0),
        ("SELECT 2.50", 2.5),
        ("SELECT 1.5", 1.5),
        ("SELECT '12.75'", 12.75),
        ("SELECT nothing", 0.0),
    ];
    for (text, number) in numbers {
        let sample = query(text, &right).sample().await.unwrap();
        assert_eq!((sample.value, sample.active), (number, number > 2.5), "{text}");
    }
    let failures = [
        ("SELECT NULL", ErrorKind::Malformed, "NULL"),
        ("SELECT bit", ErrorKind::Malformed, "not a number"),
        ("SELECT 'many'", ErrorKind::Malformed, "\"many\" is not a number"),
        ("SELECT 7, 8", ErrorKind::Malformed, "expected 2 destination arguments"),
        ("SELECT late", ErrorKind::Configuration, "Divide by zero"),
        ("SELECT secret", ErrorKind::Denied, "permission was denied"),
        ("SELECT * FROM nowhere", ErrorKind::Configuration, "Invalid object name"),
    ];
    for (text, kind, message) in failures {
        let error = query(text, &right).error().await;
        assert_eq!(error.kind, kind, "{text}: {error}");
        assert!(error.message.starts_with("error inspecting mssql: ") && error.message.contains(message), "{error}");
    }
    let wrong = query("SELECT 7", &connection("hunter2")).error().await;
    assert_eq!(wrong.kind, ErrorKind::Denied, "{wrong}");
    assert!(!wrong.message.contains("hunter2"), "{wrong}");
    let untrusted = query("SELECT 7", &right.replace("encrypt=disable", "encrypt=true")).error().await;
    assert!(untrusted.message.contains("encryption"), "nothing is sent in the clear: {untrusted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mssql_many_triggers_hold_a_few_connections_and_survive_a_restart() {
    let server = SqlServer::start(free_port()).await;
    let (port, sources) = (server.port, sources());
    let connection = format!("server=127.0.0.1,{port};user id=sa;password={};encrypt=disable", tds::PASSWORD);
    let metadata = [("query", "SELECT 7"), ("targetValue", "5")];
    let query = || Source::new(&sources, "mssql", &metadata, &[("connectionString", &connection)]);
    let many: Vec<Source> = (0..50).map(|_| query()).collect();
    let values = futures::future::join_all(many.iter().map(Source::value)).await;
    assert!(values.iter().all(|value| *value == 7.0));
    assert!(server.connections.load(Ordering::SeqCst) <= 4);
    server.stop().await;
    let server = SqlServer::start(port).await;
    assert_eq!(many[0].value().await, 7.0, "a connection that broke unnoticed is made anew");
    server.stop().await;
    assert_eq!(many[0].error().await.kind, ErrorKind::Unreachable);
    let _server = SqlServer::start(port).await;
    assert_eq!(many[0].value().await, 7.0);
}
