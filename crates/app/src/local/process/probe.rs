//! Readiness probes, as the kubelet makes them.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use super::workload::{Probe, ProbeAction, Workload};

/// More than a status line can hold.
const STATUS_LINE: usize = 1024;

/// Probes one replica over and over.
pub(super) struct Prober<'a> {
    pub(super) workload: &'a Workload,
    pub(super) index: u32,
    /// For probes over TLS.
    pub(super) https: Option<&'a reqwest::Client>,
}

impl Prober<'_> {
    /// Never returns; tells each verdict that the thresholds allow, with the reason of a failure. `ready` is what
    /// counts until then.
    pub(super) async fn watch(&self, probe: &Probe, ready: bool, mut tell: impl FnMut(Result<(), String>)) {
        let mut verdict = Verdict { ready, streak: 0 };
        tokio::time::sleep(probe.initial_delay).await;
        let mut period = tokio::time::interval(probe.period.max(Duration::from_millis(10)));
        period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            period.tick().await;
            let result = self.once(probe).await;
            if verdict.changes(probe, result.is_ok()) {
                tell(result);
            }
        }
    }

    async fn once(&self, probe: &Probe) -> Result<(), String> {
        let limit = probe.timeout.max(Duration::from_millis(1));
        match &probe.action {
            ProbeAction::Exec { command } => self.exec(command, limit).await,
            ProbeAction::Tcp { host, port } => within(limit, connect(host, *port)).await.map(drop),
            ProbeAction::Http { host, port, path, tls: false, headers } => {
                within(limit, http(host, *port, path, headers)).await
            }
            ProbeAction::Http { host, port, path, tls: true, headers } => {
                within(limit, self.https(host, *port, path, headers)).await
            }
        }
    }

    async fn exec(&self, command: &[String], limit: Duration) -> Result<(), String> {
        let Some((program, arguments)) = command.split_first() else { return Err("the probe has no command".into()) };
        let mut command = Command::new(program);
        command.args(arguments).envs(self.workload.environment(self.index));
        if let Some(directory) = &self.workload.working_directory {
            command.current_dir(directory);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn().map_err(|error| format!("cannot run {program}: {error}"))?;
        // Also when the replica stops meanwhile and this future is dropped: a probe leaves nothing behind.
        let mut group = Group(child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw));
        let status = timeout(limit, child.wait()).await;
        if let Ok(Ok(_)) = status {
            group.0 = None;
        }
        match status {
            Err(_) => Err(format!("{program} did not end within {limit:?}")),
            Ok(Err(error)) => Err(format!("cannot wait for {program}: {error}")),
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("{program} failed: {status}")),
        }
    }

    async fn https(&self, host: &str, port: u16, path: &str, headers: &[(String, String)]) -> Result<(), String> {
        let Some(client) = self.https else { return Err("probes over TLS are not available".into()) };
        let url = format!("https://{}:{port}{}", bracketed(host), rooted(path));
        let request = headers.iter().fold(client.get(url), |request, (name, value)| request.header(name, value));
        let response = request.send().await.map_err(|error| error.to_string())?;
        judge(response.status().as_u16())
    }
}

/// A process group that is killed when it goes out of scope.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// Counts results until the thresholds turn them into a verdict.
struct Verdict {
    ready: bool,
    /// Results in a row that speak against the present verdict.
    streak: u32,
}

impl Verdict {
    fn changes(&mut self, probe: &Probe, success: bool) -> bool {
        if success == self.ready {
            self.streak = 0;
            return false;
        }
        self.streak = self.streak.saturating_add(1);
        let threshold = if success { probe.success_threshold } else { probe.failure_threshold };
        if self.streak < threshold.max(1) {
            return false;
        }
        *self = Self { ready: success, streak: 0 };
        true
    }
}

async fn within<T>(limit: Duration, attempt: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    timeout(limit, attempt).await.unwrap_or_else(|_| Err(format!("no answer within {limit:?}")))
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    TcpStream::connect((host, port)).await.map_err(|error| format!("cannot connect to {host}:{port}: {error}"))
}

/// By hand: a status line is all that is asked for, and a pooled client would hold the worker's connections open.
async fn http(host: &str, port: u16, path: &str, headers: &[(String, String)]) -> Result<(), String> {
    let mut stream = connect(host, port).await?;
    let mut request = format!("GET {} HTTP/1.1\r\n", rooted(path));
    let given = |name: &str| headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
    if !given("host") {
        request.push_str(&format!("Host: {}:{port}\r\n", bracketed(host)));
    }
    if !given("user-agent") {
        request.push_str("User-Agent: kube-probe/keda\r\n");
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    let limit = u64::try_from(STATUS_LINE).unwrap_or(u64::MAX);
    let mut stream = stream.take(limit);
    while !answer.contains(&b'\n') {
        if stream.read_buf(&mut answer).await.map_err(|error| error.to_string())? == 0 {
            break;
        }
    }
    let status = String::from_utf8_lossy(&answer).split_ascii_whitespace().nth(1).and_then(|code| code.parse().ok());
    judge(status.ok_or("the answer is not HTTP")?)
}

fn judge(status: u16) -> Result<(), String> {
    if (200..400).contains(&status) { Ok(()) } else { Err(format!("HTTP status {status}")) }
}

fn rooted(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_count_results_in_a_row() {
        let action = ProbeAction::Tcp { host: String::new(), port: 0 };
        let probe = Probe { success_threshold: 2, ..Probe::new(action) };
        let mut verdict = Verdict { ready: false, streak: 0 };
        let results = [true, false, true, true, false, false, true, false, false, false];
        let changes: Vec<bool> = results.iter().map(|result| verdict.changes(&probe, *result)).collect();
        assert_eq!(changes, [false, false, false, true, false, false, false, false, false, true]);
    }
}
