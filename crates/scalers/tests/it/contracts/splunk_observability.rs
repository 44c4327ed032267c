//! Splunk Observability Cloud: a WebSocket.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keda_core::sample::{ErrorKind, Sample, SourceError};
use keda_scalers::client::{SourceSettings, Sources};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::server::acceptor;
use crate::Source;

const HOST: &str = "stream.us1.signalfx.com";

/// What the service says.
#[derive(Clone)]
enum Say {
    Text(&'static str),
    /// A message with these values.
    Values(&'static [f64]),
    /// Nothing until it is told something.
    Wait,
}

const AUTHENTICATED: Say = Say::Text(r#"{"type":"authenticated","orgId":"o"}"#);
const START: Say = Say::Text(r#"{"type":"control-message","channel":"ch-1","event":"JOB_START","handle":"h1"}"#);
const KEEP_ALIVE: Say = Say::Text(r#"{"event":"KEEP_ALIVE"}"#);
const END: Say = Say::Text(r#"{"type":"control-message","channel":"ch-1","event":"END_OF_CHANNEL"}"#);

/// The service: it says one part of its script after each message that it is sent.
async fn serve(listener: TcpListener, acceptor: TlsAcceptor, script: Vec<Vec<Say>>, heard: Arc<Mutex<Vec<Value>>>) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = acceptor.accept(stream).await.unwrap();
    shake_hands(&mut stream).await;
    for part in script {
        let message = hear(&mut stream).await;
        heard.lock().unwrap().push(message);
        for say in part {
            let (kind, payload) = match say {
                Say::Text(text) => (1, text.as_bytes().to_vec()),
                Say::Values(values) => (2, message_of(values)),
                Say::Wait => break,
            };
            let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
            // In two frames, with a question between them.
            stream.write_all(&[kind, 0, 0x89, 1, b'?', 0x80, 126, length[0], length[1]]).await.unwrap();
            stream.write_all(&payload).await.unwrap();
        }
    }
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
}

async fn shake_hands(stream: &mut TlsStream<TcpStream>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("GET /v2/signalflow/connect HTTP/1.1\r\n"), "{head}");
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap_or_default();
    assert_eq!((header("upgrade"), header("sec-websocket-version")), ("websocket", "13"));
    let proof = format!("{}258EAFA5-E914-47DA-95CA-C5AB0DC85B11", header("sec-websocket-key"));
    let proof = STANDARD.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, proof.as_bytes()));
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {proof}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
}

/// The next text of the client, which answers questions too.
async fn hear(stream: &mut TlsStream<TcpStream>) -> Value {
    loop {
        let kind = stream.read_u8().await.unwrap() & 0x0f;
        let length = match stream.read_u8().await.unwrap() & 0x7f {
            126 => usize::from(stream.read_u16().await.unwrap()),
            length => usize::from(length),
        };
        let mut mask = [0; 4];
        stream.read_exact(&mut mask).await.unwrap();
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.unwrap();
        let payload: Vec<u8> = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        match kind {
            1 => return serde_json::from_slice(&payload).unwrap(),
            _ => assert_eq!((kind, payload.as_slice()), (10, &b"?"[..])),
        }
    }
}

fn message_of(values: &[f64]) -> Vec<u8> {
    let values: Vec<Vec<u8>> = values.iter().map(|value| [&[2][..], &[9; 8], &value.to_be_bytes()].concat()).collect();
    let count = u32::try_from(values.len()).unwrap().to_be_bytes();
    [&[1, 5, 0, 0][..], b"ch-1\0\0\0\0\0\0\0\0\0\0\0\0", &[0; 8], &count, &values.concat()].concat()
}

/// A reading, and what the service was told.
async fn read(aggregator: &str, duration: &str, script: Vec<Vec<Say>>) -> (Result<Sample, SourceError>, Vec<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (folder, heard) = (TempDir::new().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let server = tokio::spawn(serve(listener, acceptor(&folder, HOST), script, Arc::clone(&heard)));
    let sources = Sources::new(SourceSettings {
        hosts: vec![(HOST.to_string(), address)],
        ca_dirs: vec![folder.path().to_path_buf()],
        ..SourceSettings::default()
    });
    let metadata = [
        ("query", "data('latency').publish()"),
        ("duration", duration),
        ("targetValue", "200.5"),
        ("activationTargetValue", "2"),
        ("queryAggregator", aggregator),
    ];
    let login = [("accessToken", "hunter2"), ("realm", "us1")];
    let sample = Source::new(&sources, "splunk-observability", &metadata, &login).sample().await;
    server.abort();
    let heard = heard.lock().unwrap().clone();
    (sample, heard)
}

#[tokio::test]
async fn data_points_are_collected_until_the_program_ends() {
    let script =
        || vec![vec![AUTHENTICATED], vec![START, Say::Values(&[1.0, 6.0]), KEEP_ALIVE, Say::Values(&[2.0]), END]];
    let (sample, heard) = read("avg", "10", script()).await;
    assert_eq!(sample, Ok(Sample { value: 3.0, active: true }));
    let login = json!({ "type": "authenticate", "token": "hunter2" });
    let program = json!({
        "type": "execute", "program": "data('latency').publish()", "channel": "ch-1", "start": 0, "stop": 0,
        "resolution": 0, "maxDelay": 0, "immediate": false, "timezone": "",
    });
    assert_eq!(heard, [login, program]);
    assert_eq!(read("max", "10", script()).await.0, Ok(Sample { value: 6.0, active: true }));
    assert_eq!(read("min", "10", script()).await.0, Ok(Sample { value: 1.0, active: false }));
    let error = read("sum", "10", script()).await.0.unwrap_err();
    assert!(error.kind == ErrorKind::Configuration && error.message.contains("invalid queryAggregator"), "{error}");
}

#[tokio::test]
async fn a_program_is_stopped_when_its_time_is_over() {
    let script = vec![vec![AUTHENTICATED], vec![START, Say::Values(&[1.0]), Say::Wait], vec![Say::Values(&[5.0]), END]];
    let (sample, heard) = read("avg", "1", script).await;
    assert_eq!(sample, Ok(Sample { value: 3.0, active: true }));
    assert_eq!((&heard[2]["type"], &heard[2]["handle"]), (&json!("stop"), &json!("h1")));
    let error = read("avg", "26", Vec::new()).await.0.unwrap_err();
    assert!(error.message.contains("duration must not be more than 25 seconds"), "{error}");
}

#[tokio::test]
async fn without_data_points_there_is_no_value() {
    let refused = Say::Text(r#"{"type":"error","error":401,"message":"bad token"}"#);
    let wrong = Say::Text(
        r#"{"type":"error","error":400,"errorType":"ANALYTICS_PROGRAM_NAME_ERROR","message":"no such name"}"#,
    );
    for (script, kind, message) in [
        (vec![vec![AUTHENTICATED], vec![START, END]], ErrorKind::Malformed, "query returned no data points"),
        (vec![vec![refused]], ErrorKind::Denied, "bad token"),
        (vec![vec![AUTHENTICATED], vec![wrong]], ErrorKind::Configuration, "no such name"),
        (vec![vec![AUTHENTICATED], vec![Say::Text("<html>")]], ErrorKind::Malformed, "not JSON"),
    ] {
        let error = read("avg", "10", script).await.0.unwrap_err();
        assert!(error.kind == kind && error.message.contains(message), "{error}");
        assert!(error.message.starts_with("error getting metrics from Splunk Observability Cloud"), "{error}");
    }
}
