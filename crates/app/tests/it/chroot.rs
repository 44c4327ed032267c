//! The static binary in a root folder with nothing but itself and CA certificates: names, TLS, a metric.
//!
//! `KEDA_TEST_STATIC` names the binary, which `make build` builds. Only root may change the root folder.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A name that only the test's own DNS server knows.
const OUTSIDE: &str = "source.keda.test";
const AUTHORITIES: &str = "etc/ssl/certs/ca-certificates.crt";

/// The binary, where this test can run.
#[allow(clippy::disallowed_methods, reason = "the test's own setting")]
fn binary() -> Option<PathBuf> {
    let Some(binary) = std::env::var_os("KEDA_TEST_STATIC") else {
        println!("SKIPPED: KEDA_TEST_STATIC names no static binary (`make build` builds one)");
        return None;
    };
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: only root may change the root folder");
        return None;
    }
    Some(binary.into())
}

/// A source of metrics over HTTPS, and the hosts that it was asked as.
struct Source {
    port: u16,
    authority: String,
    asked_as: Arc<Mutex<Vec<String>>>,
}

impl Source {
    async fn start() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_string(), OUTSIDE.to_string()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked_as = Arc::new(Mutex::new(Vec::new()));
        let source = Source { port, authority: issuer.as_ref().pem(), asked_as: Arc::clone(&asked_as) };
        tokio::spawn(async move {
            let acceptor = TlsAcceptor::from(Arc::new(config));
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, asked_as) = (acceptor.clone(), Arc::clone(&asked_as));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut request = vec![0; 4096];
                    let length = stream.read(&mut request).await.unwrap_or(0);
                    let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
                    let host = request.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
                    let name = host.split(':').next().unwrap_or_default().to_string();
                    asked_as.lock().unwrap().push(name);
                    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\nconnection: close\r\n\r\n{\"value\":0}";
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        source
    }

    fn was_asked_as(&self, host: &str) -> bool {
        self.asked_as.lock().unwrap().iter().any(|known| known == host)
    }
}

/// Answers questions for the one name; `None` where the port is somebody else's.
fn start_dns() -> Option<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).ok()?;
    std::thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            let _ = socket.send_to(&dns_answer(&question[..length]), from);
        }
    });
    Some(())
}

/// 127.0.0.1 for an A record of the name, no records for others of it, and "no such name" for the rest.
fn dns_answer(question: &[u8]) -> Vec<u8> {
    let mut name = String::new();
    let mut at = 12;
    while let Some(length) = question.get(at).copied().filter(|length| *length > 0) {
        let label = question.get(at + 1..at + 1 + usize::from(length)).unwrap_or_default();
        name = format!("{name}{}{}", if name.is_empty() { "" } else { "." }, String::from_utf8_lossy(label));
        at += 1 + usize::from(length);
    }
    let is_known = name.eq_ignore_ascii_case(OUTSIDE);
    let is_address = is_known && question.get(at + 1..at + 3) == Some(&[0, 1]);
    let mut answer = question.get(..2).unwrap_or_default().to_vec();
    answer.extend([0x81, if is_known { 0x80 } else { 0x83 }, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
    answer.extend(question.get(12..at + 5).unwrap_or_default());
    if is_address {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    answer
}

fn manifest(name: &str, host: &str, port: u16) -> String {
    format!(
        "---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: main, command: [/keda, --version]}}]}}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{name: {name}}}
spec:
  scaleTargetRef: {{name: {name}}}
  pollingInterval: 1
  triggers:
  - type: metrics-api
    metadata: {{url: 'https://{host}:{port}/', valueLocation: value, targetValue: '5'}}
"
    )
}

/// The root folder: the binary, CAs, and what a container runtime puts into every container.
fn root_folder(binary: &Path, authority: &str) -> TempDir {
    let root = TempDir::new().unwrap();
    let path = |name: &str| root.path().join(name);
    std::fs::create_dir_all(path("etc/ssl/certs")).unwrap();
    std::fs::copy(binary, path("keda")).unwrap();
    let authorities = std::fs::read_to_string(Path::new("/").join(AUTHORITIES)).unwrap_or_default();
    std::fs::write(path(AUTHORITIES), format!("{authorities}\n{authority}")).unwrap();
    std::fs::write(path("etc/hosts"), "127.0.0.1 localhost\n").unwrap();
    std::fs::write(path("etc/resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
    root
}

fn keda(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("chroot");
    command.arg(root).arg("/keda").args(arguments).stdin(Stdio::null());
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// Ends the process when the test does.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the static binary"]
async fn the_static_binary_needs_only_itself_and_cas() {
    let Some(binary) = binary() else { return };
    let source = Source::start().await;
    let root = root_folder(&binary, &source.authority);
    let mut hosts = vec!["localhost"];
    match start_dns() {
        Some(()) => hosts.push(OUTSIDE),
        None => println!("SKIPPED in part: port 53 of 127.0.0.1 is taken, so no name is asked of a DNS server"),
    }
    let manifests: String =
        hosts.iter().zip(["first", "second"]).map(|(host, name)| manifest(name, host, source.port)).collect();
    std::fs::write(root.path().join("app.yaml"), manifests).unwrap();
    let log = std::fs::File::create(root.path().join("log")).unwrap();
    let mut up = keda(root.path(), &["up", "--state-dir", "/state", "-f", "/app.yaml"]);
    let up = up.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let _up = Running(up);
    let mut is_read = false;
    for _ in 0..150 {
        let told = |name: &&str| {
            let object = format!("so/{name}");
            let output = keda(root.path(), &["explain", &object, "--state-dir", "/state"]).output().unwrap();
            String::from_utf8_lossy(&output.stdout).contains(": 0 (target 5 ")
        };
        let names = ["first", "second"];
        is_read = names[..hosts.len()].iter().all(told) && hosts.iter().all(|host| source.was_asked_as(host));
        if is_read {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let log = std::fs::read_to_string(root.path().join("log")).unwrap_or_default();
    let asked_as = source.asked_as.lock().unwrap().clone();
    assert!(is_read, "asked as {asked_as:?}; {log}");
}
