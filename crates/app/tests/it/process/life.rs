//! From start to stop under one supervisor.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keda::local::process::{Error, Exit, Options, ProcessEventKind, Supervisor, Workload};
use rustix::process::Signal;

use super::world::{World, key, kill, now, options, pids, until};

const SLEEP: &str = "exec sleep 1000";

#[tokio::test]
async fn replicas_start_scale_and_stop() {
    let world = World::new();
    world.run(SLEEP, 3);
    let three = world.until_ready(3).await;
    assert_eq!(
        three.replicas.iter().map(|replica| replica.name.as_str()).collect::<Vec<_>>(),
        ["worker-0", "worker-1", "worker-2"]
    );
    world.supervisor.scale(&key(), 1);
    let one = world.until_ready(1).await;
    assert_eq!(pids(&one), pids(&three)[..1], "the lowest index stays, untouched");
    let ended = pids(&three)[1];
    until("the ended worker is collected", || !Path::new(&format!("/proc/{ended}")).exists()).await;
    world.supervisor.scale(&key(), 2);
    assert_eq!(world.until_ready(2).await.replicas[1].index, 1);
    world.supervisor.scale(&key(), 0);
    world.until_ready(0).await;
    world.finish().await;
}

#[tokio::test]
async fn a_worker_that_handles_sigterm_ends_in_its_own_way() {
    let mut world = World::new();
    world.run("trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.02; done", 1);
    world.line("up").await;
    world.supervisor.scale(&key(), 0);
    let stopping = world.event("stopping", |kind| matches!(kind, ProcessEventKind::Stopping { .. })).await;
    let bye = world.line("bye").await;
    let exited = world.event("code 7", |kind| *kind == ProcessEventKind::Exited { exit: Exit::Code(7) }).await;
    assert!(stopping < bye && bye < exited, "the last words come before the end");
    world.event("stopped", |kind| *kind == ProcessEventKind::Stopped).await;
    assert!(!world.log.iter().any(|event| event.kind == ProcessEventKind::Killed));
    world.finish().await;
}

#[tokio::test]
async fn a_worker_that_ignores_sigterm_is_killed_after_the_grace_period() {
    let mut world = World::new();
    let script = "trap '' TERM; echo up; while :; do sleep 0.02; done";
    world.apply(Workload { grace_period: Duration::from_millis(300), ..world.workload(script) }, 1);
    world.line("up").await;
    let asked = now();
    world.supervisor.scale(&key(), 0);
    world.event("killed", |kind| *kind == ProcessEventKind::Killed).await;
    assert!(asked.elapsed() >= Duration::from_millis(300), "not before");
    world.event("signal 9", |kind| *kind == ProcessEventKind::Exited { exit: Exit::Signal(9) }).await;
    world.finish().await;
}

#[tokio::test]
async fn grandchildren_do_not_outlive_a_worker() {
    let mut world = World::new();
    // One in the group, one that left the session, and one that is deaf.
    let script = "sleep 1000 & setsid sleep 1000 & (trap '' TERM; while :; do sleep 0.02; done) & echo up; wait";
    world.apply(Workload { grace_period: Duration::from_millis(300), ..world.workload(script) }, 1);
    world.line("up").await;
    until("the family is complete", || world.folder.processes().len() >= 5).await;
    world.finish().await;
}

#[tokio::test]
async fn a_crash_takes_the_rest_of_the_family_along() {
    let mut world = World::new();
    let script = "setsid sleep 1000 & sleep 1000 & if [ -e second ]; then echo again; wait; fi; touch second; exit 3";
    world.run(script, 1);
    world.event("code 3", |kind| *kind == ProcessEventKind::Exited { exit: Exit::Code(3) }).await;
    world.line("again").await;
    // The shim, the shell and its two children: those of the first run are gone.
    until("four processes", || world.folder.processes().len() == 4).await;
    assert_eq!(world.status().replicas[0].restarts, 1);
    world.finish().await;
}

#[tokio::test]
async fn a_crashing_worker_backs_off_and_starts_again_even_after_success() {
    let mut world = World::new();
    world.run("exit 0", 1);
    let mut waits = Vec::new();
    for _ in 0..6 {
        let place = world.event("restarting", |kind| matches!(kind, ProcessEventKind::Restarting { .. })).await;
        if let ProcessEventKind::Restarting { after } = world.log[place].kind {
            waits.push(after.as_millis());
        }
    }
    assert_eq!(waits, [0, 50, 100, 200, 400, 400]);
    assert_eq!(world.status().replicas[0].last_exit.as_ref().map(|record| &record.exit), Some(&Exit::Code(0)));
    world.finish().await;
}

#[tokio::test]
async fn a_worker_that_is_killed_from_outside_is_noticed_at_once() {
    let mut world = World::new();
    world.run(SLEEP, 1);
    let pid = pids(&world.until_ready(1).await)[0];
    kill(pid, Signal::SEGV);
    world.event("signal 11", |kind| *kind == ProcessEventKind::Exited { exit: Exit::Signal(11) }).await;
    let started = world.event("started", |kind| matches!(kind, ProcessEventKind::Started { .. })).await;
    assert_ne!(world.log[started].kind, ProcessEventKind::Started { pid });
    world.finish().await;
}

#[tokio::test]
async fn a_replica_finds_its_identity_in_its_environment() {
    let mut world = World::new();
    let script = "echo $POD_NAMESPACE/$POD_NAME $REPLICA_INDEX $HOSTNAME $TOKEN $(pwd); exec sleep 1000";
    let mut workload = world.workload(script);
    workload.env.push(("TOKEN".into(), "of-$(POD_NAME)".into()));
    world.apply(workload, 2);
    let folder = world.folder.path().to_str().unwrap().to_owned();
    let expected = |index| format!("shop/worker-{index} {index} worker-{index} of-worker-{index} {folder}");
    let is_line = |kind: &ProcessEventKind| matches!(kind, ProcessEventKind::Log { .. });
    world.event("a line", is_line).await;
    world.event("a line", is_line).await;
    for index in 0..2 {
        let of_replica = world.log.iter().find(|event| is_line(&event.kind) && event.index == index).unwrap();
        assert_eq!(of_replica.kind, ProcessEventKind::Log { line: expected(index) });
        assert_eq!(of_replica.replica(), format!("worker-{index}"));
    }
    world.finish().await;
}

#[tokio::test]
async fn no_secret_reaches_the_disk_or_a_command_line() {
    let world = World::new();
    let mut workload = world.workload(SLEEP);
    workload.env.push(("PASSWORD".into(), "correct-horse".into()));
    world.apply(workload, 1);
    world.until_ready(1).await;
    let files = files_below(world.folder.path());
    assert!(files.iter().any(|path| path.ends_with("process.json")));
    let texts = files.iter().map(|path| fs::read(path).unwrap());
    let lines = world.folder.processes().into_iter().map(|pid| fs::read(format!("/proc/{pid}/cmdline")).unwrap());
    for text in texts.chain(lines) {
        assert!(!String::from_utf8_lossy(&text).contains("correct-horse"));
    }
    world.finish().await;
}

#[tokio::test]
async fn what_cannot_start_says_why_and_is_tried_again() {
    let missing = |command: &str, directory: Option<PathBuf>| (command.to_owned(), directory);
    for ((command, directory), expected) in [
        (missing("no-such-command", None), "command not found: no-such-command is not in PATH"),
        (missing("/no/such/command", None), "command not found: /no/such/command"),
        (missing("/etc/passwd", None), "permission denied: /etc/passwd is not executable"),
        (missing("true", Some("/no/such/directory".into())), "working directory /no/such/directory does not exist"),
    ] {
        let mut world = World::new();
        let workload = world.workload("");
        world.apply(Workload { command: vec![command], working_directory: directory, ..workload }, 1);
        let failed = |kind: &ProcessEventKind| matches!(kind, ProcessEventKind::StartFailed { .. });
        let place = world.event("start failed", failed).await;
        assert_eq!(world.log[place].kind, ProcessEventKind::StartFailed { reason: expected.into() });
        world.event("tried again", failed).await;
        assert_eq!(world.status().ready, 0);
        world.finish().await;
    }
}

#[tokio::test]
async fn logs_are_lines_in_order_and_large_ones_move_aside() {
    let folder = super::world::Folder::new();
    let options = Options { log_limit: 1000, ..options(folder.path()) };
    let (supervisor, mut events) = Supervisor::open(options).unwrap();
    supervisor.apply(super::world::workload(folder.path(), "seq 1 20000; exit 1")).unwrap();
    supervisor.scale(&key(), 1);
    for _ in 0..2 {
        let mut next = 1;
        while next <= 20_000 {
            if let ProcessEventKind::Log { line } = events.next().await.unwrap().kind {
                assert_eq!(line, next.to_string());
                next += 1;
            }
        }
    }
    assert!(supervisor.log_path(&key(), 0).with_extension("1").exists());
    supervisor.stop_all().await;
    assert!(folder.processes().is_empty());
}

#[tokio::test]
async fn a_new_revision_replaces_one_replica_at_a_time() {
    let world = World::new();
    world.run(SLEEP, 2);
    world.until_ready(2).await;
    world.apply(Workload { revision: 2, ..world.workload(SLEEP) }, 2);
    until("all are of the new revision", || {
        let status = world.status();
        assert!(status.ready >= 2, "never fewer than wanted");
        assert!(status.replicas.iter().filter(|replica| !replica.stopping).count() <= 3, "one more at most");
        status.replicas.len() == 2 && status.replicas.iter().all(|replica| replica.revision == 2)
    })
    .await;
    world.finish().await;
}

#[tokio::test]
async fn usage_covers_the_whole_family() {
    let world = World::new();
    world.run("(while :; do :; done) & wait", 1);
    world.until_ready(1).await;
    let used = || world.supervisor.usage(&key()).first().is_some_and(|usage| usage.cpu_nanoseconds > 50_000_000);
    until("the child's time is counted", used).await;
    assert!(world.supervisor.usage(&key())[0].memory_bytes > 100_000);
    world.finish().await;
}

#[tokio::test]
async fn idle_workloads_cost_no_task() {
    let world = World::new();
    for number in 0..500 {
        let mut workload = world.workload(SLEEP);
        workload.key.name = format!("worker-{number}");
        let key = workload.key.clone();
        world.supervisor.apply(workload).unwrap();
        world.supervisor.scale(&key, 0);
    }
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
    assert_eq!(world.supervisor.statuses().len(), 500);
    world.finish().await;
}

#[tokio::test]
async fn a_state_directory_has_one_supervisor_and_names_stay_inside_it() {
    let world = World::new();
    assert!(matches!(Supervisor::open(options(world.folder.path())), Err(Error::InUse(_))));
    let mut outside = world.workload(SLEEP);
    outside.key.namespace = "..".into();
    assert!(matches!(world.supervisor.apply(outside), Err(Error::Name(_))));
}

fn files_below(path: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            files.extend(files_below(&entry.path()));
        } else {
            files.push(entry.path());
        }
    }
    files
}
