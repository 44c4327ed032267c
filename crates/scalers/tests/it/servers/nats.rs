//! NATS with JetStream.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Process, find, free_port, installed, is_open};

/// A server.
pub struct Nats {
    port: u16,
    monitoring_port: u16,
    process: Option<Process>,
    folder: TempDir,
}

impl Nats {
    /// Starts it; nothing where it is not installed.
    pub fn start() -> Option<Self> {
        if !installed("nats-server", "nats-server") {
            return None;
        }
        let folder = TempDir::new().expect("a folder");
        let mut server = Nats { port: free_port(), monitoring_port: free_port(), process: None, folder };
        server.start_again();
        Some(server)
    }

    /// Stops it.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it on the same ports, with its streams.
    pub fn start_again(&mut self) {
        self.stop();
        let mut command = Command::new(find("nats-server").expect("nats-server"));
        let (port, monitoring_port) = (self.port, self.monitoring_port);
        command.args(["-a", "127.0.0.1", "-p", &port.to_string(), "-m", &monitoring_port.to_string(), "-js", "-sd"]);
        command.arg(self.folder.path());
        let ready = || is_open(port) && is_open(monitoring_port);
        self.process = Some(Process::start(command, self.folder.path(), Signal::TERM, 10, ready));
    }

    /// `host:port` of its monitoring.
    pub fn monitoring(&self) -> String {
        format!("127.0.0.1:{}", self.monitoring_port)
    }

    /// Publishes a message, and gives what is answered.
    pub fn ask(&self, subject: &str, payload: &str) -> String {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        let mut stream = BufReader::new(stream);
        let request = format!(
            "CONNECT {{\"verbose\": false}}\r\nSUB answer 1\r\nPUB {subject} answer {}\r\n{payload}\r\n",
            payload.len()
        );
        stream.get_mut().write_all(request.as_bytes()).expect("sent");
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).expect("a line");
            assert!(!line.is_empty() && !line.starts_with("-ERR"), "{line}");
            if line.starts_with("MSG") || line.starts_with("HMSG") {
                let length = line.trim_end().rsplit(' ').next().and_then(|length| length.parse().ok());
                let mut answer = vec![0; length.expect("a length")];
                stream.read_exact(&mut answer).expect("an answer");
                let answer = String::from_utf8(answer).expect("text");
                assert!(!answer.contains(r#""error""#), "{answer}");
                return answer;
            }
        }
    }
}
