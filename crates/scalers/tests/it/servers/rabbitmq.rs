//! RabbitMQ with the management plugin and TLS. It takes ten seconds to start, so start it once per run.

use std::process::{Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Certificates, Process, find, free_port, installed, is_open};

/// Login of the administrator.
pub const USER: &str = "test-user";
pub const PASSWORD: &str = "rabbit-password";

pub struct RabbitMq {
    pub port: u16,
    pub tls_port: u16,
    pub management_port: u16,
    pub certificates: Certificates,
    epmd_port: u16,
    distribution_port: u16,
    process: Option<Process>,
    folder: TempDir,
}

impl RabbitMq {
    /// Starts it and waits until it answers; nothing where it is not installed.
    pub fn start() -> Option<Self> {
        if !installed("rabbitmq-server", "rabbitmq-server") {
            return None;
        }
        let folder = TempDir::new().expect("a folder");
        let certificates = Certificates::make(folder.path());
        let mut rabbitmq = RabbitMq {
            port: free_port(),
            tls_port: free_port(),
            management_port: free_port(),
            certificates,
            epmd_port: free_port(),
            distribution_port: free_port(),
            process: None,
            folder,
        };
        rabbitmq.configure();
        rabbitmq.start_again();
        Some(rabbitmq)
    }

    fn configure(&self) {
        let Certificates { ca_file, cert_file, key_file, .. } = &self.certificates;
        let text = format!(
            "listeners.tcp.1 = 127.0.0.1:{}\nlisteners.ssl.1 = 127.0.0.1:{}\n\
             ssl_options.cacertfile = {}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n\
             ssl_options.verify = verify_none\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {}\n\
             default_user = {USER}\ndefault_pass = {PASSWORD}\nloopback_users = none\n\
             log.console = true\nlog.file = false\ncollect_statistics_interval = 1000\n",
            self.port,
            self.tls_port,
            ca_file.display(),
            cert_file.display(),
            key_file.display(),
            self.management_port
        );
        std::fs::write(self.folder.path().join("rabbitmq.conf"), text).expect("a configuration");
        std::fs::write(self.folder.path().join("enabled_plugins"), "[rabbitmq_management].\n").expect("a list");
    }

    /// Stops the server, if it runs, and starts it on the same ports with the same queues.
    pub fn start_again(&mut self) {
        self.process = None;
        let folder = self.folder.path();
        let program = "/usr/lib/rabbitmq/bin/rabbitmq-server";
        let mut command = Command::new(program);
        command
            .env("HOME", folder)
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", format!("t{}@localhost", self.port))
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("enabled_plugins"))
            .env("RABBITMQ_MNESIA_BASE", folder.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 1:1 +sbwt none");
        let ports = [self.port, self.tls_port, self.management_port];
        let ready = || ports.into_iter().all(is_open);
        self.process = Some(Process::start(command, folder, Signal::TERM, 90, ready));
    }

    /// Address for AMQP.
    pub fn amqp(&self) -> String {
        format!("amqp://{USER}:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    /// Address of the management API.
    pub fn http(&self) -> String {
        format!("http://{USER}:{PASSWORD}@127.0.0.1:{}", self.management_port)
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        self.process = None;
        // The port mapper, which the server started on a port of its own, outlives it.
        if let Some(epmd) = find("epmd") {
            let mut command = Command::new(epmd);
            command.arg("-kill").env("ERL_EPMD_PORT", self.epmd_port.to_string());
            let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}
