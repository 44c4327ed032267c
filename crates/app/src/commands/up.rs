//! `keda up`: runs Deployments as local processes and scales them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use keda_core::hpa::ControllerSettings;
use keda_core::problem::{Path, Problem};
use keda_core::resolve::Lenience;
use keda_core::rule;
use keda_scalers::client::Sources;
use keda_scalers::client::tls::TlsOptions;
use keda_scalers::sampler::{Report, Sampler};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::watch::Watch;
use crate::cli::Up;
use crate::files::Reader;
use crate::local::driver::{Driver, Options};
use crate::local::instance;
use crate::local::output::{Level, News, Output};
use crate::local::process::{self, Supervisor};
use crate::local::store::Store;
use crate::local::workloads::{Described, describe};
use crate::project::Project;
use crate::settings::Settings;
use crate::{FINDINGS, FINE, report};

/// How often the live table is drawn at the most.
const DRAW_EVERY: Duration = Duration::from_millis(250);

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(arguments: &Up) -> anyhow::Result<u8> {
    let settings = Settings::from_environment()?;
    let mut reader = Reader::default();
    let (project, described) = read(arguments, &mut reader)?;
    report::print(&project.loaded);
    if project.is_broken(arguments.manifests.strict) {
        return Ok(FINDINGS);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(up(arguments, &settings, reader, project, described))
}

/// Reads the manifests and describes the processes they stand for; what cannot be run is a finding.
fn read(arguments: &Up, reader: &mut Reader) -> anyhow::Result<(Project, Vec<Described>)> {
    let manifests = &arguments.manifests;
    let mut project = Project::new(&reader.read(&manifests.paths, manifests.recursive)?, Lenience::default());
    let mut described: Vec<Described> = Vec::new();
    for index in 0..project.loaded.documents.len() {
        let Some(document) = project.loaded.documents.get(index) else { continue };
        if let Some((workload, problems)) = describe(document, &project.references) {
            project.loaded.report(index, problems);
            let twin =
                workload.as_ref().and_then(|new| described.iter().find(|old| old.workload.key == new.workload.key));
            if twin.is_some() {
                let message = "a Deployment and a StatefulSet of one name cannot both run here";
                let path = Path::root().key("metadata").key("name");
                project.loaded.report(index, [Problem::error(rule::SAME_NAME, path, message)]);
            }
            described.extend(workload);
        }
    }
    project.report_what_cannot_run();
    Ok((project, described))
}

async fn up(
    arguments: &Up,
    settings: &Settings,
    reader: Reader,
    project: Project,
    described: Vec<Described>,
) -> anyhow::Result<u8> {
    let state_directory = instance::state_directory(&arguments.instance, settings)?;
    let sources = Arc::new(Sources::new(settings.sources.clone()));
    // Probes over TLS take any certificate, as the kubelet's do.
    let any_certificate = TlsOptions { insecure: true, ..TlsOptions::default() };
    let options = process::Options {
        tail_logs: !arguments.no_logs,
        https: sources.http.client(&sources.tls, &any_certificate).ok().map(Arc::unwrap_or_clone),
        ..process::Options::new(&state_directory)
    };
    let (supervisor, processes) = match Supervisor::open(options) {
        Ok(opened) => opened,
        Err(error) => {
            super::complain(&format!("error: {error}"));
            return Ok(FINDINGS);
        }
    };
    let (asked, socket) = instance::serve(&state_directory)?;
    let (output, reports) = mpsc::unbounded_channel();
    let inbox = Inbox {
        reports,
        processes,
        asked,
        reader,
        files: Watch::new(arguments.watch.then_some(&arguments.manifests))?,
        terminate: signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?,
        interrupt: signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?,
    };
    let references = Arc::new(project.references.clone());
    let live = std::io::IsTerminal::is_terminal(&std::io::stdout()) && !arguments.json;
    let mut driver = Driver::new(
        Sampler::start(output),
        supervisor,
        sources,
        Arc::clone(&references),
        Store::new(&state_directory),
        driver_options(arguments),
        Output::new(live),
    );
    let count = format!("{}, {}", counted(project.plans.len(), "ScaledObject"), counted(described.len(), "workload"));
    let news = News::new(Level::Info, "keda", format!("up: {count}"));
    driver.output.tell(&news.with("stateDirectory", state_directory.display().to_string()));
    driver.apply(project.plans, described, references)?;
    // The texts of the manifests are not needed any more.
    drop(project.loaded);
    let code = inbox.serve(driver, arguments, live).await;
    drop(socket);
    Ok(code)
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn driver_options(arguments: &Up) -> Options {
    let downscale_stabilization = arguments.downscale_stabilization;
    Options {
        hpa_interval: arguments.hpa_interval,
        controller: ControllerSettings { downscale_stabilization, ..ControllerSettings::default() },
        show_logs: !arguments.no_logs,
    }
}

/// Everything that can happen to a running `keda up`.
struct Inbox {
    reports: mpsc::UnboundedReceiver<Report>,
    processes: process::Events,
    asked: mpsc::Receiver<instance::Asked>,
    reader: Reader,
    files: Watch,
    terminate: Signal,
    interrupt: Signal,
}

impl Inbox {
    /// Serves the driver until a signal ends it; the exit code.
    async fn serve(mut self, mut driver: Driver, arguments: &Up, live: bool) -> u8 {
        let mut draw = tokio::time::interval(DRAW_EVERY);
        draw.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            let deadline = driver.deadline();
            tokio::select! {
                Some(report) = self.reports.recv() => driver.reported(report),
                Some(description) = driver.describer.next() => driver.described(description),
                Some(event) = self.processes.next() => driver.processed(&event),
                () = tokio::time::sleep_until(deadline) => driver.tick(),
                Some((question, reply)) = self.asked.recv() => {
                    // Whoever asked may have gone.
                    let _ = reply.send(driver.answers(&question));
                }
                Some(()) = self.files.changed() => reload(&mut driver, arguments, &mut self.reader),
                _ = draw.tick(), if live => driver.draw(),
                _ = self.terminate.recv() => break,
                _ = self.interrupt.recv() => break,
            }
        }
        driver.output.tell(&News::new(Level::Info, "keda", "stopping all workers"));
        self.stop(driver).await
    }

    async fn stop(mut self, mut driver: Driver) -> u8 {
        let stop = driver.stop();
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return FINE,
                // Workers are stopped by their shims even when nobody waits for them.
                _ = self.interrupt.recv() => return FINDINGS,
                Some(_) = self.processes.next() => {}
            }
        }
    }
}

/// Takes changed manifests over; broken ones change nothing.
fn reload(driver: &mut Driver, arguments: &Up, reader: &mut Reader) {
    let (project, described) = match read(arguments, reader) {
        Ok(read) => read,
        Err(error) => {
            let news = News::new(Level::Error, "manifests", "changed, but cannot be read; nothing was changed");
            driver.output.tell(&news.with("reason", format!("{error:#}")));
            return;
        }
    };
    if project.is_broken(arguments.manifests.strict) {
        report::print(&project.loaded);
        let summary = report::summary(&project.loaded.findings).unwrap_or_default();
        let news = News::new(Level::Error, "manifests", "changed, but broken; nothing was changed");
        driver.output.tell(&news.with("reason", summary));
        return;
    }
    driver.output.tell(&News::new(Level::Info, "manifests", "changed; taking them over"));
    let references = Arc::new(project.references.clone());
    if let Err(error) = driver.apply(project.plans, described, references) {
        driver.output.tell(&News::new(Level::Error, "manifests", format!("{error:#}")));
    }
}
