//! Servers for the tests: a small file for each, and what they have in common.

#![allow(dead_code, reason = "two test binaries use it, each in part")]

pub mod activemq;
pub mod beanstalkd;
pub mod certificates;
pub mod clickhouse;
pub mod etcd;
pub mod external;
pub mod graphite;
pub mod http2;
pub mod kafka;
pub mod mariadb;
pub mod moto;
pub mod nats;
mod ports;
pub mod postgresql;
pub mod prometheus;
pub mod rabbitmq;
pub mod redis;

use std::fs::File;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub use certificates::Certificates;
pub(crate) use ports::free_port;
use rustix::process::{Pid, Signal, kill_process_group};

/// Time between two looks at something that is waited for.
const STEP: Duration = Duration::from_millis(50);

/// Whether a program is there. Says so if not, or fails where servers are required.
fn installed(program: &str, package: &str) -> bool {
    if find(program).is_some() {
        return true;
    }
    let message = format!("skipped: {program} is not installed (apt-get install {package})");
    assert!(required().is_none(), "{message}");
    println!("{message}");
    false
}

/// Where what a folder of this repository names is installed (`scripts/install.sh`). If it cannot be, it says so and gives
/// nothing, or fails where servers are required.
pub fn install(folder: &str) -> Option<PathBuf> {
    let mut command = Command::new("../../scripts/install.sh");
    let output = command.arg(folder).stderr(Stdio::inherit()).output().expect("a shell");
    if output.status.success() {
        return Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    let message = format!("skipped: what {folder} names cannot be installed");
    assert!(required().is_none(), "{message}");
    println!("{message}");
    None
}

/// A virtual machine that starts soon and stays small, for what is in a folder of libraries.
fn java(library: &Path) -> Command {
    let mut command = Command::new("java");
    command.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]);
    command.arg(format!("{}/*", library.display()));
    command
}

/// Whether tests must fail where what they need is missing.
pub fn required() -> Option<()> {
    (variable("KEDA_TEST_REQUIRE_SERVERS") == "1").then_some(())
}

/// Where a program is: in the search path, or at the path given.
fn find(program: &str) -> Option<PathBuf> {
    let path = format!("{}:/usr/sbin:/usr/lib/rabbitmq/bin", variable("PATH"));
    path.split(':').map(|folder| Path::new(folder).join(program)).find(|candidate| candidate.is_file())
}

#[allow(clippy::disallowed_methods, reason = "what the suite was started with")]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// Whether somebody listens on a port of this machine.
pub fn is_open(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// A server in a process group of its own, which is stopped when this is dropped.
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
    stop: Signal,
}

impl Process {
    /// Starts `command`, whose output goes to a file in `folder`, and waits until `ready` says so.
    pub fn start(mut command: Command, folder: &Path, stop: Signal, seconds: u64, ready: impl Fn() -> bool) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let log = folder.join("output.log");
        let output = File::create(&log).expect("a log file");
        command.stdin(Stdio::null()).stderr(output.try_clone().expect("a second handle")).stdout(output);
        let child = command.process_group(0).spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut process = Process { child, name, log, stop };
        let in_time = wait_until(seconds, || {
            let status = process.child.try_wait().expect("the state of a child");
            assert!(status.is_none(), "{} ended: {}", process.name, process.output());
            ready()
        });
        assert!(in_time, "{} is not ready after {seconds} s: {}", process.name, process.output());
        process
    }

    fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        // It fails only for a group that is gone.
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(self.stop);
        if !wait_until(10, || matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))) {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
        // Whatever outlived the first of the group.
        self.signal(Signal::KILL);
    }
}

/// Looks again and again; whether it came true in time.
pub fn wait_until(seconds: u64, mut condition: impl FnMut() -> bool) -> bool {
    let looks = seconds * 1000 / 50;
    for _ in 0..looks {
        if condition() {
            return true;
        }
        std::thread::sleep(STEP);
    }
    condition()
}

/// As [`wait_until`], for what has to be asked for.
pub async fn poll_until<F: Future<Output = bool>>(seconds: u64, mut condition: impl FnMut() -> F) -> bool {
    for _ in 0..seconds * 10 {
        if condition().await {
            return true;
        }
        tokio::time::sleep(2 * STEP).await;
    }
    condition().await
}
