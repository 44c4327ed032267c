//! CPU and memory of the workers, as the resource metrics API of a cluster would give them for `cpu` and `memory`
//! triggers.

use std::collections::BTreeMap;
use std::time::Duration;

use keda_core::api;
use keda_core::hpa::Pod;
use keda_core::hpa::pods::{Container, Phase, PodSample, Readiness};
use keda_core::quantity::Quantity;

use super::process::{ReplicaUsage, WorkloadStatus};

/// The latest measurements of a workload's replicas.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    container: Option<api::Container>,
    last: BTreeMap<u32, Measured>,
}

#[derive(Debug, Clone, Copy)]
struct Measured {
    at: Duration,
    usage: ReplicaUsage,
    /// Cores used since the measurement before; absent at the first.
    cores: Option<f64>,
    window: Duration,
}

impl Resources {
    /// Says which container the replicas run.
    pub(crate) fn of(&mut self, container: &api::Container) {
        self.container = Some(container.clone());
    }

    /// Takes in a measurement of all replicas.
    #[allow(clippy::cast_precision_loss)] // Nanoseconds of one interval.
    pub(crate) fn measure(&mut self, now: Duration, usages: Vec<ReplicaUsage>) {
        let mut measured = BTreeMap::new();
        for usage in usages {
            let before = self.last.get(&usage.index);
            let cores =
                before.filter(|before| before.usage.cpu_nanoseconds <= usage.cpu_nanoseconds).and_then(|before| {
                    let elapsed = now.checked_sub(before.at)?.as_nanos();
                    let used = usage.cpu_nanoseconds - before.usage.cpu_nanoseconds;
                    (elapsed > 0).then(|| used as f64 / elapsed as f64)
                });
            let window = before.map_or(Duration::ZERO, |before| now.saturating_sub(before.at));
            measured.insert(usage.index, Measured { at: now, usage, cores, window });
        }
        self.last = measured;
    }

    /// The replicas as pods.
    pub(crate) fn pods(&self, now: Duration, workload: &WorkloadStatus) -> Vec<Pod> {
        let Some(container) = &self.container else { return Vec::new() };
        let quantity = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => text.parse::<Quantity>().ok(),
            other => other.to_string().parse().ok(),
        };
        let requests: BTreeMap<String, Quantity> = container
            .resources
            .requests
            .iter()
            .chain(
                container.resources.limits.iter().filter(|(name, _)| !container.resources.requests.contains_key(*name)),
            )
            .filter_map(|(name, value)| Some((name.clone(), quantity(value)?)))
            .collect();
        let replicas = workload.replicas.iter();
        replicas
            .map(|replica| Pod {
                name: replica.name.clone(),
                phase: if replica.pid.is_some() { Phase::Running } else { Phase::Pending },
                deleting: replica.stopping,
                started: Some(Duration::ZERO),
                ready: Some(Readiness { status: Some(replica.ready), changed: Some(Duration::ZERO) }),
                containers: vec![Container {
                    name: container.name.clone(),
                    requests: requests.clone(),
                    sidecar: false,
                }],
                init_containers: Vec::new(),
                requests: BTreeMap::new(),
                sample: self.sample(replica.index, &container.name, now),
                custom: BTreeMap::new(),
            })
            .collect()
    }

    #[allow(clippy::cast_possible_truncation)] // Saturates, far above any machine.
    fn sample(&self, index: u32, container: &str, now: Duration) -> Option<PodSample> {
        let measured = self.last.get(&index)?;
        let cores = measured.cores?;
        let memory = i64::try_from(measured.usage.memory_bytes).unwrap_or(i64::MAX);
        let usage = BTreeMap::from([
            ("cpu".to_string(), Quantity::from_milli((cores * 1000.0).ceil() as i64)),
            ("memory".to_string(), Quantity::from_integer(memory)),
        ]);
        let usage = BTreeMap::from([(container.to_string(), usage)]);
        Some(PodSample { at: now, window: measured.window, usage })
    }
}
