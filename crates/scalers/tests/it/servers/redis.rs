//! Redis: a server with a password and TLS, a sentinel, and a cluster.

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Certificates, Process, find, free_port, installed, is_open};

/// The password of every server.
pub const PASSWORD: &str = "redis-password";

/// A server, or a sentinel.
pub struct Redis {
    pub port: u16,
    pub tls_port: u16,
    pub certificates: Certificates,
    process: Option<Process>,
    folder: TempDir,
}

impl Redis {
    /// A server that wants a password; nothing where Redis is not installed.
    pub fn start() -> Option<Self> {
        if !installed("redis-server", "redis-server") {
            return None;
        }
        let folder = TempDir::new().expect("a folder");
        let certificates = Certificates::make(folder.path());
        let mut redis = Redis { port: free_port(), tls_port: free_port(), certificates, process: None, folder };
        redis.start_again();
        Some(redis)
    }

    /// Stops the server, if it runs.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Stops the server, if it runs, and starts it on the same ports, empty.
    pub fn start_again(&mut self) {
        self.process = None;
        let mut command = server(self.port, self.folder.path());
        let port = self.tls_port.to_string();
        command.args(["--requirepass", PASSWORD, "--tls-port", &port, "--tls-auth-clients", "no"]);
        command.arg("--tls-cert-file").arg(&self.certificates.cert_file);
        command.arg("--tls-key-file").arg(&self.certificates.key_file);
        command.arg("--tls-ca-cert-file").arg(&self.certificates.ca_file);
        let port = self.port;
        self.process = Some(Process::start(command, self.folder.path(), Signal::TERM, 10, || is_open(port)));
    }

    /// A connection of the test's own.
    pub async fn connect(&self) -> redis::aio::MultiplexedConnection {
        connect(&format!("redis://:{PASSWORD}@127.0.0.1:{}/", self.port)).await
    }

    /// A sentinel that watches this server as `mymaster`, with its own password; nothing where it is not installed.
    pub fn start_sentinel(&self, password: &str) -> Option<(u16, Process, TempDir)> {
        if !installed("redis-sentinel", "redis-sentinel") {
            return None;
        }
        let folder = TempDir::new().expect("a folder");
        let port = free_port();
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor mymaster 127.0.0.1 {} 1\n\
             sentinel auth-pass mymaster {PASSWORD}\nrequirepass {password}\n",
            folder.path().display(),
            self.port
        );
        let file = folder.path().join("sentinel.conf");
        std::fs::write(&file, text).expect("a configuration");
        let mut command = Command::new(find("redis-sentinel").expect("redis-sentinel"));
        command.arg(file);
        let process = Process::start(command, folder.path(), Signal::TERM, 10, || is_open(port));
        Some((port, process, folder))
    }
}

/// A cluster of two servers with half of the slots each.
pub struct Cluster {
    pub ports: [u16; 2],
    _processes: Vec<(Process, TempDir)>,
}

impl Cluster {
    /// Starts it and waits until both servers know about each other; nothing where Redis is not installed.
    pub async fn start() -> Option<Self> {
        if !installed("redis-server", "redis-server") {
            return None;
        }
        let ports = [free_port(), free_port()];
        let buses = [free_port(), free_port()];
        let mut processes = Vec::new();
        for (port, bus) in ports.into_iter().zip(buses) {
            let folder = TempDir::new().expect("a folder");
            let mut command = server(port, folder.path());
            command.args(["--cluster-enabled", "yes", "--cluster-port", &bus.to_string()]);
            command.arg("--cluster-config-file").arg(folder.path().join("nodes.conf"));
            processes.push((Process::start(command, folder.path(), Signal::TERM, 10, || is_open(port)), folder));
        }
        let slots = [(0, 8191), (8192, 16383)];
        for (port, (first, last)) in ports.into_iter().zip(slots) {
            run(port, redis::cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(first).arg(last)).await;
        }
        let [first, second] = ports;
        run(first, redis::cmd("CLUSTER").arg("MEET").arg("127.0.0.1").arg(second).arg(buses[1])).await;
        for port in ports {
            let ready = super::poll_until(20, || async move {
                run(port, redis::cmd("CLUSTER").arg("INFO")).await.contains("cluster_state:ok")
                    && run(port, redis::cmd("CLUSTER").arg("NODES")).await.lines().count() == 2
            });
            assert!(ready.await, "the cluster is not ready");
        }
        Some(Cluster { ports, _processes: processes })
    }
}

async fn run(port: u16, command: &redis::Cmd) -> String {
    let mut connection = connect(&format!("redis://127.0.0.1:{port}/")).await;
    command.query_async(&mut connection).await.expect("an answer")
}

/// A connection to a server whose address holds the login.
pub async fn connect(address: &str) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(address).expect("an address");
    client.get_multiplexed_async_connection().await.expect("a connection")
}

fn server(port: u16, folder: &Path) -> Command {
    let mut command = Command::new(find("redis-server").expect("redis-server"));
    let port = port.to_string();
    command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]).arg(folder);
    command
}
