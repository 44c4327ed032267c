//! What happens when something fails: each test has a control plane of its own to break.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::bed::{Bed, CERTIFICATES};
use super::operator::{Operator, Settings};
use super::reads::Reads;
use super::world::{World, until};

/// The tests here need a lot of memory and time of the machine: one after the other.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

const FAST_ELECTION: [(&str, &str); 3] = [
    ("KEDA_OPERATOR_LEADER_ELECTION_LEASE_DURATION", "3s"),
    ("KEDA_OPERATOR_LEADER_ELECTION_RENEW_DEADLINE", "2s"),
    ("KEDA_OPERATOR_LEADER_ELECTION_RETRY_PERIOD", "500ms"),
];

fn elected(fast: bool) -> Settings {
    let environment = FAST_ELECTION.iter().filter(|_| fast);
    Settings {
        arguments: vec!["--leader-elect".to_string()],
        environment: environment.map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect(),
        secure_port: None,
    }
}

/// Lengths of the faults: those that everybody waits for, or with `KEDA_TEST_LONG=1` those that happen.
struct Lengths {
    /// How long the API server is away. Either is longer than the lease lasts.
    outage: Duration,
    /// How many times certificates are made anew.
    renewals: usize,
}

#[allow(clippy::disallowed_methods, reason = "what the suite was started with")]
fn lengths() -> Lengths {
    match std::env::var("KEDA_TEST_LONG").as_deref() {
        Ok("1") => Lengths { outage: Duration::from_secs(120), renewals: 20 },
        _ => Lengths { outage: Duration::from_secs(20), renewals: 5 },
    }
}

async fn holder(bed: &Bed) -> String {
    let path = "/apis/coordination.k8s.io/v1/namespaces/keda/leases/operator.keda.sh";
    let lease: Value = bed.cluster.get(path).await.unwrap_or_default();
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_is_away_ends_nothing_and_changes_nothing() {
    let _alone = ALONE.lock().await;
    let Some(bed) = Bed::start(&[]).await else { return };
    let mut operator = Operator::start(&bed, &elected(true)).await;
    let world = World::new(&bed, "outage", 2).await;
    world.source.set(10.0);
    world.scale(&json!({ "cooldownPeriod": 300 })).await;
    world.wait_for("Active", "True").await;
    let asleep = World::new(&bed, "asleep", 0).await;
    asleep.scale(&json!({})).await;
    // An operator that has just begun has more to catch up with.
    super::takeover::certificates_settle(&bed).await;
    bed.control("stop/apiserver").await;
    // The leader steps down and does not end.
    tokio::time::sleep(lengths().outage).await;
    assert!(operator.runs(), "{}", operator.output());
    bed.control("start/apiserver").await;
    let back = Instant::now();
    assert!(until(30, || async { world.replicas().await == 2 }).await, "replicas changed");
    world.source.set(20.0);
    asleep.source.set(5.0);
    // From nothing to something only a leader goes; the HPA's part needs none.
    asleep.wait_for_replicas(1).await;
    let led = back.elapsed();
    world.wait_for_replicas(4).await;
    println!("after the API server was back, it led again in {led:?}, and the HPA scaled in {:?}", back.elapsed());
    assert!(operator.runs(), "{}", operator.output());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_is_followed_and_no_read_fails() {
    follow_a_killed_leader(&elected(true), Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_kedas_own_lease_a_killed_leader_is_followed_in_time_too() {
    follow_a_killed_leader(&elected(false), Duration::from_secs(20)).await;
}

/// Kills the leader of two, and expects the other one to scale within a time while all reads succeed.
async fn follow_a_killed_leader(settings: &Settings, in_time: Duration) {
    let _alone = ALONE.lock().await;
    let Some(bed) = Bed::start(&[]).await else { return };
    let mut settings = settings.clone();
    let ports = [crate::servers::free_port(), crate::servers::free_port()];
    let front = bed.front(ports);
    settings.secure_port = Some(ports[0]);
    let mut one = Operator::start(&bed, &settings).await;
    assert!(until(20, || async { !holder(&bed).await.is_empty() }).await, "nobody leads: {}", one.output());
    let first = holder(&bed).await;
    settings.secure_port = Some(ports[1]);
    let other = Operator::start(&bed, &settings).await;
    let [awake, asleep] = [World::new(&bed, "followed", 1).await, World::new(&bed, "woken", 0).await];
    awake.source.set(10.0);
    for world in [&awake, &asleep] {
        world.scale(&json!({})).await;
    }
    awake.wait_for("Active", "True").await;
    awake.wait_for_replicas(2).await;
    let reads = Reads::start(&bed, &awake).await;
    one.end(Signal::KILL);
    let killed = Instant::now();
    asleep.source.set(5.0);
    awake.source.set(20.0);
    // From nothing to something only a leader goes; the HPA's part needs none.
    asleep.wait_for_replicas(1).await;
    let decided = killed.elapsed();
    assert_ne!(holder(&bed).await, first, "nobody follows: {}", other.output());
    assert!(decided < in_time, "it took {decided:?}");
    println!("the other one decided {decided:?} after the leader was killed");
    awake.wait_for_replicas(4).await;
    let failures = reads.end().await;
    assert!(failures.is_empty(), "{failures:?}\n{}", other.output());
    drop(front);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_asked_to_end_lets_go_at_once() {
    let _alone = ALONE.lock().await;
    let Some(bed) = Bed::start(&[]).await else { return };
    let mut settings = elected(false);
    let ports = [crate::servers::free_port(), crate::servers::free_port()];
    let front = bed.front(ports);
    settings.secure_port = Some(ports[0]);
    let mut one = Operator::start(&bed, &settings).await;
    assert!(until(20, || async { !holder(&bed).await.is_empty() }).await, "nobody leads: {}", one.output());
    let first = holder(&bed).await;
    settings.secure_port = Some(ports[1]);
    let other = Operator::start(&bed, &settings).await;
    let world = World::new(&bed, "ended", 0).await;
    world.scale(&json!({})).await;
    let reads = Reads::start(&bed, &world).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    one.signal(Signal::TERM);
    let asked = Instant::now();
    let taken = || async {
        let now = holder(&bed).await;
        !now.is_empty() && now != first
    };
    assert!(until(20, taken).await, "nobody follows: {}", other.output());
    assert!(asked.elapsed() < Duration::from_secs(2), "it took {:?}", asked.elapsed());
    assert!(crate::servers::wait_until(10, || !one.runs()), "it does not end");
    let failures = reads.end().await;
    assert!(failures.is_empty(), "{failures:?}\n{}\n{}", one.output(), other.output());
    drop(front);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_made_anew_under_reads_and_none_fails() {
    let _alone = ALONE.lock().await;
    let Some(bed) = Bed::start(&[]).await else { return };
    let mut settings = elected(true);
    let ports = [crate::servers::free_port(), crate::servers::free_port()];
    let front = bed.front(ports);
    settings.secure_port = Some(ports[0]);
    let one = Operator::start(&bed, &settings).await;
    settings.secure_port = Some(ports[1]);
    let other = Operator::start(&bed, &settings).await;
    let world = World::new(&bed, "rotated", 0).await;
    world.scale(&json!({})).await;
    let reads = Reads::start(&bed, &world).await;
    for _ in 0..lengths().renewals {
        // Within a moment after they were made, the same ones would be put back.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let before: Value = bed.cluster.get(CERTIFICATES).await.expect("certificates");
        bed.cluster.delete(CERTIFICATES).await.expect("they can be deleted");
        let renewed = || async {
            let now: Value = bed.cluster.get(CERTIFICATES).await.unwrap_or_default();
            now["data"]["tls.crt"].is_string() && now["data"]["tls.crt"] != before["data"]["tls.crt"]
        };
        assert!(until(30, renewed).await, "no new certificates: {}", one.output());
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let failures = reads.end().await;
    assert!(failures.is_empty(), "{failures:?}\n{}\n{}", one.output(), other.output());
    drop(front);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_operator_goes_on_where_it_was() {
    let _alone = ALONE.lock().await;
    let Some(bed) = Bed::start(&[]).await else { return };
    let mut operator = Operator::start(&bed, &Settings::default()).await;
    let world = World::new(&bed, "killed", 0).await;
    world.scale(&json!({})).await;
    for round in 0..4 {
        world.source.set(10.0 + f64::from(round));
        tokio::time::sleep(Duration::from_millis(300 * u64::from(round as u32))).await;
        operator.end(Signal::KILL);
        operator = Operator::start(&bed, &Settings::default()).await;
    }
    world.source.set(15.0);
    world.wait_for_replicas(3).await;
    assert_eq!(world.condition("Ready").await.0, "True");
}
