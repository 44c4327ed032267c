//! etcd, with TLS at a second port.

use std::process::Command;
use std::sync::Arc;

use keda_scalers::client::tls::TlsOptions;
use keda_scalers::client::{SourceSettings, Sources};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Certificates, Process, find, free_port, installed, is_open};

pub struct Etcd {
    pub port: u16,
    pub tls_port: u16,
    pub certificates: Certificates,
    peer_port: u16,
    process: Option<Process>,
    folder: TempDir,
    http: Arc<reqwest::Client>,
}

impl Etcd {
    /// Starts it; nothing where it is not installed.
    pub fn start() -> Option<Self> {
        if !installed("etcd", "etcd-server") {
            return None;
        }
        let folder = TempDir::new().expect("a folder");
        let certificates = Certificates::make(folder.path());
        let (port, tls_port, peer_port) = (free_port(), free_port(), free_port());
        let sources = Sources::new(SourceSettings::default());
        let http = sources.http.client(&sources.tls, &TlsOptions::default()).expect("a client");
        let mut etcd = Etcd { port, tls_port, certificates, peer_port, process: None, folder, http };
        etcd.start_again();
        Some(etcd)
    }

    /// Stops it, if it runs.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it on the same ports, with what it held.
    pub fn start_again(&mut self) {
        self.process = None;
        let folder = self.folder.path();
        let mut command = Command::new(find("etcd").expect("etcd"));
        let (clients, peers) =
            (format!("http://127.0.0.1:{}", self.port), format!("http://127.0.0.1:{}", self.peer_port));
        let listen = format!("{clients},https://127.0.0.1:{}", self.tls_port);
        command.arg("--data-dir").arg(folder.join("data"));
        command.args(["--listen-client-urls", &listen, "--advertise-client-urls", &clients]);
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        command.args(["--initial-cluster", &format!("default={peers}")]);
        command.args(["--experimental-watch-progress-notify-interval", "1s", "--unsafe-no-fsync"]);
        command.arg("--cert-file").arg(&self.certificates.cert_file);
        command.arg("--key-file").arg(&self.certificates.key_file);
        let port = self.port;
        self.process = Some(Process::start(command, folder, Signal::TERM, 30, || is_open(port)));
    }

    pub fn address(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// Writes a key; without authentication.
    pub async fn put(&self, key: &str, value: &str) {
        self.ask("kv/put", json!({"key": encoded(key), "value": encoded(value)})).await;
    }

    /// Deletes a key; without authentication.
    pub async fn delete(&self, key: &str) {
        self.ask("kv/deleterange", json!({"key": encoded(key)})).await;
    }

    /// Makes everybody log in; `root` has all rights, `bob` none.
    pub async fn enable_authentication(&self, password: &str) {
        for user in ["root", "bob"] {
            self.ask("auth/user/add", json!({"name": user, "password": password})).await;
        }
        self.ask("auth/role/add", json!({"name": "root"})).await;
        self.ask("auth/user/grant", json!({"user": "root", "role": "root"})).await;
        self.ask("auth/enable", json!({})).await;
    }

    async fn ask(&self, what: &str, question: Value) {
        let request = self.http.post(format!("http://127.0.0.1:{}/v3/{what}", self.port)).json(&question);
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{what}: {:?}", answer.text().await);
    }
}

fn encoded(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
