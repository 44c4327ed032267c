//! The source of all metrics: a number for each object, 0 unless set, as JSON over HTTP.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The server.
#[derive(Clone)]
pub(crate) struct Source {
    work: Arc<Mutex<HashMap<usize, Work>>>,
    /// Where an object's number is, without its position at the end.
    pub(crate) url: String,
}

/// Work of one object.
struct Work {
    amount: u32,
    told: Option<Instant>,
    telling: Arc<Notify>,
}

impl Source {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("cannot listen")?;
        let url = format!("http://{}/", listener.local_addr()?);
        let source = Source { work: Arc::default(), url };
        let router = Router::new().route("/{object}", get(answer)).with_state(source.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(source)
    }

    /// Gives an object work. The end of the future is the moment at which the operator was first told.
    pub(crate) async fn give(&self, object: usize, amount: u32) -> Instant {
        let telling = Arc::new(Notify::new());
        let work = Work { amount, told: None, telling: Arc::clone(&telling) };
        self.all().insert(object, work);
        telling.notified().await;
        self.all().get(&object).and_then(|work| work.told).unwrap_or_else(Instant::now)
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<usize, Work>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(State(source): State<Source>, Path(object): Path<usize>) -> String {
    let mut all = source.all();
    let Some(work) = all.get_mut(&object) else { return "{\"value\": 0}".to_string() };
    if work.told.is_none() {
        work.told = Some(Instant::now());
        work.telling.notify_one();
    }
    format!("{{\"value\": {}}}", work.amount)
}
