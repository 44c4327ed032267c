//! PostgreSQL with SCRAM passwords and TLS. It refuses to run as root, so then it runs as `postgres`.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Certificates, Process, free_port, installed, wait_until};

/// Password of the user `postgres`.
pub const PASSWORD: &str = "postgres-password";

pub struct PostgreSql {
    pub port: u16,
    pub certificates: Certificates,
    process: Option<Process>,
    folder: TempDir,
}

/// Where the newest installed version has its programs.
pub fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let programs = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    programs.filter(|folder| folder.join("initdb").is_file()).max()
}

impl PostgreSql {
    /// Makes a cluster and starts it; nothing where it is not installed.
    pub fn start() -> Option<Self> {
        if programs().is_none() && !installed("initdb", "postgresql") {
            return None;
        }
        let folder = TempDir::new().expect("a folder");
        let certificates = Certificates::make(folder.path());
        let password = folder.path().join("password");
        std::fs::write(&password, PASSWORD).expect("a file");
        std::fs::set_permissions(&certificates.key_file, Permissions::from_mode(0o600)).expect("permissions");
        if is_root() {
            let status = Command::new("chown").args(["-R", "postgres:postgres"]).arg(folder.path()).status();
            assert!(status.is_ok_and(|status| status.success()), "chown");
        }
        let status = as_owner("initdb", folder.path())
            .args(["-U", "postgres", "-A", "scram-sha-256", "-N", "--locale=C", "-E", "UTF8", "-D"])
            .arg(folder.path().join("data"))
            .arg(format!("--pwfile={}", password.display()))
            .output()
            .expect("initdb");
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
        let mut server = PostgreSql { port: free_port(), certificates, process: None, folder };
        server.start_again();
        Some(server)
    }

    /// Stops the server, if it runs, and starts it on the same port.
    pub fn start_again(&mut self) {
        self.process = None;
        let folder = self.folder.path();
        let mut command = as_owner("postgres", folder);
        let port = self.port.to_string();
        command.arg("-D").arg(folder.join("data")).args(["-p", &port, "-c", "listen_addresses=127.0.0.1"]);
        command.arg("-k").arg(folder).args(["-c", "fsync=off", "-c", "ssl=on"]);
        command.arg("-c").arg(format!("ssl_cert_file={}", self.certificates.cert_file.display()));
        command.arg("-c").arg(format!("ssl_key_file={}", self.certificates.key_file.display()));
        let program = programs().expect("postgresql").join("pg_isready");
        let ready = || {
            let mut question = Command::new(&program);
            question.args(["-q", "-h", "127.0.0.1", "-p", &port]).status().is_ok_and(|status| status.success())
        };
        self.process = Some(Process::start(command, folder, Signal::INT, 30, ready));
    }

    /// Ends all connections but the server.
    pub fn stop(&mut self) {
        self.process = None;
        assert!(wait_until(5, || !super::is_open(self.port)));
    }

    /// A connection string for the user `postgres`, with `more` at its end.
    pub fn connection(&self, more: &str) -> String {
        format!("host=localhost port={} user=postgres password={PASSWORD} dbname=postgres {more}", self.port)
    }
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

fn as_owner(program: impl AsRef<OsStr>, folder: &Path) -> Command {
    let program = programs().expect("postgresql").join(Path::new(program.as_ref()));
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(folder);
    command
}
