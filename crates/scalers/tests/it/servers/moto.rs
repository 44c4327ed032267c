//! Moto, which answers as services of AWS do.

use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Process, free_port, install, is_open};

/// Where its programs are described.
const FOLDER: &str = "../scalers/tests/servers/moto";

/// A region with a queue, a stream, a table and a metric.
pub struct Moto {
    /// Of all services.
    pub endpoint: String,
    /// Of the queue.
    pub queue: String,
    _process: Process,
    _folder: TempDir,
}

impl Moto {
    /// Starts and fills it; nothing where it cannot be installed.
    pub fn start() -> Option<Self> {
        let python = install(FOLDER)?.join("venv/bin/python");
        let folder = TempDir::new().expect("a folder");
        let port = free_port();
        let mut command = Command::new(&python);
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]);
        let process = Process::start(command, folder.path(), Signal::TERM, 60, || is_open(port));
        let endpoint = format!("http://127.0.0.1:{port}");
        let output = Command::new(&python).arg(format!("{FOLDER}/fill.py")).arg(&endpoint).output().expect("python");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let queue = String::from_utf8_lossy(&output.stdout).trim().to_string();
        Some(Moto { endpoint, queue, _process: process, _folder: folder })
    }
}
