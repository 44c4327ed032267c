//! A server that answers as recorded, and complains about what it is asked otherwise.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::case::Exchange;
use crate::servers::Certificates;

/// What is said to a request.
#[derive(Clone, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// Nothing is said at all.
    pub silent: bool,
    /// How long it takes.
    pub late: Duration,
}

impl Answer {
    pub fn new(status: u16, body: &str) -> Self {
        Answer { status, body: body.to_string(), ..Answer::default() }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let headers = self.headers.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().expect("the name of a header");
            (name, HeaderValue::from_str(value).expect("the value of a header"))
        });
        let status = StatusCode::from_u16(self.status).expect("a status");
        (status, headers.collect::<HeaderMap>(), self.body).into_response()
    }
}

struct Script {
    exchanges: Vec<Exchange>,
    asked: usize,
    complaints: Vec<String>,
}

/// The server of one case.
pub struct Server {
    pub address: SocketAddr,
    host: Option<&'static str>,
    script: Arc<Mutex<Script>>,
    folder: TempDir,
}

impl Server {
    /// Starts it: by TLS as `host`, or else without.
    pub async fn start(host: Option<&'static str>, mut exchanges: Vec<Exchange>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        for exchange in &mut exchanges {
            exchange.answer.body = exchange.answer.body.replace("{port}", &address.port().to_string());
        }
        let script = Arc::new(Mutex::new(Script { exchanges, asked: 0, complaints: Vec::new() }));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&script));
        let folder = TempDir::new().expect("a folder");
        match host {
            None => drop(tokio::spawn(async move { axum::serve(listener, router).await })),
            Some(host) => {
                let listener = TlsListener { listener, acceptor: acceptor(&folder, host) };
                drop(tokio::spawn(async move { axum::serve(listener, router).await }));
            }
        }
        Server { address, host, script, folder }
    }

    /// Its address, without a path.
    pub fn url(&self) -> String {
        match self.host {
            None => format!("http://{}", self.address),
            Some(host) => format!("https://{host}"),
        }
    }

    /// Its name, with the port where that is not the usual one.
    pub fn host_and_port(&self) -> String {
        self.host.map_or_else(|| self.address.to_string(), str::to_string)
    }

    /// Where the root of its certificate is.
    pub fn certificates_folder(&self) -> Vec<PathBuf> {
        self.host.iter().map(|_| self.folder.path().to_path_buf()).collect()
    }

    /// The path of a file with a token.
    pub fn token_file(&self) -> String {
        let path = self.folder.path().join("token");
        std::fs::write(&path, "token-in-file\n").expect("a file");
        path.display().to_string()
    }

    /// What was asked otherwise than recorded, or not at all.
    pub fn complaints(&self) -> Vec<String> {
        let script = self.script.lock().expect("the script");
        let mut complaints = script.complaints.clone();
        complaints.extend(
            script.exchanges.iter().skip(script.asked).map(|exchange| format!("was not asked {}", exchange.request)),
        );
        complaints
    }
}

async fn answer(
    State(script): State<Arc<Mutex<Script>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let body = String::from_utf8_lossy(&body).into_owned();
    let asked = format!("{method} {uri}");
    let answer = {
        let mut script = script.lock().expect("the script");
        let Some(exchange) = script.exchanges.get(script.asked).cloned() else {
            script.complaints.push(format!("was asked once too often: {asked}"));
            return Answer::new(404, "");
        };
        script.asked += 1;
        script.complaints.extend(exchange.differences(&asked, &headers, &body));
        exchange.answer
    };
    if answer.silent {
        std::future::pending::<()>().await;
    }
    if !answer.late.is_zero() {
        tokio::time::sleep(answer.late).await;
    }
    answer
}

impl Exchange {
    fn differences(&self, asked: &str, headers: &HeaderMap, body: &str) -> Vec<String> {
        let mut differences = Vec::new();
        if !matches(&self.request, asked) {
            differences.push(format!("expected {}\n      asked {asked}", self.request));
        }
        for (name, expected) in &self.headers {
            let sent = headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            let sent = sent.unwrap_or_default();
            if !matches(expected, &sent) {
                differences.push(format!("{asked}: expected {name}: {expected:?}, sent {sent:?}"));
            }
        }
        if let Some(expected) = &self.body
            && !is_same(expected, body)
        {
            differences.push(format!("{asked}: expected the body {expected}\n      sent {body}"));
        }
        differences
    }
}

/// Whether two bodies say the same: `{any}` stands for any text, and JSON is compared by its values.
fn is_same(expected: &str, body: &str) -> bool {
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    match (json(expected), json(body)) {
        (Some(expected), Some(body)) if expected == body => true,
        (Some(expected), Some(body)) => matches(&expected.to_string(), &body.to_string()),
        _ => matches(expected, body),
    }
}

/// Whether `text` is as `pattern` says, in which `{any}` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split("{any}");
    let Some(mut rest) = text.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let pieces: Vec<&str> = pieces.collect();
    let Some((last, middle)) = pieces.split_last() else { return rest.is_empty() };
    for piece in middle {
        let Some((_, after)) = rest.split_once(piece) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

pub fn acceptor(folder: &TempDir, host: &str) -> TlsAcceptor {
    let certificates = Certificates::for_names(folder.path(), &[host]);
    let chain = CertificateDer::pem_file_iter(&certificates.cert_file).expect("a certificate");
    let chain: Vec<_> = chain.map(|certificate| certificate.expect("a certificate")).collect();
    let key = PrivateKeyDer::from_pem_file(&certificates.key_file).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a pair");
    TlsAcceptor::from(Arc::new(config))
}

struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.listener.accept().await else { continue };
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
