//! Prometheus, which scrapes nothing but what it is told to.

use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Process, find, free_port, installed, is_open};

pub struct Prometheus {
    pub port: u16,
    _process: Process,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts it; it scrapes `targets` (`host:port`) once a second. Nothing where it is not installed.
    pub fn start(targets: &[String]) -> Option<Self> {
        if !installed("prometheus", "prometheus") {
            return None;
        }
        let folder = TempDir::new().expect("a folder");
        let port = free_port();
        let targets: Vec<String> = targets.iter().map(|target| format!("'{target}'")).collect();
        let text = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: test\n  static_configs:\n  - targets: [{}]\n",
            targets.join(", ")
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, text).expect("a configuration");
        let mut command = Command::new(find("prometheus").expect("prometheus"));
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let process = Process::start(command, folder.path(), Signal::TERM, 30, || is_open(port));
        Some(Prometheus { port, _process: process, _folder: folder })
    }
}
