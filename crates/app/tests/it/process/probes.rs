//! Readiness by exec, HTTP and TCP against real workers and a real server.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use keda::local::process::{Probe, ProbeAction, ProcessEventKind, Workload};
use tokio::net::TcpListener;

use super::world::World;
use crate::servers::free_port;

fn probe(action: ProbeAction) -> Option<Probe> {
    Some(Probe { period: Duration::from_millis(20), failure_threshold: 2, ..Probe::new(action) })
}

fn is_ready(kind: &ProcessEventKind) -> bool {
    *kind == ProcessEventKind::Ready
}

fn is_not_ready(kind: &ProcessEventKind) -> bool {
    matches!(kind, ProcessEventKind::NotReady { .. })
}

#[tokio::test]
async fn exec_sees_the_workers_directory_and_environment() {
    let mut world = World::new();
    let action = ProbeAction::Exec { command: ["sh", "-c", "test -e up-$POD_NAME"].map(str::to_owned).into() };
    let script = "echo running; while ! [ -e go ]; do sleep 0.02; done; touch up-$POD_NAME; \
                  while [ -e go ]; do sleep 0.02; done; rm up-$POD_NAME; exec sleep 1000";
    world.apply(Workload { readiness: probe(action), ..world.workload(script) }, 1);
    world.line("running").await;
    assert_eq!(world.status().ready, 0);
    std::fs::write(world.folder.path().join("go"), "").unwrap();
    world.event("ready", is_ready).await;
    assert_eq!(world.status().ready, 1);
    std::fs::remove_file(world.folder.path().join("go")).unwrap();
    let place = world.event("not ready", is_not_ready).await;
    assert_eq!(world.log[place].kind, ProcessEventKind::NotReady { reason: "sh failed: exit status: 1".into() });
    world.finish().await;
}

#[tokio::test]
async fn http_judges_the_status_and_sends_the_headers() {
    let status = Arc::new(AtomicU16::new(503));
    let answer = Arc::clone(&status);
    let handler = move |headers: HeaderMap| async move {
        let expected = headers.get("x-probe").is_some_and(|value| value == "yes") && headers.contains_key("host");
        if expected { StatusCode::from_u16(answer.load(Ordering::SeqCst)).unwrap() } else { StatusCode::BAD_REQUEST }
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = axum::Router::new().route("/healthz", axum::routing::get(handler));
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    let mut world = World::new();
    let action = ProbeAction::Http {
        host: "127.0.0.1".into(),
        port,
        path: "/healthz".into(),
        tls: false,
        headers: vec![("X-Probe".into(), "yes".into())],
    };
    world.apply(Workload { readiness: probe(action), ..world.workload("exec sleep 1000") }, 1);
    world.event("started", |kind| matches!(kind, ProcessEventKind::Started { .. })).await;
    assert_eq!(world.status().ready, 0);
    status.store(302, Ordering::SeqCst);
    world.event("ready", is_ready).await;
    status.store(500, Ordering::SeqCst);
    let place = world.event("not ready", is_not_ready).await;
    assert_eq!(world.log[place].kind, ProcessEventKind::NotReady { reason: "HTTP status 500".into() });
    world.finish().await;
    server.abort();
}

#[tokio::test]
async fn tcp_is_ready_when_somebody_listens() {
    let port = free_port();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    let mut world = World::new();
    let action = ProbeAction::Tcp { host: "127.0.0.1".into(), port };
    world.apply(Workload { readiness: probe(action), ..world.workload("exec sleep 1000") }, 1);
    world.event("ready", is_ready).await;
    drop(listener);
    world.event("not ready", is_not_ready).await;
    world.finish().await;
}
