//! The steps of one measurement.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use futures::future::try_join_all;
use keda_server::cluster::ApiError;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::audit::writes;
use crate::bed::Bed;
use crate::contender::Contender;
use crate::group::Group;
use crate::report::{Figures, median};
use crate::source::Source;
use crate::{Settings, objects, progress, reads};

/// Rest between the creation of all objects and the idle time.
const SETTLING: Duration = Duration::from_secs(60);
/// Objects that are activated.
const ACTIVATIONS: usize = 5;
/// How long the deletion may take until something counts as stuck.
const STUCK: Duration = Duration::from_secs(300);
/// Connections that create pods.
const POD_CONNECTIONS: usize = 16;

/// Measures an operator on a control plane of its own.
pub(crate) async fn run(settings: &Settings, contender: &Contender) -> anyhow::Result<Figures> {
    let mut figures = Figures::default();
    progress("starting the control plane and the operator");
    let bed = Bed::start(settings, contender).await?;
    let source = Source::start().await?;
    let mut group = contender.start(settings, &bed).await?;
    progress(&format!("creating {} Deployments", settings.objects));
    objects::prepare(&bed, settings.objects).await?;
    create(settings, &bed, &source, &mut figures).await?;
    group.check()?;
    let idle = idle(settings, &bed, &group, &mut figures).await?;
    group.check()?;
    read(&bed, &group, idle, &mut figures).await?;
    activate(settings, &bed, &source, &mut figures).await?;
    delete(&bed, &mut figures).await?;
    group.check()?;
    group.end().await;
    if matches!(contender, Contender::Ours) && settings.pods > 0 {
        big_cluster(settings, contender, &bed, &source, &mut figures).await?;
    }
    Ok(figures)
}

async fn create(settings: &Settings, bed: &Bed, source: &Source, figures: &mut Figures) -> anyhow::Result<()> {
    progress(&format!("creating {} ScaledObjects", settings.objects));
    let position = bed.audit.position();
    let (creation, rest) = objects::scale_all(bed, source, settings.objects).await?;
    figures.set("hpas_all_seconds", rest.as_secs_f64());
    figures.note("creation of the ScaledObjects, s", creation.as_secs_f64());
    progress(&format!("created in {:.1} s, all HPAs {:.2} s later", creation.as_secs_f64(), rest.as_secs_f64()));
    progress(&format!("settling for {} s", SETTLING.as_secs()));
    sleep(SETTLING).await;
    tell_requests(&bed.audit.since(position)?);
    Ok(())
}

/// Gives the processor time that the operator needs in a second.
async fn idle(settings: &Settings, bed: &Bed, group: &Group, figures: &mut Figures) -> anyhow::Result<f64> {
    progress(&format!("idle for {} minutes", settings.idle_minutes));
    let (position, before, begun) = (bed.audit.position(), group.processor_seconds(), Instant::now());
    sleep(settings.idle()).await;
    let per_second = (group.processor_seconds() - before) / begun.elapsed().as_secs_f64();
    let resident = group.resident_mib();
    // The log is written a moment later.
    sleep(Duration::from_secs(2)).await;
    let requests = bed.audit.since(position)?;
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    let written = f64::from(u32::try_from(writes(&requests))?);
    let objects = f64::from(u32::try_from(settings.objects)?);
    figures.set("rss_mib", resident);
    figures.set("cpu_s_per_min", per_second * 60.0);
    figures.set("writes_per_object_10min", written / objects / minutes * 10.0);
    progress(&format!("{resident:.1} MiB, {:.2} s of processor time per minute", per_second * 60.0));
    tell_requests(&requests);
    Ok(per_second)
}

fn tell_requests(requests: &BTreeMap<String, usize>) {
    for (what, count) in requests {
        progress(&format!("  {count:>6} {what}"));
    }
}

async fn read(bed: &Bed, group: &Group, idle: f64, figures: &mut Figures) -> anyhow::Result<()> {
    let paths = reads::paths(bed).await?;
    progress("reading all metrics, each every 15 s");
    let cost = reads::measure(bed, group, &paths, true, idle).await?;
    figures.set("read_p50_ms", cost.p50);
    figures.set("read_p99_ms", cost.p99);
    figures.set("read_cpu_ms", cost.processor);
    progress("reading all metrics, again and again");
    let again = reads::measure(bed, group, &paths, false, idle).await?;
    figures.note("read of a value that is mostly fresh, median, ms", again.p50);
    figures.note("read of a value that is mostly fresh, 99th percentile, ms", again.p99);
    figures.note("read of a value that is mostly fresh, processor time, ms", again.processor);
    let text =
        |cost: &reads::Cost| format!("{:.1} ms, p99 {:.1} ms, processor {:.2} ms", cost.p50, cost.p99, cost.processor);
    progress(&format!("{}; mostly fresh: {}", text(&cost), text(&again)));
    Ok(())
}

async fn activate(settings: &Settings, bed: &Bed, source: &Source, figures: &mut Figures) -> anyhow::Result<()> {
    progress(&format!("activating {ACTIVATIONS} objects"));
    let step = (settings.objects / ACTIVATIONS).max(1);
    let activations = (0..settings.objects).step_by(step).take(ACTIVATIONS).map(|object| async move {
        let (told, scaled) = tokio::join!(source.give(object, 3), objects::wait_for_replica(bed, object));
        anyhow::Ok(scaled?.saturating_duration_since(told).as_secs_f64())
    });
    let all = tokio::time::timeout(Duration::from_secs(180), try_join_all(activations)).await;
    let seconds = all.context("an object was not activated within 3 minutes")??;
    progress(&format!("activated after {seconds:.3?} s"));
    figures.set("activation_seconds", median(seconds));
    Ok(())
}

async fn delete(bed: &Bed, figures: &mut Figures) -> anyhow::Result<()> {
    progress("deleting the namespace");
    let path = format!("/api/v1/namespaces/{}", objects::NAMESPACE);
    let begun = Instant::now();
    bed.cluster.delete(&path).await?;
    loop {
        let namespace: Result<Value, ApiError> = bed.cluster.get(&path).await;
        match namespace {
            Err(error) if error.is_not_found() => break,
            Ok(namespace) if begun.elapsed() > STUCK => bail!("the namespace is stuck: {}", namespace["status"]),
            _ => sleep(Duration::from_millis(100)).await,
        }
    }
    figures.set("delete_seconds", begun.elapsed().as_secs_f64());
    progress(&format!("gone after {:.1} s", begun.elapsed().as_secs_f64()));
    Ok(())
}

/// One object in a cluster with many pods, and a new operator.
async fn big_cluster(
    settings: &Settings,
    contender: &Contender,
    bed: &Bed,
    source: &Source,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    progress(&format!("creating {} pods", settings.pods));
    objects::namespace(bed, "crowd").await?;
    let pod = |number| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": format!("pod-{number}"), "namespace": "crowd" },
            "spec": { "schedulerName": "none", "containers": [{ "name": "main", "image": "worker" }] },
        })
    };
    // Pods need the namespace's ServiceAccount.
    let account = "/api/v1/namespaces/crowd/serviceaccounts/default";
    let there = async || bed.cluster.get::<Value>(account).await.is_ok();
    crate::bed::until(Duration::from_secs(60), there).await.context("the namespace has no ServiceAccount")?;
    let pods = (0..settings.pods).map(pod);
    objects::create_all(&bed.cluster, "/api/v1/namespaces/crowd/pods", POD_CONNECTIONS, pods).await?;
    objects::prepare(bed, 1).await?;
    progress("starting the operator anew");
    let mut group = contender.start(settings, bed).await?;
    objects::scale_all(bed, source, 1).await?;
    sleep(Duration::from_secs(60)).await;
    group.check()?;
    figures.set("rss_big_cluster_mib", group.resident_mib());
    progress(&format!("{:.1} MiB", group.resident_mib()));
    group.end().await;
    Ok(())
}
