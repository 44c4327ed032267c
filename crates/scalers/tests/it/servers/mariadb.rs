//! MariaDB with TLS.

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Certificates, Process, find, free_port, installed, is_open};

/// Password of the user `keda`, with characters that mean something in addresses.
pub const PASSWORD: &str = "p@ss:w/rd%20";

pub struct MariaDb {
    pub port: u16,
    pub certificates: Certificates,
    process: Option<Process>,
    folder: TempDir,
}

impl MariaDb {
    /// Makes a database `shop` with the user `keda`, and starts it; nothing where it is not installed.
    pub fn start() -> Option<Self> {
        if !installed("mariadbd", "mariadb-server") {
            return None;
        }
        let folder = TempDir::new().expect("a folder");
        let certificates = Certificates::make(folder.path());
        let made = Command::new(find("mariadb-install-db").expect("mariadb-install-db"))
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .args(as_user())
            .arg(option("datadir", &folder.path().join("data")))
            .arg(option("tmpdir", folder.path()))
            .output()
            .expect("mariadb-install-db");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let statements = format!(
            "CREATE DATABASE IF NOT EXISTS shop;\n\
             CREATE USER IF NOT EXISTS 'keda'@'%' IDENTIFIED BY '{PASSWORD}';\n\
             GRANT ALL ON shop.* TO 'keda'@'%';\n\
             GRANT PROCESS ON *.* TO 'keda'@'%';\n"
        );
        std::fs::write(folder.path().join("init.sql"), statements).expect("a file");
        let mut server = MariaDb { port: free_port(), certificates, process: None, folder };
        server.start_again();
        Some(server)
    }

    /// Stops the server, if it runs.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Stops the server, if it runs, and starts it on the same port.
    pub fn start_again(&mut self) {
        self.process = None;
        let folder = self.folder.path();
        let mut command = Command::new(find("mariadbd").expect("mariadbd"));
        command.args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve"]).args(as_user());
        command.args(["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M"]);
        command.arg(format!("--port={}", self.port));
        command.arg(option("datadir", &folder.join("data"))).arg(option("tmpdir", folder));
        command.arg(option("socket", &folder.join("socket"))).arg(option("pid-file", &folder.join("pid")));
        command.arg(option("init-file", &folder.join("init.sql")));
        command.arg(option("ssl-cert", &self.certificates.cert_file));
        command.arg(option("ssl-key", &self.certificates.key_file));
        command.arg(option("ssl-ca", &self.certificates.ca_file));
        let port = self.port;
        self.process = Some(Process::start(command, folder, Signal::TERM, 60, || is_open(port)));
    }

    /// A connection string for the user `keda`, with `parameters` at its end.
    pub fn connection(&self, parameters: &str) -> String {
        format!("keda:{PASSWORD}@tcp(localhost:{})/shop{parameters}", self.port)
    }

    /// Where the root of its certificate is.
    pub fn ca_folder(&self) -> std::path::PathBuf {
        let folder = self.folder.path().join("trusted");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::copy(&self.certificates.ca_file, folder.join("ca.crt")).expect("a copy");
        folder
    }
}

/// An option that names a path. Each server has a `tmpdir` of its own: one that starts removes the temporary tables that
/// it finds there, and another may still be at work with them.
fn option(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

/// It runs as root only if it is told to.
fn as_user() -> Option<&'static str> {
    rustix::process::getuid().is_root().then_some("--user=root")
}
