//! A process group: what is started by one command, and what it costs.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

/// Ticks of the processor time in `/proc`, the same on all machines that run Linux on these processors.
const TICKS_PER_SECOND: f64 = 100.0;
/// How long an asked group may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running group; killed when this is dropped.
pub(crate) struct Group {
    child: Child,
    leader: Pid,
    /// What it printed.
    pub(crate) log: PathBuf,
}

impl Group {
    /// Starts a command as the leader of a new group, with what it prints in a file.
    pub(crate) fn start(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let output = std::fs::File::create(log).context("cannot make a log")?;
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("cannot start the operator")?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let leader = id.and_then(Pid::from_raw).context("the operator ended at once")?;
        Ok(Group { child, leader, log: log.to_path_buf() })
    }

    /// Processor time of all its processes, in seconds.
    pub(crate) fn processor_seconds(&self) -> f64 {
        self.processes().map(|process| process.ticks).sum::<f64>() / TICKS_PER_SECOND
    }

    /// Resident memory of all its processes, in MiB.
    pub(crate) fn resident_mib(&self) -> f64 {
        self.processes().map(|process| process.resident_kib).sum::<f64>() / 1024.0
    }

    fn processes(&self) -> impl Iterator<Item = Process> {
        let group = self.leader.as_raw_nonzero().get();
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(|entry| Process::read(&entry.path())).filter(move |process| process.group == group)
    }

    /// Asks the group to end, and kills what does not.
    pub(crate) async fn end(mut self) {
        let _ = kill_process_group(self.leader, Signal::TERM);
        let _ = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        // The rest is killed as this is dropped.
    }

    /// Fails when the leader has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            anyhow::bail!("the operator ended with {status}; it printed:\n{}", self.output());
        }
        Ok(())
    }

    /// The end of what it printed.
    pub(crate) fn output(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = kill_process_group(self.leader, Signal::KILL);
    }
}

struct Process {
    group: i32,
    ticks: f64,
    resident_kib: f64,
}

impl Process {
    fn read(folder: &Path) -> Option<Self> {
        let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
        // The name may hold blanks and brackets; after it come the state, the parent and the group.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |field: usize| fields.get(field)?.parse::<f64>().ok();
        let status = std::fs::read_to_string(folder.join("status")).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|text| text.split_whitespace().next()?.parse().ok());
        Some(Process {
            group: fields.get(2)?.parse().ok()?,
            ticks: ticks(11)? + ticks(12)?,
            resident_kib: resident.unwrap_or_default(),
        })
    }
}
