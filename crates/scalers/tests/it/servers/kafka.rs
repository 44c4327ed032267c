//! Kafka: one broker that is its own controller, with open listeners and such that ask for a login.

use std::path::{Path, PathBuf};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Certificates, Process, free_port, install, is_open, java};

/// User and password of the listeners with a login.
pub const USER: (&str, &str) = ("keda", "hunter22");
/// Where its programs are described.
const FOLDER: &str = "../scalers/tests/servers/kafka";

/// A broker without topics.
pub struct Broker {
    pub certificates: Certificates,
    open: u16,
    login: u16,
    tls: u16,
    library: PathBuf,
    _process: Process,
    _folder: TempDir,
}

impl Broker {
    /// Starts it; nothing where it cannot be installed.
    pub fn start() -> Option<Self> {
        let library = install(FOLDER)?.join("lib");
        let folder = TempDir::new().expect("a folder");
        let certificates = Certificates::make(folder.path());
        let [open, login, tls, controller] = [(); 4].map(|()| free_port());
        let settings = folder.path().join("server.properties");
        std::fs::write(&settings, properties(folder.path(), &certificates, [open, login, tls, controller]))
            .expect("a file");
        let log = folder.path().join("log4j.properties");
        std::fs::write(&log, LOGGING).expect("a file");
        let mut format = java(&library);
        format.args(["kafka.tools.StorageTool", "format", "-t", "a2VkYS1ycyB0ZXN0cyAhIQ", "-c"]).arg(&settings);
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            format.arg("--add-scram").arg(format!("{mechanism}=[name={},password={}]", USER.0, USER.1));
        }
        let formatted = format.output().expect("java");
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
        let mut command = java(&library);
        command.arg(format!("-Dlog4j.configuration=file:{}", log.display())).arg("kafka.Kafka").arg(&settings);
        // They listen once the broker can be asked.
        let ready = || [open, login, tls].into_iter().all(is_open);
        let process = Process::start(command, folder.path(), Signal::TERM, 60, ready);
        Some(Broker { certificates, open, login, tls, library, _process: process, _folder: folder })
    }

    /// Where nobody logs in.
    pub fn open(&self) -> String {
        format!("localhost:{}", self.open)
    }

    /// Where [`USER`] logs in, by `PLAIN` or by `SCRAM`.
    pub fn login(&self) -> String {
        format!("localhost:{}", self.login)
    }

    /// The same with TLS.
    pub fn tls(&self) -> String {
        format!("localhost:{}", self.tls)
    }

    /// Makes a topic whose partitions each hold so many records, of which `group` has read so many: `12/10`, or `12/-`
    /// for a partition that it never read.
    pub fn fill(&self, group: &str, topic: &str, partitions: &[&str]) {
        let mut command = java(&self.library);
        command.arg(Path::new(FOLDER).join("Fill.java")).args([&self.open(), group, topic]).args(partitions);
        let output = command.output().expect("java");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

fn properties(folder: &Path, certificates: &Certificates, ports: [u16; 4]) -> String {
    let [open, login, tls, controller] = ports;
    let read = |path: &Path| std::fs::read_to_string(path).expect("a file");
    let pair = folder.join("pair.pem");
    std::fs::write(&pair, read(&certificates.key_file) + &read(&certificates.cert_file)).expect("a file");
    let listeners = format!(
        "OPEN://localhost:{open},LOGIN://localhost:{login},TLS://localhost:{tls},CONTROLLER://localhost:{controller}"
    );
    let (advertised, _) = listeners.rsplit_once(',').expect("several listeners");
    let mut lines = vec![
        "process.roles=broker,controller".to_string(),
        "node.id=1".to_string(),
        format!("controller.quorum.voters=1@localhost:{controller}"),
        format!("listeners={listeners}"),
        format!("advertised.listeners={advertised}"),
        "listener.security.protocol.map=OPEN:PLAINTEXT,LOGIN:SASL_PLAINTEXT,TLS:SASL_SSL,CONTROLLER:PLAINTEXT"
            .to_string(),
        "controller.listener.names=CONTROLLER".to_string(),
        "inter.broker.listener.name=OPEN".to_string(),
        "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512".to_string(),
        "ssl.keystore.type=PEM".to_string(),
        format!("ssl.keystore.location={}", pair.display()),
        format!("log.dirs={}", folder.join("data").display()),
        "offsets.topic.replication.factor=1".to_string(),
        "offsets.topic.num.partitions=1".to_string(),
        "transaction.state.log.replication.factor=1".to_string(),
        "transaction.state.log.min.isr=1".to_string(),
        "group.initial.rebalance.delay.ms=0".to_string(),
        "auto.create.topics.enable=false".to_string(),
    ];
    for listener in ["login", "tls"] {
        let module = "org.apache.kafka.common.security";
        lines.push(format!(
            "listener.name.{listener}.plain.sasl.jaas.config={module}.plain.PlainLoginModule required user_{}=\"{}\";",
            USER.0, USER.1
        ));
        for scram in ["scram-sha-256", "scram-sha-512"] {
            lines.push(format!(
                "listener.name.{listener}.{scram}.sasl.jaas.config={module}.scram.ScramLoginModule required;"
            ));
        }
    }
    lines.join("\n") + "\n"
}

const LOGGING: &str = "log4j.rootLogger=WARN, out\n\
                       log4j.appender.out=org.apache.log4j.ConsoleAppender\n\
                       log4j.appender.out.layout=org.apache.log4j.PatternLayout\n\
                       log4j.appender.out.layout.ConversionPattern=%p %c %m%n\n";
