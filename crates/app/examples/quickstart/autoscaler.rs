//! `keda up` as a child process, and what it says about scaling.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long `keda up` may take to stop all workers.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A running `keda up`.
pub(crate) struct Autoscaler {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// A line of `keda up`. It prints JSON when its output is no terminal.
#[derive(Deserialize)]
struct Line {
    level: String,
    msg: String,
    from: Option<u32>,
    to: Option<u32>,
    reason: Option<String>,
}

/// What `keda up` says.
pub(crate) enum News {
    /// The number of replicas changes.
    Scaled { from: u32, to: u32, reason: String },
    /// Something is not as it should be.
    Complaint(String),
}

impl Autoscaler {
    /// Starts `keda up` on the manifests.
    pub(crate) fn start(keda: &Path, manifests: &Path, state: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(keda);
        command.arg("up").arg("--filename").arg(manifests).arg("--state-dir").arg(state);
        command.args(["--hpa-interval", "1s", "--no-logs", "--json"]);
        // A group of its own: Ctrl-C comes here alone, and then this program stops it in order.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", keda.display()))?;
        let output = child.stdout.take().context("keda up has no output")?;
        Ok(Autoscaler { child, lines: BufReader::new(output).lines() })
    }

    /// The next news. Cancel safe.
    pub(crate) async fn next(&mut self) -> anyhow::Result<News> {
        while let Some(line) = self.lines.next_line().await? {
            let Ok(line) = serde_json::from_str::<Line>(&line) else { return Ok(News::Complaint(line)) };
            if let (Some(from), Some(to)) = (line.from, line.to) {
                return Ok(News::Scaled { from, to, reason: line.reason.unwrap_or_default() });
            }
            if line.level != "info" {
                let reason = line.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                return Ok(News::Complaint(line.msg + &reason));
            }
        }
        bail!("keda up ended too early: {}", self.child.wait().await?)
    }

    /// Asks it to stop all workers and to end, and waits for that.
    pub(crate) async fn stop(mut self) -> anyhow::Result<ExitStatus> {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            // It may have ended meanwhile, which the wait below shows.
            let _ = kill_process(pid, Signal::TERM);
        }
        let ended = async {
            // An output that nobody reads would hold it up.
            while let Ok(Some(_)) = self.lines.next_line().await {}
            self.child.wait().await
        };
        match tokio::time::timeout(STOP_TIMEOUT, ended).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("keda up did not stop within {} s", STOP_TIMEOUT.as_secs()),
        }
    }
}
