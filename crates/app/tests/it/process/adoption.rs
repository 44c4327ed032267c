//! What survives when the supervisor does not.

use std::collections::BTreeSet;
use std::fs;

use keda::local::process::{Exit, ProcessEventKind, Supervisor};
use rustix::process::Signal;

use super::harness::{Harness, Report};
use super::world::{Folder, key, kill, options, until, workload};

const SLEEP: &str = "exec sleep 1000";

fn pids(report: &[Report]) -> BTreeSet<Option<i32>> {
    report.iter().map(|replica| replica.pid).collect()
}

/// State and parent of a process; nothing when it is gone.
fn stat(pid: i32) -> Option<(String, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit(')').next()?.split_ascii_whitespace();
    Some((fields.next()?.to_string(), fields.next()?.parse().ok()?))
}

#[tokio::test]
async fn a_killed_supervisor_finds_its_workers_again() {
    let folder = Folder::new();
    let first = Harness::start(&folder, SLEEP, 3);
    let before = first.until_running(3).await;
    first.kill();
    let second = Harness::start(&folder, SLEEP, 3);
    let after = second.until_running(3).await;
    assert_eq!(pids(&after), pids(&before), "the same processes");
    assert!(after.iter().all(|replica| replica.adopted));
    // Three workers, three shims, one supervisor.
    assert_eq!(folder.processes().len(), 7, "none doubled");
    second.terminate();
    assert!(folder.processes().is_empty(), "on SIGTERM all stop");
}

#[tokio::test]
async fn a_supervisor_killed_at_any_moment_loses_and_doubles_nothing() {
    let folder = Folder::new();
    for round in 0_u64..12 {
        let harness = Harness::start(&folder, SLEEP, 4);
        // A little later each time: before, within and after the starts.
        tokio::time::sleep(std::time::Duration::from_millis(round * 7)).await;
        harness.kill();
    }
    let last = Harness::start(&folder, SLEEP, 4);
    last.until_running(4).await;
    until("four workers, four shims, one supervisor", || folder.processes().len() == 9).await;
    last.terminate();
    assert!(folder.processes().is_empty());
}

#[tokio::test]
async fn the_exit_of_an_adopted_worker_is_known() {
    let folder = Folder::new();
    let script = "trap 'exit 42' USR1; touch up-$REPLICA_INDEX; while :; do sleep 0.02; done";
    let first = Harness::start(&folder, script, 2);
    let workers: Vec<i32> = first.until_running(2).await.iter().filter_map(|replica| replica.pid).collect();
    until("both are listening", || ["up-0", "up-1"].iter().all(|name| fs::exists(folder.path().join(name)).unwrap()))
        .await;
    first.kill();
    // One ends while nobody looks, the other after its adoption.
    let (_, shim) = stat(workers[0]).unwrap();
    kill(workers[0], Signal::USR1);
    until("its end is recorded", || fs::exists(folder.path().join("state/workloads/shop/worker/0/exit.json")).unwrap())
        .await;
    // As long as the shim waits for what the worker left behind, there is something to adopt.
    until("its shim is gone", || stat(shim).is_none_or(|(state, _)| state == "Z")).await;
    let (supervisor, mut events) = Supervisor::open(options(folder.path())).unwrap();
    let orphans = supervisor.orphans();
    assert_eq!(orphans.iter().map(|status| &status.key).collect::<Vec<_>>(), [&key()]);
    assert_eq!(orphans[0].desired, 2, "the number of replicas is remembered");
    supervisor.apply(workload(folder.path(), script)).unwrap();
    assert!(supervisor.orphans().is_empty());
    let mut exits = BTreeSet::new();
    let mut adopted = Vec::new();
    while exits.len() < 2 {
        let event = events.next().await.unwrap();
        match event.kind {
            ProcessEventKind::Exited { exit } => {
                assert_eq!(exit, Exit::Code(42));
                exits.insert(event.index);
            }
            ProcessEventKind::Adopted { pid } => {
                adopted.push(pid);
                kill(pid, Signal::USR1);
            }
            _ => {}
        }
    }
    assert_eq!(adopted, workers[1..]);
    until("both run again", || supervisor.status(&key()).is_some_and(|status| status.ready == 2)).await;
    supervisor.stop_all().await;
    assert!(folder.processes().is_empty());
}

#[tokio::test]
async fn a_worker_without_its_shim_is_adopted_too() {
    let folder = Folder::new();
    let first = Harness::start(&folder, SLEEP, 1);
    let report = first.until_running(1).await;
    first.kill();
    let worker = report[0].pid.unwrap();
    let shims: Vec<i32> = folder.processes().into_iter().filter(|pid| *pid != worker).collect();
    shims.iter().for_each(|pid| kill(*pid, Signal::KILL));
    until("the shim is gone", || folder.processes() == [worker].into()).await;
    let second = Harness::start(&folder, SLEEP, 1);
    let after = second.until_running(1).await;
    assert_eq!(after[0].pid, Some(worker));
    second.terminate();
    assert!(folder.processes().is_empty());
}

#[tokio::test]
async fn a_shim_that_is_killed_under_its_supervisor_costs_no_worker() {
    let folder = Folder::new();
    let (supervisor, _events) = Supervisor::open(options(folder.path())).unwrap();
    supervisor.apply(workload(folder.path(), "sleep 1000 & wait")).unwrap();
    supervisor.scale(&key(), 1);
    let is_ready = || supervisor.status(&key()).is_some_and(|status| status.ready == 1);
    until("it runs", || is_ready() && folder.processes().len() == 3).await;
    let worker = supervisor.status(&key()).unwrap().replicas[0].pid.unwrap();
    let (_, shim) = stat(worker).unwrap();
    kill(shim, Signal::KILL);
    until("the shim is gone", || folder.processes().len() == 2).await;
    assert_eq!(supervisor.status(&key()).unwrap().replicas[0].pid, Some(worker));
    supervisor.stop_all().await;
    assert!(folder.processes().is_empty());
}

#[tokio::test]
async fn orphans_can_be_stopped() {
    let folder = Folder::new();
    let first = Harness::start(&folder, SLEEP, 2);
    first.until_running(2).await;
    first.kill();
    let (supervisor, _events) = Supervisor::open(options(folder.path())).unwrap();
    for orphan in supervisor.orphans() {
        supervisor.remove(&orphan.key);
    }
    until("the orphans are gone", || supervisor.statuses().is_empty()).await;
    assert!(folder.processes().is_empty());
}

#[tokio::test]
async fn a_stop_goes_on_when_the_supervisor_is_killed_in_the_middle() {
    let folder = Folder::new();
    let script = "trap 'touch asked; while ! [ -e go ]; do sleep 0.02; done; touch done; exit 0' TERM; touch up; \
                  while :; do sleep 0.02; done";
    let harness = Harness::start(&folder, script, 1);
    let exists = |name: &str| fs::exists(folder.path().join(name)).unwrap();
    until("the worker is up", || exists("up")).await;
    harness.ask_to_stop();
    until("the stop has reached the worker", || exists("asked")).await;
    harness.kill();
    fs::write(folder.path().join("go"), "").unwrap();
    until("all have ended", || folder.processes().is_empty()).await;
    assert!(exists("done"), "in the worker's own way");
}
