//! The event source: a queue of jobs with an HTTP interface.
//!
//! | request | answer |
//! |---|---|
//! | `GET /jobs` | the counts, which is what the ScaledObject looks at |
//! | `POST /jobs?count=40` | puts jobs in |
//! | `POST /take` | the job that waited longest, or 204 |
//! | `POST /done/{id}` | takes note that a job is done |

use std::collections::{HashSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use keda::clock;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// The queue; clones are the same queue.
#[derive(Clone, Default)]
pub(crate) struct Queue(Arc<Mutex<Jobs>>);

/// How many jobs are where.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Counts {
    /// Waiting or being worked on.
    pub(crate) unfinished: usize,
    pub(crate) waiting: usize,
    pub(crate) working: usize,
    pub(crate) done: usize,
}

/// What a worker gets.
#[derive(Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) id: usize,
    /// How long the work takes.
    pub(crate) milliseconds: u64,
}

#[derive(Default)]
struct Jobs {
    added: usize,
    waiting: VecDeque<(Job, Instant)>,
    working: HashSet<usize>,
    done: usize,
    waits: Vec<Duration>,
}

/// How long the work of the job with this number takes: about 1.5 s, a bit different from job to job.
pub(crate) fn duration_of(id: usize) -> Duration {
    Duration::from_millis([1500, 1300, 1700, 1400, 1600].get(id % 5).copied().unwrap_or(1500))
}

impl Queue {
    /// Puts that many jobs in.
    pub(crate) fn add(&self, count: usize) {
        let now = clock::monotonic();
        let mut jobs = self.lock();
        for _ in 0..count {
            let id = jobs.added;
            let milliseconds = u64::try_from(duration_of(id).as_millis()).unwrap_or(u64::MAX);
            jobs.waiting.push_back((Job { id, milliseconds }, now));
            jobs.added += 1;
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        let jobs = self.lock();
        let (waiting, working) = (jobs.waiting.len(), jobs.working.len());
        Counts { unfinished: waiting + working, waiting, working, done: jobs.done }
    }

    /// How long each job waited for a worker, as far as one took it.
    pub(crate) fn waits(&self) -> Vec<Duration> {
        self.lock().waits.clone()
    }

    /// Answers requests until the task is dropped.
    pub(crate) async fn serve(self, listener: TcpListener) -> anyhow::Result<()> {
        let router = Router::new()
            .route("/jobs", get(counts).post(add))
            .route("/take", post(take))
            .route("/done/{id}", post(done))
            .with_state(self);
        axum::serve(listener, router).await.context("the queue failed")
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A loopback socket on the port, or on any free one where that is taken.
pub(crate) async fn listen(port: u16) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port for the queue")?,
    };
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// The queue alone, until Ctrl-C.
pub(crate) async fn serve_by_hand(port: u16) -> anyhow::Result<ExitCode> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.with_context(|| format!("port {port} is taken"))?;
    println!("The queue is at http://127.0.0.1:{port}/jobs; put jobs in with POST /jobs?count=40.");
    tokio::select! {
        result = Queue::default().serve(listener) => result?,
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Deserialize)]
struct Burst {
    count: usize,
}

async fn counts(State(queue): State<Queue>) -> Json<Counts> {
    Json(queue.counts())
}

async fn add(State(queue): State<Queue>, Query(burst): Query<Burst>) -> StatusCode {
    queue.add(burst.count);
    StatusCode::CREATED
}

async fn take(State(queue): State<Queue>) -> Result<Json<Job>, StatusCode> {
    let mut jobs = queue.lock();
    let (job, since) = jobs.waiting.pop_front().ok_or(StatusCode::NO_CONTENT)?;
    jobs.waits.push(clock::monotonic().saturating_duration_since(since));
    jobs.working.insert(job.id);
    Ok(Json(job))
}

async fn done(State(queue): State<Queue>, Path(id): Path<usize>) -> StatusCode {
    let mut jobs = queue.lock();
    if !jobs.working.remove(&id) {
        return StatusCode::NOT_FOUND;
    }
    jobs.done += 1;
    StatusCode::NO_CONTENT
}
