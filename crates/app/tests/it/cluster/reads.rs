//! Reads of a metric through the API server, one after the other, whose failures are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinHandle;

use super::bed::Bed;
use super::world::{World, until};

/// Reads that go on until they are ended.
pub struct Reads {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Vec<String>>,
}

impl Reads {
    /// Begins to read the one metric of the world's ScaledObject, once it can be read at all.
    pub async fn start(bed: &Bed, world: &World<'_>) -> Self {
        let path = path_of(world);
        let cluster = bed.cluster.clone();
        let readable = || async { cluster.get::<Value>(&path).await.is_ok() };
        assert!(until(30, readable).await, "{:?}", cluster.get::<Value>(&path).await);
        let stop = Arc::new(AtomicBool::new(false));
        let ending = Arc::clone(&stop);
        let cluster = cluster.clone();
        let task = tokio::spawn(async move {
            let mut failures = Vec::new();
            while !ending.load(Ordering::SeqCst) {
                if let Err(error) = cluster.get::<Value>(&path).await {
                    // A read in flight at a process that is killed may be tried once more.
                    if let Err(again) = cluster.get::<Value>(&path).await {
                        failures.push(format!("{error}; {again}"));
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            failures
        });
        Reads { stop, task }
    }

    /// Ends, with what failed.
    pub async fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.expect("the reads")
    }
}

/// Path of the metric of the world's ScaledObject.
pub fn path_of(world: &World<'_>) -> String {
    format!(
        "/apis/external.metrics.k8s.io/v1beta1/namespaces/{}/s0-metric-api-value?labelSelector=\
         scaledobject.keda.sh%2Fname%3Dweb",
        world.namespace
    )
}
