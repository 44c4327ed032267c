//! The whole story: an idle workload, a burst of jobs, workers that come and go, and what that cost.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use keda::clock;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::autoscaler::{Autoscaler, News};
use crate::fleet::{Cost, Replicas};
use crate::queue::{self, Queue};
use crate::screen::Screen;
use crate::{PORT, manifests, summary};

/// Jobs of the burst.
const JOBS: usize = 40;
/// How long nothing happens before the burst.
const IDLE: Duration = Duration::from_secs(2);
/// By when everything must be over.
const DEADLINE: Duration = Duration::from_secs(58);
/// How often the progress is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What a shell reports of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Plays the story; everything it starts or writes is gone afterwards.
pub(crate) async fn tell() -> anyhow::Result<ExitCode> {
    let mut interrupts = Interrupts::watch()?;
    let program = std::env::current_exe().context("cannot find this program")?;
    let keda = keda_beside(&program)?;
    let folder = tempfile::Builder::new().prefix("keda-quickstart-").tempdir().context("no temporary folder")?;
    let (listener, address) = queue::listen(PORT).await?;
    let queue = Queue::default();
    let serving = tokio::spawn(queue.clone().serve(listener));

    let manifests = folder.path().join("manifests");
    manifests::write(&manifests, address, &program)?;
    let mut screen = Screen::new();
    screen.line(&format!(
        "An empty queue at http://{address}, a Deployment with 0 replicas, and a ScaledObject that asks for\n\
         a worker for every 5 jobs (examples/quickstart/). No cluster: `keda up` runs workers as processes.\n"
    ));
    let mut autoscaler = Autoscaler::start(&keda, &manifests, &folder.path().join("state"))?;
    let mut run = Run { started: clock::monotonic(), queue, burst: None, replicas: Replicas::default() };
    let outcome = tokio::select! {
        outcome = run.play(&mut autoscaler, &mut screen) => outcome.map(|()| true),
        () = interrupts.next() => Ok(false),
    };
    let stopped = autoscaler.stop().await;
    serving.abort();
    let finished = outcome?;
    let status = stopped?;
    folder.close().context("cannot remove the temporary folder")?;
    if !finished {
        screen.line("Interrupted; all workers are stopped.");
        return Ok(ExitCode::from(INTERRUPTED));
    }
    ensure!(status.success(), "keda up failed: {status}");
    run.sum_up(&screen)?;
    Ok(ExitCode::SUCCESS)
}

/// The `keda` that was built together with this example.
fn keda_beside(program: &std::path::Path) -> anyhow::Result<PathBuf> {
    let keda = program.parent().and_then(|folder| folder.parent()).map(|folder| folder.join("keda"));
    keda.filter(|keda| keda.is_file()).context(
        "there is no `keda` to run; build it with `cargo build --release --bin keda`, or use `make quickstart`",
    )
}

struct Run {
    started: Instant,
    queue: Queue,
    /// When the jobs came.
    burst: Option<Duration>,
    replicas: Replicas,
}

impl Run {
    /// Runs until all jobs are done and no worker is left.
    async fn play(&mut self, autoscaler: &mut Autoscaler, screen: &mut Screen) -> anyhow::Result<()> {
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                news = autoscaler.next() => self.hear(&news?, screen),
                _ = look.tick() => self.look(screen)?,
            }
            let counts = self.queue.counts();
            if counts.done == JOBS && self.replicas.now() == 0 {
                return Ok(());
            }
        }
    }

    fn hear(&mut self, news: &News, screen: &Screen) {
        let now = self.started.elapsed();
        match news {
            News::Scaled { from, to, reason } => {
                self.replicas.changed(now, *to);
                screen.step(now, &format!("{from} → {to}  {reason}"));
            }
            News::Complaint(text) => screen.step(now, &format!("! {text}")),
        }
    }

    fn look(&mut self, screen: &mut Screen) -> anyhow::Result<()> {
        let now = self.started.elapsed();
        let counts = self.queue.counts();
        if now > DEADLINE {
            let (done, replicas) = (counts.done, self.replicas.now());
            bail!("after {} s {done} of {JOBS} jobs are done and {replicas} replicas are left", DEADLINE.as_secs());
        }
        screen.progress(now, counts, self.replicas.now());
        if self.burst.is_none() && now >= IDLE {
            self.burst = Some(now);
            self.queue.add(JOBS);
            screen.step(now, &format!("{JOBS} jobs of about 1.5 s each arrive at once"));
        }
        Ok(())
    }

    fn sum_up(&self, screen: &Screen) -> anyhow::Result<()> {
        let end = self.started.elapsed();
        let waits = self.queue.waits();
        ensure!(waits.len() == JOBS, "{} of {JOBS} jobs were taken", waits.len());
        let jobs: Vec<Duration> = (0..JOBS).map(queue::duration_of).collect();
        let time = end.saturating_sub(self.burst.unwrap_or_default());
        let cost = Cost::new(self.replicas.seconds(end), waits);
        let peak = self.replicas.peak();
        screen.line(&format!("\nAll {JOBS} jobs are done, and no worker is left.\n"));
        screen.line(&summary::picture(&self.replicas, end));
        screen.line(&summary::table(&cost, &jobs, peak, time));
        Ok(())
    }
}

/// The signals that ask this program to end.
struct Interrupts([Signal; 3]);

impl Interrupts {
    fn watch() -> anyhow::Result<Self> {
        let watch = |kind| signal(kind).context("cannot watch for signals");
        Ok(Interrupts([watch(SignalKind::interrupt())?, watch(SignalKind::terminate())?, watch(SignalKind::hangup())?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
