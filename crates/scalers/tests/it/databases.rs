//! `redis`, `redis-cluster`, `redis-sentinel`, `postgresql` and `etcd`.

use std::time::Duration;

use futures::StreamExt;
use keda_core::sample::ErrorKind;
use keda_scalers::trigger::Push;
use redis::AsyncTypedCommands;
use tokio::time::timeout;

use crate::servers::etcd::Etcd;
use crate::servers::poll_until;
use crate::servers::postgresql::{self, PostgreSql};
use crate::servers::redis::{Cluster, PASSWORD, Redis, connect};
use crate::{Source, sources};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; make test runs it"]
async fn redis_has_a_length_for_each_kind_of_key() {
    let Some(server) = Redis::start() else { return };
    let mut own = server.connect().await;
    own.rpush("list", &["a", "b", "c"]).await.unwrap();
    own.sadd("set", &["a", "b"]).await.unwrap();
    own.zadd("zset", "a", 1).await.unwrap();
    own.hset_multiple("hash", &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]).await.unwrap();
    own.set("text", "a").await.unwrap();
    let sources = sources();
    let address = format!("127.0.0.1:{}", server.port);
    let key = |name: &str| {
        let metadata = [("address", address.as_str()), ("listName", name), ("activationListLength", "2")];
        Source::new(&sources, "redis", &metadata, &[("password", PASSWORD)])
    };
    for (name, length) in [("list", 3.0), ("set", 2.0), ("zset", 1.0), ("hash", 4.0), ("missing", 0.0)] {
        let sample = key(name).sample().await.unwrap();
        assert_eq!((sample.value, sample.active), (length, length > 2.0), "{name}");
    }
    let error = key("text").error().await;
    assert_eq!(error.kind, ErrorKind::Configuration);
    assert!(error.message.contains("text is a string"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; make test runs it"]
async fn redis_streams_have_a_length_pending_entries_and_a_lag() {
    let Some(server) = Redis::start() else { return };
    let mut own = server.connect().await;
    for number in 0..10 {
        redis::cmd("XADD").arg("s").arg("*").arg("n").arg(number).exec_async(&mut own).await.unwrap();
    }
    redis::cmd("XGROUP").arg(&["CREATE", "s", "g", "0"]).exec_async(&mut own).await.unwrap();
    let read = ["GROUP", "g", "c", "COUNT", "4", "STREAMS", "s", ">"];
    redis::cmd("XREADGROUP").arg(&read).exec_async(&mut own).await.unwrap();
    let (sources, address) = (sources(), format!("127.0.0.1:{}", server.port));
    let source = |more: &[(&str, &str)]| {
        let metadata = [&[("address", address.as_str()), ("activationLagCount", "4")], more].concat();
        Source::new(&sources, "redis-streams", &metadata, &[("password", PASSWORD)])
    };
    let (group, lag) = (("consumerGroup", "g"), ("lagCount", "7"));
    for (more, value) in [
        (vec![("stream", "s")], 10.0),
        (vec![("stream", "missing")], 0.0),
        (vec![("stream", "s"), group], 4.0),
        (vec![("stream", "s"), group, lag], 6.0),
        (vec![("stream", "s"), ("consumerGroup", "nobody"), lag], 10.0),
        (vec![("stream", "missing"), group, lag], 0.0),
    ] {
        let sample = source(&more).sample().await.unwrap();
        assert_eq!((sample.value, sample.active), (value, value > 4.0), "{more:?}");
    }
    let error = source(&[("stream", "s"), ("consumerGroup", "nobody")]).error().await;
    assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
    assert!(error.message.contains("NOGROUP") || error.message.contains("consumer group"), "{error}");
    // Redis cannot tell the lag of a group that begins among deleted entries.
    redis::cmd("XGROUP").arg(&["CREATE", "s", "later", "1-1"]).exec_async(&mut own).await.unwrap();
    redis::cmd("XTRIM").arg(&["s", "MAXLEN", "2"]).exec_async(&mut own).await.unwrap();
    let sample = source(&[("stream", "s"), ("consumerGroup", "later"), lag]).sample().await.unwrap();
    assert!(!sample.active, "{sample:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; make test runs it"]
async fn redis_logs_in_by_password_by_user_and_over_tls() {
    let Some(server) = Redis::start() else { return };
    let mut own = server.connect().await;
    own.rpush("list", &["a", "b", "c"]).await.unwrap();
    let user = ["ACL", "SETUSER", "bob", "on", ">bobs-password", "~*", "+@all"];
    redis::cmd(user[0]).arg(&user[1..]).exec_async(&mut own).await.unwrap();
    let sources = sources();
    let list = |port: u16, authentication: &[(&str, &str)]| {
        let address = format!("localhost:{port}");
        Source::new(&sources, "redis", &[("address", &address), ("listName", "list")], authentication)
    };
    let (wrong, bob) = ([("password", "hunter2")], [("username", "bob"), ("password", "bobs-password")]);
    let error = list(server.port, &wrong).error().await;
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(!error.message.contains("hunter2"), "{error}");
    assert_eq!(error.message.matches("authentication failed").count(), 1, "{error}");
    assert_eq!(list(server.port, &[]).error().await.kind, ErrorKind::Denied);
    assert_eq!(list(server.port, &bob).value().await, 3.0);
    let tls = [("password", PASSWORD), ("tls", "enable"), ("ca", server.certificates.ca.as_str())];
    assert_eq!(list(server.tls_port, &tls).value().await, 3.0);
    let untrusted = list(server.tls_port, &tls[..2]).error().await;
    assert_eq!(untrusted.kind, ErrorKind::Unreachable, "{untrusted}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; make test runs it"]
async fn two_hundred_triggers_hold_one_connection_and_survive_a_restart() {
    let Some(mut server) = Redis::start() else { return };
    let mut own = server.connect().await;
    let sources = sources();
    let address = format!("127.0.0.1:{}", server.port);
    let triggers: Vec<Source> = (0..200)
        .map(|number| {
            let name = format!("list-{number}");
            let metadata = [("address", address.as_str()), ("listName", name.as_str())];
            Source::new(&sources, "redis", &metadata, &[("password", PASSWORD)])
        })
        .collect();
    let samples = futures::future::join_all(triggers.iter().map(Source::sample)).await;
    assert!(samples.iter().all(Result::is_ok));
    let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut own).await.unwrap();
    assert_eq!(clients.lines().count(), 2, "one for the triggers, one for the test: {clients}");
    server.start_again();
    let trigger = &triggers[0];
    assert!(poll_until(10, || async { trigger.sample().await.is_ok() }).await);
    drop(triggers);
    let mut own = server.connect().await;
    let alone = poll_until(10, || {
        let mut own = own.clone();
        async move {
            let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut own).await.unwrap();
            clients.lines().count() == 1
        }
    });
    assert!(alone.await, "the last trigger closes the connection");
    own.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server and redis-sentinel; make test runs it"]
async fn redis_sentinels_know_the_server() {
    let Some(server) = Redis::start() else { return };
    server.connect().await.rpush("list", &["a", "b", "c"]).await.unwrap();
    let Some((port, _sentinel, _folder)) = server.start_sentinel("sentinel-password") else { return };
    let sources = sources();
    let address = format!("127.0.0.1:{port}");
    let list = |master: &str, password: &str| {
        let metadata = [("addresses", address.as_str()), ("listName", "list"), ("sentinelMaster", master)];
        let authentication = [("password", PASSWORD), ("sentinelPassword", password)];
        Source::new(&sources, "redis-sentinel", &metadata, &authentication)
    };
    assert_eq!(list("mymaster", "sentinel-password").value().await, 3.0);
    assert_eq!(list("mymaster", "wrong").error().await.kind, ErrorKind::Denied);
    assert!(list("nobody", "sentinel-password").error().await.message.contains("no sentinel knows"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; make test runs it"]
async fn redis_clusters_say_where_a_key_is() {
    let Some(cluster) = Cluster::start().await else { return };
    let sources = sources();
    let mut elsewhere = 0;
    for name in (0..10).map(|number| format!("list-{number}")) {
        for port in cluster.ports {
            let mut own = connect(&format!("redis://127.0.0.1:{port}/")).await;
            match own.rpush(&name, &["a", "b"]).await {
                Ok(_) if port != cluster.ports[0] => elsewhere += 1,
                _ => {}
            }
        }
        let address = format!("127.0.0.1:{}", cluster.ports[0]);
        let metadata = [("addresses", address.as_str()), ("listName", name.as_str())];
        assert_eq!(Source::new(&sources, "redis-cluster", &metadata, &[]).value().await, 2.0, "{name}");
    }
    assert!(elsewhere > 0, "no key was on the other server");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgresql; make test runs it"]
async fn postgresql_reads_one_number() {
    let Some(mut server) = PostgreSql::start() else { return };
    let sources = sources();
    let query = |text: &str, more: &str| {
        let metadata = [("query", text), ("targetQueryValue", "5"), ("activationTargetQueryValue", "2.5")];
        Source::new(&sources, "postgresql", &metadata, &[("connection", &server.connection(more))])
    };
    let numbers = [
        ("SELECT 7", 7.0),
        ("SELECT 7::bigint", 7.0),
        ("SELECT 2.25::float8", 2.25),
        ("SELECT 2.5::numeric", 2.5),
        ("SELECT '12.75'::text", 12.75),
        ("SELECT count(*) FROM generate_series(1, 5)", 5.0),
        ("SELECT n FROM generate_series(3, 9) AS n", 3.0),
    ];
    for (text, number) in numbers {
        let sample = query(text, "").sample().await.unwrap();
        assert_eq!((sample.value, sample.active), (number, number > 2.5), "{text}");
    }
    assert!(query("SELECT 'NaN'::numeric", "").value().await.is_nan());
    let failures = [
        ("SELECT NULL::int", ErrorKind::Malformed, "NULL"),
        ("SELECT 1 WHERE false", ErrorKind::Malformed, "sql: no rows in result set"),
        ("SELECT 1, 2", ErrorKind::Malformed, "expected 2 destination arguments"),
        ("SELECT 'many'", ErrorKind::Malformed, "\"many\" is not a number"),
        ("SELECT true", ErrorKind::Malformed, "not a number"),
        ("SELECT * FROM nowhere", ErrorKind::Configuration, "relation \"nowhere\" does not exist"),
    ];
    for (text, kind, message) in failures {
        let error = query(text, "").error().await;
        assert_eq!(error.kind, kind, "{text}: {error}");
        assert!(error.message.starts_with("error inspecting postgreSQL: could not query postgreSQL: "), "{error}");
        assert!(error.message.contains(message), "{text}: {error}");
    }
    let before = query("SELECT 1", "");
    before.value().await;
    let connections = query("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'keda'", "");
    assert_eq!(connections.value().await, 1.0, "one connection for all queries");
    server.stop();
    assert_eq!(before.error().await.kind, ErrorKind::Unreachable);
    server.start_again();
    assert_eq!(before.value().await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgresql; make test runs it"]
async fn postgresql_a_query_that_nobody_waits_for_is_called_off() {
    let Some(server) = PostgreSql::start() else { return };
    let sources = sources();
    let query = |text: &str| {
        let metadata = [("query", text), ("targetQueryValue", "5")];
        Source::new(&sources, "postgresql", &metadata, &[("connection", &server.connection(""))])
    };
    let slow: Vec<Source> = (0..3).map(|_| query("SELECT 1 FROM pg_sleep(5)")).collect();
    let slow = futures::future::join_all(slow.iter().map(Source::value));
    let quick = query("SELECT 7");
    let soon = timeout(Duration::from_secs(3), quick.value());
    tokio::select! {
        biased;
        _ = slow => panic!("it waited for slow queries"),
        soon = soon => assert_eq!(soon, Ok(7.0)),
    }
    let endless = query("SELECT 1 FROM pg_sleep(600)");
    assert_eq!(query("SELECT 7").value().await, 7.0);
    assert!(timeout(Duration::from_millis(300), endless.sample()).await.is_err());
    let next = timeout(Duration::from_secs(10), query("SELECT 7").value()).await;
    assert_eq!(next, Ok(7.0), "it does not wait for the other");
    let running = query(
        "SELECT count(*) FROM pg_stat_activity
         WHERE query LIKE '%pg_sleep(600)%' AND state = 'active' AND pid <> pg_backend_pid()",
    );
    assert!(poll_until(10, || async { running.value().await == 0.0 }).await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgresql; make test runs it"]
async fn postgresql_refuses_and_proves_itself() {
    let Some(server) = PostgreSql::start() else { return };
    let sources = sources();
    let query = |connection: &str| {
        let metadata =
            [("query", "SELECT ssl::int FROM pg_stat_ssl WHERE pid = pg_backend_pid()"), ("targetQueryValue", "5")];
        Source::new(&sources, "postgresql", &metadata, &[("connection", connection)])
    };
    let ca = server.certificates.ca_file.display();
    for (mode, encrypted) in [
        ("sslmode=disable".to_string(), 0.0),
        ("sslmode=allow".to_string(), 0.0),
        ("sslmode=prefer".to_string(), 1.0),
        ("sslmode=require".to_string(), 1.0),
        ("sslmode=require channel_binding=require".to_string(), 1.0),
        (format!("sslmode=verify-ca sslrootcert={ca}"), 1.0),
        (format!("sslmode=verify-full sslrootcert={ca}"), 1.0),
    ] {
        assert_eq!(query(&server.connection(&mode)).value().await, encrypted, "{mode}");
    }
    for mode in ["sslmode=verify-full", "sslmode=verify-ca"] {
        assert_eq!(query(&server.connection(mode)).error().await.kind, ErrorKind::Unreachable, "{mode}");
    }
    let unbound = query(&server.connection("sslmode=disable channel_binding=require")).error().await;
    assert_eq!(unbound.kind, ErrorKind::Denied, "{unbound}");
    let elsewhere = format!("postgresql://postgres:{}@ip6-localhost:{}/", postgresql::PASSWORD, server.port);
    let unreachable = query(&elsewhere).error().await;
    assert_eq!(unreachable.kind, ErrorKind::Unreachable, "{unreachable}");
    let wrong = query(&format!("postgresql://postgres:hunter2@127.0.0.1:{}/", server.port)).error().await;
    assert_eq!(wrong.kind, ErrorKind::Denied, "{wrong}");
    assert!(!wrong.message.contains("hunter2"), "{wrong}");
    let nowhere = query(&server.connection("dbname=nowhere")).error().await;
    assert_eq!(nowhere.kind, ErrorKind::Configuration, "{nowhere}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs etcd-server; make test runs it"]
async fn etcd_reads_a_key_and_survives_a_restart() {
    let Some(mut server) = Etcd::start() else { return };
    server.put("/len", "7.5").await;
    server.put("/text", "many").await;
    let sources = sources();
    let key = |endpoints: &str, key: &str, authentication: &[(&str, &str)]| {
        let metadata = [("endpoints", endpoints), ("watchKey", key), ("value", "5"), ("activationValue", "7")];
        Source::new(&sources, "etcd", &metadata, authentication)
    };
    let address = server.address();
    let sample = key(&address, "/len", &[]).sample().await.unwrap();
    assert_eq!((sample.value, sample.active), (7.5, true));
    assert_eq!(key(&format!("http://{address}"), "/len", &[]).value().await, 7.5);
    assert_eq!(key(&format!("127.0.0.1:1,{address}"), "/len", &[]).value().await, 7.5);
    let missing = key(&address, "/missing", &[]).error().await;
    assert_eq!(missing.kind, ErrorKind::Configuration);
    assert_eq!(missing.message, "error getting metric value: watchKey /missing doesn't exist");
    assert_eq!(key(&address, "/text", &[]).error().await.kind, ErrorKind::Malformed);
    let login = [("username", "root"), ("password", "hunter22")];
    assert_eq!(key(&address, "/len", &login).value().await, 7.5, "a login that nobody wants does no harm");
    let secure = format!("localhost:{}", server.tls_port);
    let tls = [("tls", "enable"), ("ca", server.certificates.ca.as_str())];
    assert_eq!(key(&secure, "/len", &tls).value().await, 7.5);
    let untrusted = key(&secure, "/len", &tls[..1]).error().await;
    assert_eq!(untrusted.kind, ErrorKind::Unreachable, "{untrusted}");
    let before = key(&address, "/len", &[]);
    server.stop();
    assert_eq!(before.error().await.kind, ErrorKind::Unreachable);
    server.start_again();
    assert!(poll_until(10, || async { before.sample().await.is_ok() }).await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs etcd-server; make test runs it"]
async fn etcd_logs_in_with_one_token_for_all() {
    let Some(mut server) = Etcd::start() else { return };
    server.put("/len", "7").await;
    server.enable_authentication("hunter22").await;
    let sources = sources();
    let metadata = [("endpoints", server.address()), ("watchKey", "/len".to_string()), ("value", "5".to_string())];
    let metadata: Vec<(&str, &str)> = metadata.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let key = |authentication: &[(&str, &str)]| Source::new(&sources, "etcd", &metadata, authentication);
    let root = [("username", "root"), ("password", "hunter22")];
    let many: Vec<Source> = (0..20).map(|_| key(&root)).collect();
    for source in &many {
        assert_eq!(source.value().await, 7.0);
    }
    let wrong = key(&[("username", "root"), ("password", "hunter23")]).error().await;
    assert_eq!(wrong.kind, ErrorKind::Denied, "{wrong}");
    assert!(!wrong.message.contains("hunter23"), "{wrong}");
    assert_eq!(key(&[]).error().await.kind, ErrorKind::Denied);
    let without_right = key(&[("username", "bob"), ("password", "hunter22")]).error().await;
    assert_eq!(without_right.kind, ErrorKind::Denied, "{without_right}");
    // The server forgets its tokens.
    server.start_again();
    assert!(poll_until(10, || async { many[0].sample().await.is_ok() }).await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs etcd-server; make test runs it"]
async fn etcd_tells_of_changes_across_a_restart_and_stays_silent_otherwise() {
    let Some(mut server) = Etcd::start() else { return };
    let sources = sources();
    let metadata = [("endpoints", server.address()), ("watchKey", "/len".to_string()), ("value", "5".to_string())];
    let interval = ("watchProgressNotifyInterval", "1");
    let metadata: Vec<(&str, &str)> =
        metadata.iter().map(|(name, value)| (*name, value.as_str())).chain([interval]).collect();
    let mut pushes = Source::new(&sources, "etcd", &metadata, &[]).pushes();
    // It connects when it is polled; progress keeps it alive.
    assert!(timeout(Duration::from_secs(4), pushes.next()).await.is_err(), "nothing has happened");
    server.put("/len", "3").await;
    assert_eq!(pushes.next().await, Some(Push::Active(true)));
    server.put("/len", "many").await;
    server.put("/other", "3").await;
    server.delete("/len").await;
    assert_eq!(pushes.next().await, Some(Push::Active(false)));
    server.start_again();
    let mut heard = None;
    for _ in 0..20 {
        server.put("/len", "4").await;
        if let Ok(push) = timeout(Duration::from_secs(1), pushes.next()).await {
            heard = push;
            break;
        }
    }
    assert_eq!(heard, Some(Push::Active(true)), "the watch is opened again");
}
