//! Reads of external metrics through the API server.

use std::time::Duration;

use anyhow::{Context, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use tokio::time::Instant;

use crate::api::Cluster;
use crate::bed::Bed;
use crate::group::Group;
use crate::objects::NAMESPACE;
use crate::report::percentile;

/// Connections that read.
const CONNECTIONS: usize = 4;
/// How often each metric is read.
const PASSES: u32 = 4;
/// How often the HPA controller reads a metric.
const SYNC_PERIOD: Duration = Duration::from_secs(15);

/// What reads cost.
pub(crate) struct Cost {
    /// Median, in ms.
    pub(crate) p50: f64,
    /// 99th percentile, in ms.
    pub(crate) p99: f64,
    /// The operator's processor time of one read, without what it needs anyway, in ms.
    pub(crate) processor: f64,
}

/// Where the metrics of all HPAs are read: as the HPA controller does, by the name and selector in the HPA.
pub(crate) async fn paths(bed: &Bed) -> anyhow::Result<Vec<String>> {
    let path = format!("/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers");
    let list: Value = bed.cluster.get(&path).await?;
    let hpas = list["items"].as_array().context("no list of HPAs")?;
    hpas.iter()
        .map(|hpa| path_of(&hpa["spec"]["metrics"][0]["external"]["metric"]).context("an HPA has no metric"))
        .collect()
}

fn path_of(metric: &Value) -> Option<String> {
    let name = metric["name"].as_str()?;
    let labels = metric["selector"]["matchLabels"].as_object()?;
    let labels: Vec<String> =
        labels.iter().filter_map(|(key, value)| Some(format!("{key}%3D{}", value.as_str()?))).collect();
    let selector = labels.join("%2C");
    Some(format!("/apis/external.metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}/{name}?labelSelector={selector}"))
}

/// Reads each metric several times; `spaced` by the period of the HPA controller, or else at once again. `idle` is the
/// processor time that the operator needs in a second anyway.
pub(crate) async fn measure(
    bed: &Bed,
    group: &Group,
    paths: &[String],
    spaced: bool,
    idle: f64,
) -> anyhow::Result<Cost> {
    let mut times = Vec::new();
    let mut processor = 0.0;
    for pass in 0..PASSES {
        let (before, begun) = (group.processor_seconds(), Instant::now());
        times.extend(read_all(&bed.cluster, paths).await?);
        processor += group.processor_seconds() - before - idle * begun.elapsed().as_secs_f64();
        if spaced && pass + 1 < PASSES {
            tokio::time::sleep_until(begun + SYNC_PERIOD).await;
        }
    }
    let reads = f64::from(u32::try_from(times.len())?);
    Ok(Cost { p50: percentile(&mut times, 50), p99: percentile(&mut times, 99), processor: processor * 1000.0 / reads })
}

/// Times of single reads, in ms.
async fn read_all(cluster: &Cluster, paths: &[String]) -> anyhow::Result<Vec<f64>> {
    let reads = paths.iter().map(|path| async move {
        let begun = Instant::now();
        let list: Value = cluster.get(path).await.with_context(|| format!("cannot read {path}"))?;
        let took = begun.elapsed().as_secs_f64() * 1000.0;
        ensure!(list["items"][0]["value"].is_string(), "{path} gives no value: {list}");
        Ok(took)
    });
    stream::iter(reads).buffer_unordered(CONNECTIONS).try_collect().await
}
