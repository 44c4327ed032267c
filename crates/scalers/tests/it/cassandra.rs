//! `cassandra`, against what a server says to a few queries; one of its own would be slow to start.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use keda_core::sample::ErrorKind;
use keda_scalers::client::Sources;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::servers::free_port;
use crate::stand_ins::listen;
use crate::{Source, sources};

/// Kinds of frames.
const ERROR: u8 = 0;
const STARTUP: u8 = 1;
const AUTHENTICATE: u8 = 3;
const QUERY: u8 = 7;
const RESULT: u8 = 8;
const AUTH_RESPONSE: u8 = 15;
const AUTH_SUCCESS: u8 = 16;

struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(port: u16) -> Self {
        let listener = listen(port).await;
        let connections = Arc::new(AtomicUsize::new(0));
        let made = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                made.fetch_add(1, Ordering::SeqCst);
                open.spawn(serve(stream));
            }
        });
        Server { port, connections, task }
    }

    async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

async fn serve(mut stream: TcpStream) -> Option<()> {
    let mut logged_in = false;
    loop {
        let mut header = [0; 9];
        stream.read_exact(&mut header).await.ok()?;
        let [version, _, _, _, kind, length @ ..] = header;
        assert_eq!(version, 4);
        let mut body = vec![0; usize::try_from(u32::from_be_bytes(length)).ok()?];
        stream.read_exact(&mut body).await.ok()?;
        let (kind, flags, answer) = match kind {
            STARTUP => {
                assert_eq!(body, [&[0, 1][..], &string("CQL_VERSION"), &string("3.0.0")].concat());
                (AUTHENTICATE, 0, string("org.apache.cassandra.auth.PasswordAuthenticator"))
            }
            AUTH_RESPONSE if body.ends_with(b"\0autoscaler\0hunter22") => {
                logged_in = true;
                (AUTH_SUCCESS, 0, vec![0xff; 4])
            }
            AUTH_RESPONSE => (ERROR, 0, error(0x0100, "Provided username autoscaler and/or password are incorrect")),
            QUERY if logged_in => reply(&body),
            _ => return None,
        };
        let length = u32::try_from(answer.len()).ok()?.to_be_bytes();
        let header = [&[0x84, flags, 0, 0, kind][..], &length].concat();
        stream.write_all(&[header, answer].concat()).await.ok()?;
    }
}

fn reply(body: &[u8]) -> (u8, u8, Vec<u8>) {
    let length = usize::try_from(u32::from_be_bytes(body[..4].try_into().unwrap())).unwrap();
    let (text, parameters) = body[4..].split_at(length);
    // In a quorum of its own data centre, by pages.
    assert_eq!(parameters[..2], [0, 6]);
    let warning = [&[0, 1][..], &string("Aggregation query used without partition key")].concat();
    match std::str::from_utf8(text).unwrap() {
        "SELECT COUNT(*) FROM ks.t" => (RESULT, 8, [warning, rows(2, &[Some(&5_i64.to_be_bytes())], None)].concat()),
        "SELECT small FROM ks.t" => (RESULT, 0, rows(0x13, &[Some(&[0xff, 0xfe]), Some(&[0, 1])], None)),
        "SELECT null" => (RESULT, 0, rows(2, &[None], None)),
        "SELECT nothing" => (RESULT, 0, rows(2, &[], None)),
        "SELECT filtered" if parameters[2] == 0x0c => (RESULT, 0, rows(9, &[Some(&[0, 0, 0, 9])], None)),
        "SELECT filtered" => (RESULT, 0, rows(9, &[], Some(b"place"))),
        "SELECT text" => (RESULT, 0, rows(0x0d, &[Some(b"5")], None)),
        "SELECT secret" => (ERROR, 0, error(0x2100, "User autoscaler has no SELECT permission")),
        "SELECT late" => (ERROR, 0, error(0x1200, "Operation timed out")),
        _ => (ERROR, 0, error(0x2200, "unconfigured table nowhere")),
    }
}

fn string(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

fn error(code: i32, message: &str) -> Vec<u8> {
    [&code.to_be_bytes()[..], &string(message)].concat()
}

/// Rows of one column, and the place of the next page.
fn rows(kind: u16, values: &[Option<&[u8]>], next: Option<&[u8]>) -> Vec<u8> {
    let bytes = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let flags = if next.is_some() { 3 } else { 1 };
    let mut body = [2_i32, flags, 1].map(i32::to_be_bytes).concat();
    body.extend(next.map(bytes).unwrap_or_default());
    for name in ["ks", "t", "column"] {
        body.extend(string(name));
    }
    body.extend(kind.to_be_bytes());
    body.extend(i32::try_from(values.len()).unwrap().to_be_bytes());
    for value in values {
        body.extend(value.map_or(vec![0xff; 4], bytes));
    }
    body
}

fn trigger(sources: &Sources, port: u16, query: &str, password: &str) -> Source {
    let address = format!("127.0.0.1:{port}");
    let metadata = [
        ("clusterIPAddress", address.as_str()),
        ("username", "autoscaler"),
        ("keyspace", "ks"),
        ("consistency", "local_quorum"),
        ("query", query),
        ("targetQueryValue", "5"),
        ("activationTargetQueryValue", "4"),
    ];
    Source::new(sources, "cassandra", &metadata, &[("password", password)])
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whole_number_is_read() {
    let server = Server::start(free_port()).await;
    let sources = sources();
    let query = |text: &str| trigger(&sources, server.port, text, "hunter22");
    let numbers = [
        ("SELECT COUNT(*) FROM ks.t", 5.0),
        ("SELECT small FROM ks.t", -2.0),
        ("SELECT null", 0.0),
        ("SELECT nothing", 0.0),
        ("SELECT filtered", 9.0),
    ];
    for (text, number) in numbers {
        let sample = query(text).sample().await.unwrap();
        assert_eq!((sample.value, sample.active), (number, number > 4.0), "{text}");
    }
    let failures = [
        ("SELECT text", ErrorKind::Malformed, "not a whole number"),
        ("SELECT secret", ErrorKind::Denied, "no SELECT permission"),
        ("SELECT late", ErrorKind::Unreachable, "timed out"),
        ("SELECT * FROM nowhere", ErrorKind::Configuration, "unconfigured table nowhere"),
    ];
    for (text, kind, message) in failures {
        let error = query(text).error().await;
        assert_eq!(error.kind, kind, "{text}: {error}");
        assert!(
            error.message.starts_with("error inspecting cassandra: ") && error.message.contains(message),
            "{error}"
        );
    }
    let wrong = trigger(&sources, server.port, "SELECT nothing", "hunter23").error().await;
    assert_eq!(wrong.kind, ErrorKind::Denied, "{wrong}");
    assert!(!wrong.message.contains("hunter23"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_triggers_hold_a_few_connections_and_survive_a_restart() {
    let server = Server::start(free_port()).await;
    let (port, sources) = (server.port, sources());
    let many: Vec<Source> = (0..50).map(|_| trigger(&sources, port, "SELECT COUNT(*) FROM ks.t", "hunter22")).collect();
    let values = futures::future::join_all(many.iter().map(Source::value)).await;
    assert!(values.iter().all(|value| *value == 5.0));
    assert!(server.connections.load(Ordering::SeqCst) <= 4);
    server.stop().await;
    let server = Server::start(port).await;
    assert_eq!(many[0].value().await, 5.0, "a connection that broke unnoticed is made anew");
    server.stop().await;
    assert_eq!(many[0].error().await.kind, ErrorKind::Unreachable);
    let _server = Server::start(port).await;
    assert_eq!(many[0].value().await, 5.0);
}
