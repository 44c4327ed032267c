//! `mongodb`, against what a server says to a few commands; there is none to install.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use keda_core::sample::ErrorKind;
use mongodb::bson::{Document, doc};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use crate::servers::{Certificates, free_port};
use crate::stand_ins::listen;
use crate::{Source, sources};

/// Kinds of messages.
const REPLY: i32 = 1;
const QUERY: i32 = 2004;
const MESSAGE: i32 = 2013;

struct Server {
    port: u16,
    counts: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(port: u16, tls: Option<TlsAcceptor>) -> Self {
        let listener = listen(port).await;
        let counts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&counts);
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, counted) = (tls.clone(), Arc::clone(&counted));
                open.spawn(async move {
                    match tls {
                        None => serve(stream, &counted).await,
                        Some(tls) => serve(tls.accept(stream).await.ok()?, &counted).await,
                    }
                });
            }
        });
        Server { port, counts, task }
    }

    async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, counts: &AtomicUsize) -> Option<()> {
    loop {
        let (length, id) = (stream.read_i32_le().await.ok()?, stream.read_i32_le().await.ok()?);
        let (_, kind) = (stream.read_i32_le().await.ok()?, stream.read_i32_le().await.ok()?);
        let mut body = vec![0; usize::try_from(length).ok()? - 16];
        stream.read_exact(&mut body).await.ok()?;
        // Before the command stand flags, and the kind of the section or the name of the collection and two numbers.
        let start = if kind == QUERY { 4 + body[4..].iter().position(|byte| *byte == 0)? + 9 } else { 5 };
        let command = Document::from_reader(&body[start..]).ok()?;
        let mut answer = Vec::new();
        reply(&command, counts).to_writer(&mut answer).ok()?;
        let (kind, head) = match kind {
            QUERY => (REPLY, [&[0; 16][..], &1_i32.to_le_bytes()].concat()),
            _ => (MESSAGE, vec![0; 5]),
        };
        let length = i32::try_from(16 + head.len() + answer.len()).ok()?;
        let header = [length, 1, id, kind].map(i32::to_le_bytes).concat();
        stream.write_all(&[header, head, answer].concat()).await.ok()?;
    }
}

fn reply(command: &Document, counts: &AtomicUsize) -> Document {
    let refused =
        |code: i32, name: &str, message: &str| doc! {"ok": 0.0, "errmsg": message, "code": code, "codeName": name};
    match command.keys().next().map_or("", String::as_str) {
        "hello" | "isMaster" | "ismaster" => doc! {
            "helloOk": true, "isWritablePrimary": true, "ismaster": true, "maxBsonObjectSize": 16_777_216,
            "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000, "minWireVersion": 0,
            "maxWireVersion": 21, "readOnly": false, "ok": 1.0,
        },
        "saslStart" => refused(18, "AuthenticationFailed", "Authentication failed."),
        "aggregate" => {
            counts.fetch_add(1, Ordering::SeqCst);
            let filter = command.get_array("pipeline").unwrap()[0].as_document().unwrap().get_document("$match");
            let batch = match filter.unwrap().get_str("state") {
                Ok("requested") => vec![doc! {"_id": 1, "n": 3}],
                Ok("nothing") => Vec::new(),
                Ok("secret") => return refused(13, "Unauthorized", "not authorized on shop to execute command"),
                _ => return refused(2, "BadValue", "unknown operator: $such"),
            };
            let namespace = format!("{}.{}", command.get_str("$db").unwrap(), command.get_str("aggregate").unwrap());
            assert_eq!(namespace, "shop.thumbnails");
            doc! {"cursor": {"firstBatch": batch, "id": 0_i64, "ns": namespace}, "ok": 1.0}
        }
        _ => doc! {"ok": 1.0},
    }
}

fn trigger(sources: &keda_scalers::client::Sources, query: &str, authentication: &[(&str, &str)]) -> Source {
    let metadata = [
        ("dbName", "shop"),
        ("collection", "thumbnails"),
        ("query", query),
        ("queryValue", "5"),
        ("activationQueryValue", "2"),
    ];
    Source::new(sources, "mongodb", &metadata, authentication)
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_counted_by_one_client_that_survives_a_restart() {
    let server = Server::start(free_port(), None).await;
    let (port, sources) = (server.port, sources());
    let uri = format!("mongodb://127.0.0.1:{port}");
    let count = |query: &str| trigger(&sources, query, &[("connectionString", &uri)]);
    let requested = count(r#"{"state":"requested"}"#);
    let sample = requested.sample().await.unwrap();
    assert_eq!((sample.value, sample.active), (3.0, true));
    assert_eq!(count(r#"{"state":"nothing"}"#).value().await, 0.0);
    let failures = [
        (r#"{"state":"secret"}"#, ErrorKind::Denied, "failed to execute query: not authorized"),
        (r#"{"state":{"$such":1}}"#, ErrorKind::Configuration, "unknown operator: $such"),
        ("{}", ErrorKind::Configuration, "failed to parse query: empty bson document"),
    ];
    for (query, kind, message) in failures {
        let error = count(query).error().await;
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.starts_with("failed to inspect mongodb: ") && error.message.contains(message), "{error}");
    }
    let login = format!("mongodb://keda:hunter22@127.0.0.1:{port}/shop");
    let denied = trigger(&sources, r#"{"a":1}"#, &[("connectionString", &login)]).error().await;
    assert_eq!(denied.kind, ErrorKind::Denied, "{denied}");
    assert!(!denied.message.contains("hunter22"), "{denied}");
    assert_eq!(server.counts.load(Ordering::SeqCst), 4);
    server.stop().await;
    assert_eq!(requested.error().await.kind, ErrorKind::Unreachable);
    let _server = Server::start(port, None).await;
    assert!(crate::servers::poll_until(15, || async { requested.sample().await.is_ok() }).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_those_of_the_authentication() {
    let folder = TempDir::new().unwrap();
    let certificates = Certificates::make(folder.path());
    let chain = CertificateDer::pem_file_iter(&certificates.cert_file).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&certificates.key_file).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let server = Server::start(free_port(), Some(TlsAcceptor::from(Arc::new(config)))).await;
    let sources = sources();
    let uri = format!("mongodb://localhost:{}", server.port);
    let count = |more: &[(&str, &str)]| {
        let authentication: Vec<_> =
            [("connectionString", uri.as_str())].into_iter().chain(more.iter().copied()).collect();
        trigger(&sources, r#"{"state":"requested"}"#, &authentication)
    };
    assert_eq!(count(&[("tls", "enable"), ("ca", &certificates.ca)]).value().await, 3.0);
    let secure = format!("{uri}/?tls=true");
    let untrusted = trigger(&sources, r#"{"a":1}"#, &[("connectionString", &secure)]).error().await;
    assert_eq!(untrusted.kind, ErrorKind::Unreachable, "{untrusted}");
    assert_eq!(count(&[]).error().await.kind, ErrorKind::Unreachable);
}
