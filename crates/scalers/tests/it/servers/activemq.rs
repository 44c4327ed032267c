//! ActiveMQ, and Artemis, which took its place.

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Process, free_port, install, is_open, java};

/// User and password of the consoles.
pub const USER: (&str, &str) = ("admin", "hunter22");
/// Where its programs are described.
const CLASSIC: &str = "../scalers/tests/servers/activemq";
const ARTEMIS: &str = "../scalers/tests/servers/artemis";

/// A broker with a console.
pub struct Broker {
    /// `host:port` of the console.
    pub console: String,
    _process: Process,
    _folder: TempDir,
}

impl Broker {
    /// Starts an ActiveMQ `shop` with `messages` in a queue; nothing where it cannot be installed.
    pub fn classic(queue: &str, messages: u32) -> Option<Self> {
        let library = install(CLASSIC)?.join("lib");
        let folder = TempDir::new().expect("a folder");
        let console = free_port();
        let mut command = java(&library);
        command.arg(format!(
            "-javaagent:{}/jolokia-agent-jvm-2.1.2-javaagent.jar=port={console},host=127.0.0.1,\
             agentContext=/api/jolokia,user={},password={},discoveryEnabled=false",
            library.display(),
            USER.0,
            USER.1
        ));
        command.arg(Path::new(CLASSIC).join("Broker.java")).args([queue, &messages.to_string()]);
        let log = folder.path().join("output.log");
        let ready = || std::fs::read_to_string(&log).is_ok_and(|text| text.lines().any(|line| line == "ready"));
        let process = Process::start(command, folder.path(), Signal::TERM, 60, ready);
        Some(Broker { console: format!("127.0.0.1:{console}"), _process: process, _folder: folder })
    }

    /// Starts an Artemis `shop` with `messages` in a queue; nothing where it cannot be installed.
    pub fn artemis(queue: &str, messages: u32) -> Option<Self> {
        let program = install(ARTEMIS)?.join("apache-artemis-2.38.0/bin/artemis");
        let folder = TempDir::new().expect("a folder");
        let (place, console, port) = (folder.path().join("shop"), free_port(), free_port());
        let [console_text, port_text] = [console, port].map(|port| port.to_string());
        let mut create = Command::new(program);
        create.arg("create").arg(&place).args(["--name", "shop", "--user", USER.0, "--password", USER.1]);
        create.args(["--require-login", "--silent", "--no-autotune", "--nio", "--java-memory", "256M"]);
        create.args(["--host", "127.0.0.1", "--default-port", &port_text, "--queues", queue]);
        create.args(["--http-host", "127.0.0.1", "--http-port", &console_text, "--no-amqp-acceptor"]);
        run(create.args(["--no-hornetq-acceptor", "--no-mqtt-acceptor", "--no-stomp-acceptor"]));
        let profile = place.join("etc/artemis.profile");
        let text = std::fs::read_to_string(&profile).expect("a profile");
        std::fs::write(&profile, text.replace("-Xms512M", "")).expect("a file");
        let mut command = Command::new(place.join("bin/artemis"));
        command.arg("run");
        let ready = || is_open(port) && is_open(console);
        let process = Process::start(command, folder.path(), Signal::TERM, 90, ready);
        let mut fill = Command::new(place.join("bin/artemis"));
        fill.args(["producer", "--url", &format!("tcp://127.0.0.1:{port}"), "--user", USER.0, "--password", USER.1]);
        run(fill.args(["--destination", queue, "--message-count", &messages.to_string()]));
        Some(Broker { console: format!("127.0.0.1:{console}"), _process: process, _folder: folder })
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("a program");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}
