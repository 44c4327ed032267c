//! A cluster that another operator left behind, ours or KEDA's, is taken over without a stir.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::bed::{Bed, CERTIFICATES};
use super::least::the_least_role_is_enough;
use super::operator::{Operator, Settings};
use super::reads::Reads;
use super::settled::Settled;
use super::world::{World, until};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_as_it_should_be_is_not_written() {
    let Some(bed) = Bed::start(&[]).await else { return };
    let mut first = Operator::start(&bed, &Settings::default()).await;
    let resting = World::new(&bed, "resting", 0).await;
    resting.scale(&json!({ "minReplicaCount": 0 })).await;
    let kept = World::new(&bed, "kept", 3).await;
    kept.scale(&json!({ "minReplicaCount": 3 })).await;
    for world in [&resting, &kept] {
        world.wait_for("Active", "False").await;
        world.wait_for("HPAActive", "True").await;
    }
    certificates_settle(&bed).await;
    // A read that fails between the two operators would be news, and rightly written.
    bed.control("stop/controller-manager").await;
    first.end(Signal::TERM);
    for world in [&resting, &kept] {
        let path = world.path("autoscaling/v2", "horizontalpodautoscalers", "keda-hpa-web");
        let version = json!({ "metadata": { "labels": { "app.kubernetes.io/version": "2.17.2" } } });
        bed.cluster.merge::<Value>(&path, &version).await.expect("the HPA can be changed");
    }
    let before = [state(&bed, &resting).await, state(&bed, &kept).await];
    let mut second = Operator::start(&bed, &Settings::default()).await;
    // It reads the sources, which the objects' triggers show in nothing but the operator's own metrics.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let after = [state(&bed, &resting).await, state(&bed, &kept).await];
    assert_eq!(before, after, "{}", second.output());
    bed.control("start/controller-manager").await;
    resting.source.set(5.0);
    resting.wait_for_replicas(1).await;
    second.end(Signal::TERM);
    the_least_role_is_enough(&bed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keda_left_behind_is_not_written() {
    let Some(bed) = Bed::start(&[]).await else { return };
    // Certificates like KEDA's, and an API server that trusts them.
    let mut first = Operator::start(&bed, &Settings::default()).await;
    certificates_settle(&bed).await;
    first.end(Signal::TERM);
    // Nobody else writes while it is looked at, and HPAs keep the statuses that they are given.
    bed.control("stop/controller-manager").await;
    let settled = [
        Settled::resting(&bed).await,
        Settled::active(&bed).await,
        Settled::with_fallback(&bed).await,
        Settled::with_everything(&bed).await,
        Settled::paused(&bed).await,
        Settled::paused_later(&bed).await,
    ];
    let mut before = Vec::new();
    for one in &settled {
        before.push(one.objects().await);
    }
    let operator = Operator::start(&bed, &Settings::default()).await;
    let reads = Reads::start(&bed, &settled[1].world).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    for (one, before) in settled.iter().zip(&before) {
        for (before, after) in before.iter().zip(one.objects().await) {
            let (namespace, output) = (&one.world.namespace, operator.output());
            assert_eq!(before["status"], after["status"], "{namespace}\n{output}");
            assert_eq!(*before, after, "{namespace}\n{output}");
        }
    }
    let failures = reads.end().await;
    assert!(failures.is_empty(), "{failures:?}");
    bed.control("start/controller-manager").await;
    let [resting, ..] = &settled;
    resting.world.source.set(10.0);
    resting.world.wait_for_replicas(2).await;
}

/// Waits until the operator has made its certificates and told the API server of them.
pub async fn certificates_settle(bed: &Bed) {
    assert!(until(20, || async { bed.cluster.get::<Value>(CERTIFICATES).await.is_ok() }).await);
    tokio::time::sleep(Duration::from_secs(3)).await;
}

/// Identity and version of all that belongs to a world. An HPA's status is the business of its controller.
async fn state(bed: &Bed, world: &World<'_>) -> Vec<Value> {
    let secret: Value = bed.cluster.get(CERTIFICATES).await.unwrap_or_default();
    let deployment = world.get("apps/v1", "deployments", "web").await;
    let (object, hpa) = (world.object().await, world.hpa().await);
    vec![
        secret["metadata"]["resourceVersion"].clone(),
        object["metadata"]["resourceVersion"].clone(),
        json!([hpa["metadata"]["uid"], hpa["metadata"]["labels"], hpa["metadata"]["annotations"], hpa["spec"]]),
        deployment["metadata"]["generation"].clone(),
    ]
}
