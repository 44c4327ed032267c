//! beanstalkd.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Process, find, free_port, installed, is_open};

/// A server that keeps its jobs on the disk.
pub struct Beanstalkd {
    port: u16,
    process: Option<Process>,
    folder: TempDir,
}

impl Beanstalkd {
    /// Starts it; nothing where it is not installed.
    pub fn start() -> Option<Self> {
        if !installed("beanstalkd", "beanstalkd") {
            return None;
        }
        let mut server = Beanstalkd { port: free_port(), process: None, folder: TempDir::new().expect("a folder") };
        server.start_again();
        Some(server)
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Stops it.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it on the same port, with its jobs.
    pub fn start_again(&mut self) {
        self.stop();
        let mut command = Command::new(find("beanstalkd").expect("beanstalkd"));
        command.args(["-l", "127.0.0.1", "-p", &self.port.to_string(), "-b"]).arg(self.folder.path());
        let port = self.port;
        self.process = Some(Process::start(command, self.folder.path(), Signal::TERM, 10, || is_open(port)));
    }

    /// A connection of the test's own.
    pub fn connect(&self) -> Connection {
        Connection(BufReader::new(TcpStream::connect(self.address()).expect("a connection")))
    }

    /// How many connections there are, with the one that asks.
    pub fn connections(&self) -> usize {
        let mut connection = self.connect();
        connection.say("stats");
        let line = loop {
            let line = connection.line();
            if line.starts_with("current-connections: ") {
                break line;
            }
        };
        line["current-connections: ".len()..].parse().expect("a number")
    }
}

/// A connection of the test's own.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Sends a command; the first line of the answer.
    pub fn say(&mut self, command: &str) -> String {
        self.0.get_mut().write_all(format!("{command}\r\n").as_bytes()).expect("sent");
        self.line()
    }

    /// Puts a job that is ready in so many seconds.
    pub fn put(&mut self, delay: u32) {
        assert!(self.say(&format!("put 0 {delay} 60 1\r\nx")).starts_with("INSERTED"));
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        assert!(!line.is_empty(), "the server is gone");
        line.trim_end().to_string()
    }
}

/// The address of something that says this to whoever asks, and hangs up.
pub async fn one_that_says(text: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 100]).await;
            let _ = stream.write_all(text.as_bytes()).await;
        }
    });
    address
}
