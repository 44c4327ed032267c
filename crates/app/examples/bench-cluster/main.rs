//! Measures an operator with many ScaledObjects on a control plane of this machine; `make bench-cluster` runs it.
//!
//! Each operator gets a test bed of its own (`testbed/README.md`) with what `keda manifests` prints, and goes through the
//! steps in [`steps`]. Ours is the release binary, started with its ServiceAccount's token; another one is started by
//! the command in `PEER_COMMAND` (see `scripts/bench-cluster.sh`). The figures go to a JSON file, and a table for people
//! to the standard output.

#![allow(clippy::print_stdout, clippy::print_stderr)]

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/it/cluster/api.rs"]
mod api;
mod audit;
mod bed;
mod contender;
mod group;
mod objects;
mod reads;
mod report;
mod source;
mod steps;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use serde_json::json;

use contender::Contender;
use report::Figures;

/// What can be set; `scripts/bench-cluster.sh` says how.
#[derive(Debug, Parser)]
struct Settings {
    /// ScaledObjects.
    #[arg(long, env = "BENCH_OBJECTS", default_value_t = 1000)]
    objects: usize,
    /// Length of the idle time.
    #[arg(long, env = "BENCH_IDLE_MINUTES", default_value_t = 10.0)]
    idle_minutes: f64,
    /// Pods of the big cluster; 0 leaves it out.
    #[arg(long, env = "BENCH_PODS", default_value_t = 20_000)]
    pods: usize,
    /// Runs whose medians are taken.
    #[arg(long, env = "BENCH_RUNS", default_value_t = 1)]
    runs: usize,
    /// Starts another operator.
    #[arg(long, env = "PEER_COMMAND")]
    peer: Option<String>,
    /// Folder of the test bed's binaries.
    #[arg(long)]
    testbed: PathBuf,
    /// The operator.
    #[arg(long)]
    keda: PathBuf,
    /// Where the figures go.
    #[arg(long)]
    output: PathBuf,
}

impl Settings {
    fn idle(&self) -> Duration {
        Duration::from_secs_f64(self.idle_minutes * 60.0)
    }
}

fn main() -> ExitCode {
    let settings = Settings::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.context("no runtime").and_then(|runtime| runtime.block_on(measure(&settings)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-cluster: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(settings: &Settings) -> anyhow::Result<()> {
    let ours = medians(settings, &Contender::Ours).await?;
    let peer = match settings.peer.clone().filter(|command| !command.trim().is_empty()) {
        Some(command) => Some(medians(settings, &Contender::Peer(command)).await?),
        None => None,
    };
    let text = serde_json::to_string_pretty(&json!({ "ours": ours, "peer": peer }))?;
    if let Some(folder) = settings.output.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    std::fs::write(&settings.output, text + "\n").context("cannot write the figures")?;
    println!("\n{}", report::table(settings, &ours, peer.as_ref()));
    println!("Written to {}", settings.output.display());
    Ok(())
}

async fn medians(settings: &Settings, contender: &Contender) -> anyhow::Result<Figures> {
    let mut runs = Vec::new();
    for run in 1..=settings.runs.max(1) {
        progress(&format!("{contender}, run {run} of {}", settings.runs.max(1)));
        runs.push(steps::run(settings, contender).await?);
    }
    Ok(Figures::medians(&runs))
}

/// Tells people how far it is.
fn progress(text: &str) {
    let now = keda::clock::wall().strftime("%H:%M:%S");
    eprintln!("{now} {text}");
}
