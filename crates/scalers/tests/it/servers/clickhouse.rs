//! ClickHouse, with TLS at a second port.

use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Certificates, Process, find, free_port, installed, is_open};

/// Password of the user `keda`.
pub const PASSWORD: &str = "p@ss:w/rd";

pub struct ClickHouse {
    pub port: u16,
    pub tls_port: u16,
    pub http_port: u16,
    pub certificates: Certificates,
    process: Option<Process>,
    folder: TempDir,
}

impl ClickHouse {
    /// Starts it; nothing where it is not installed.
    pub fn start() -> Option<Self> {
        if !installed("clickhouse-server", "clickhouse-server") {
            return None;
        }
        let folder = TempDir::new().expect("a folder");
        let certificates = Certificates::make(folder.path());
        let (port, tls_port, http_port) = (free_port(), free_port(), free_port());
        let mut server = ClickHouse { port, tls_port, http_port, certificates, process: None, folder };
        server.write_configuration();
        server.start_again();
        Some(server)
    }

    fn write_configuration(&self) {
        let folder = self.folder.path();
        let path = folder.display();
        let (certificate, key) = (self.certificates.cert_file.display(), self.certificates.key_file.display());
        let config = format!(
            "<yandex><logger><level>warning</level><console>1</console></logger>\
             <http_port>{}</http_port><tcp_port>{}</tcp_port><tcp_port_secure>{}</tcp_port_secure>\
             <listen_host>127.0.0.1</listen_host>\
             <openSSL><server><certificateFile>{certificate}</certificateFile><privateKeyFile>{key}</privateKeyFile>\
             <verificationMode>none</verificationMode></server></openSSL>\
             <path>{path}/data/</path><tmp_path>{path}/tmp/</tmp_path><users_config>users.xml</users_config>\
             <default_profile>default</default_profile><default_database>default</default_database>\
             <mark_cache_size>5368709120</mark_cache_size></yandex>",
            self.http_port, self.port, self.tls_port
        );
        let users = format!(
            "<yandex><profiles><default></default></profiles>\
             <users><keda><password>{PASSWORD}</password><networks><ip>::/0</ip></networks>\
             <profile>default</profile><quota>default</quota></keda></users>\
             <quotas><default></default></quotas></yandex>"
        );
        std::fs::write(folder.join("config.xml"), config).expect("a configuration");
        std::fs::write(folder.join("users.xml"), users).expect("a configuration");
    }

    /// Stops the server, if it runs.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Stops the server, if it runs, and starts it on the same ports.
    pub fn start_again(&mut self) {
        self.process = None;
        let folder = self.folder.path();
        let mut command = Command::new(find("clickhouse-server").expect("clickhouse-server"));
        command.arg(format!("--config-file={}", folder.join("config.xml").display())).current_dir(folder);
        let ports = [self.port, self.http_port];
        let ready = || ports.iter().all(|port| is_open(*port));
        self.process = Some(Process::start(command, folder, Signal::TERM, 30, ready));
    }
}
