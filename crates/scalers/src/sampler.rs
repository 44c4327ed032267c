//! Decides when which query is read: once for all who ask.
//!
//! A *query* is what a trigger asks of its source; triggers with the same fingerprint share one. Its interval is the
//! shortest of those who ask. It is read at once when somebody new asks, and then at a phase of its own, so that many
//! queries spread over their interval. A reading in progress is never started twice: who comes meanwhile waits for it.
//! A failed reading rebuilds the scaler, secrets included, and is tried once more before it counts as failed.

mod timetable;

use std::collections::HashMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use keda_core::engine::ObjectKey;
use keda_core::sample::{ErrorKind, Reading, SourceError};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use crate::trigger::{Memory, Scaler};
use timetable::Timetable;

/// Readings in progress at the same time.
const CONCURRENCY: usize = 1024;
/// Time after which a reading has failed, whatever its source's own limits.
const PATIENCE: Duration = Duration::from_secs(30);

/// The time of day, for the few sources that depend on it.
#[allow(clippy::disallowed_methods)]
pub fn wall_clock() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// Makes the scaler of a query, with secrets resolved anew.
pub type Build = Arc<dyn Fn() -> Result<Box<dyn Scaler>, SourceError> + Send + Sync>;

/// Who asks: an object, and the position of its trigger.
pub type Subscriber = (ObjectKey, usize);

/// What a trigger asks of its source.
#[derive(Clone)]
pub struct Query {
    /// The same for triggers that ask the same.
    pub fingerprint: u128,
    /// How often this subscriber wants it read.
    pub interval: Duration,
    /// Makes the scaler.
    pub build: Build,
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query").field("interval", &self.interval).finish_non_exhaustive()
    }
}

/// A reading, for one subscriber.
#[derive(Debug, Clone)]
pub struct Sampled {
    /// Who asked.
    pub subscriber: Subscriber,
    /// What was asked.
    pub fingerprint: u128,
    /// What the source said.
    pub result: Result<Reading, SourceError>,
    /// How long it took, the second try included.
    pub took: Duration,
}

/// The handle on the sampler's task.
#[derive(Debug, Clone)]
pub struct Sampler {
    commands: mpsc::UnboundedSender<Command>,
}

enum Command {
    Subscribe(Subscriber, Query),
    /// Ends the subscriptions of an object, but for those of these triggers.
    Retain(ObjectKey, Vec<usize>),
    Read(Subscriber),
    /// Of which query, and of which of its lives.
    Done(u128, u64, Box<Finished>),
}

/// What a reading leaves behind.
struct Finished {
    scaler: Option<Arc<dyn Scaler>>,
    memory: Memory,
    result: Result<Reading, SourceError>,
    took: Duration,
}

impl Sampler {
    /// Starts the sampler's task, which ends when the last handle is dropped. Readings go to `output`.
    pub fn start(output: mpsc::UnboundedSender<Sampled>) -> Self {
        let (commands, inbox) = mpsc::unbounded_channel();
        let task = Task {
            inbox,
            done: commands.downgrade(),
            output,
            queries: HashMap::new(),
            subscriptions: HashMap::new(),
            timetable: Timetable::default(),
            permits: Arc::new(Semaphore::new(CONCURRENCY)),
            epoch: Instant::now(),
            lives: 0,
        };
        tokio::spawn(task.run());
        Sampler { commands }
    }

    /// Reads a query now and then at its interval, until [`Sampler::unsubscribe`]. A subscriber has one query; a new
    /// one replaces it.
    pub fn subscribe(&self, subscriber: Subscriber, query: Query) {
        self.send(Command::Subscribe(subscriber, query));
    }

    /// Ends all subscriptions of an object.
    pub fn unsubscribe(&self, object: &ObjectKey) {
        self.retain(object, Vec::new());
    }

    /// Ends the subscriptions of an object, but for those of these triggers.
    pub fn retain(&self, object: &ObjectKey, triggers: Vec<usize>) {
        self.send(Command::Retain(object.clone(), triggers));
    }

    /// Reads a subscriber's query now, or waits for the reading in progress. The result goes to everybody who shares
    /// the query.
    pub fn read(&self, subscriber: Subscriber) {
        self.send(Command::Read(subscriber));
    }

    fn send(&self, command: Command) {
        // The task ends only when every handle is gone.
        let _ = self.commands.send(command);
    }
}

struct Task {
    inbox: mpsc::UnboundedReceiver<Command>,
    done: mpsc::WeakUnboundedSender<Command>,
    output: mpsc::UnboundedSender<Sampled>,
    queries: HashMap<u128, State>,
    subscriptions: HashMap<Subscriber, u128>,
    timetable: Timetable,
    permits: Arc<Semaphore>,
    epoch: Instant,
    /// Queries that were begun.
    lives: u64,
}

/// One query.
struct State {
    /// Tells it from an earlier one with the same fingerprint.
    life: u64,
    build: Build,
    subscribers: Vec<(Subscriber, Duration)>,
    scaler: Option<Arc<dyn Scaler>>,
    /// `None` while a reading has it.
    memory: Option<Memory>,
    reading: bool,
}

impl State {
    fn interval(&self) -> Duration {
        self.subscribers.iter().map(|(_, interval)| *interval).min().unwrap_or(Duration::from_secs(30))
    }
}

impl Task {
    async fn run(mut self) {
        loop {
            let due = self.timetable.next().map(|at| self.epoch + at);
            let wake = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                command = self.inbox.recv() => match command {
                    Some(command) => self.handle(command),
                    None => return,
                },
                () = wake => self.read_due(),
            }
        }
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn handle(&mut self, command: Command) {
        match command {
            Command::Subscribe(subscriber, query) => self.subscribe(subscriber, query),
            Command::Retain(object, kept) => {
                let is_gone = |(known, trigger): &&Subscriber| *known == object && !kept.contains(trigger);
                let gone: Vec<_> = self.subscriptions.keys().filter(is_gone).cloned().collect();
                for subscriber in gone {
                    self.leave(&subscriber);
                }
            }
            Command::Read(subscriber) => {
                if let Some(fingerprint) = self.subscriptions.get(&subscriber) {
                    self.read(*fingerprint);
                }
            }
            Command::Done(fingerprint, life, finished) => self.finish(fingerprint, life, *finished),
        }
    }

    fn subscribe(&mut self, subscriber: Subscriber, query: Query) {
        let Query { fingerprint, interval, build } = query;
        if self.subscriptions.get(&subscriber) != Some(&fingerprint) {
            self.leave(&subscriber);
        }
        self.lives += 1;
        let life = self.lives;
        let state = self.queries.entry(fingerprint).or_insert_with(|| State {
            life,
            build: Arc::clone(&build),
            subscribers: Vec::new(),
            scaler: None,
            memory: Some(Memory::default()),
            reading: false,
        });
        // The newest knows the newest manifests.
        state.build = build;
        state.subscribers.retain(|(known, _)| *known != subscriber);
        state.subscribers.push((subscriber.clone(), interval));
        self.subscriptions.insert(subscriber, fingerprint);
        self.read(fingerprint);
    }

    fn leave(&mut self, subscriber: &Subscriber) {
        let Some(fingerprint) = self.subscriptions.remove(subscriber) else { return };
        let Some(state) = self.queries.get_mut(&fingerprint) else { return };
        state.subscribers.retain(|(known, _)| known != subscriber);
        if state.subscribers.is_empty() {
            self.queries.remove(&fingerprint);
            self.timetable.cancel(fingerprint);
        }
    }

    fn read_due(&mut self) {
        for fingerprint in self.timetable.take_due(self.now()) {
            self.read(fingerprint);
        }
    }

    /// Starts a reading unless one is in progress, and plans the next.
    fn read(&mut self, fingerprint: u128) {
        let now = self.now();
        let Some(state) = self.queries.get_mut(&fingerprint) else { return };
        self.timetable.plan(fingerprint, state.interval(), now);
        if std::mem::replace(&mut state.reading, true) {
            return;
        }
        let (build, scaler) = (Arc::clone(&state.build), state.scaler.clone());
        let memory = state.memory.take().unwrap_or_default();
        let (done, permits, life) = (self.done.clone(), Arc::clone(&self.permits), state.life);
        tokio::spawn(async move {
            let reading = async {
                let Ok(_permit) = tokio::time::timeout(PATIENCE, permits.acquire_owned()).await else {
                    return Finished::failed("too many sources do not answer", memory);
                };
                read_twice(&build, scaler, memory).await
            };
            let finished = match AssertUnwindSafe(reading).catch_unwind().await {
                Ok(finished) => finished,
                Err(_) => Finished::failed("setting up the source failed by a fault in keda itself", Memory::default()),
            };
            if let Some(done) = done.upgrade() {
                let _ = done.send(Command::Done(fingerprint, life, Box::new(finished)));
            }
        });
    }

    fn finish(&mut self, fingerprint: u128, life: u64, finished: Finished) {
        let Some(state) = self.queries.get_mut(&fingerprint).filter(|state| state.life == life) else { return };
        state.reading = false;
        state.scaler = finished.scaler;
        state.memory = Some(finished.memory);
        for (subscriber, _) in &state.subscribers {
            let sampled = Sampled {
                subscriber: subscriber.clone(),
                fingerprint,
                result: finished.result.clone(),
                took: finished.took,
            };
            // Nobody listens any more at shutdown.
            let _ = self.output.send(sampled);
        }
    }
}

impl Finished {
    fn failed(message: &str, memory: Memory) -> Self {
        let result = Err(SourceError::new(ErrorKind::Unreachable, message));
        Finished { scaler: None, memory, result, took: Duration::ZERO }
    }
}

/// Reads, and after a failure rebuilds and reads once more.
async fn read_twice(build: &Build, scaler: Option<Arc<dyn Scaler>>, mut memory: Memory) -> Finished {
    let started = Instant::now();
    let finish = |scaler, memory, result| Finished { scaler, memory, result, took: started.elapsed() };
    let mut attempts = 2;
    if let Some(scaler) = scaler {
        let result = attempt(&*scaler, &mut memory).await;
        if result.is_ok() {
            return finish(Some(scaler), memory, result);
        }
        attempts -= 1;
    }
    let mut failure = SourceError::new(ErrorKind::Configuration, "the source was not read");
    for _ in 0..attempts {
        let scaler: Arc<dyn Scaler> = match build() {
            Ok(scaler) => Arc::from(scaler),
            Err(error) => return finish(None, memory, Err(error)),
        };
        match attempt(&*scaler, &mut memory).await {
            Ok(reading) => return finish(Some(scaler), memory, Ok(reading)),
            Err(error) => failure = error,
        }
        if started.elapsed() > PATIENCE / 2 {
            break;
        }
    }
    finish(None, memory, Err(failure))
}

/// One reading, with a limit in time; a panic in it becomes an error of this trigger alone.
async fn attempt(scaler: &dyn Scaler, memory: &mut Memory) -> Result<Reading, SourceError> {
    let reading = AssertUnwindSafe(scaler.sample(memory)).catch_unwind();
    match tokio::time::timeout(PATIENCE, reading).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => {
            Err(SourceError::new(ErrorKind::Malformed, "reading the source failed by a fault in keda itself"))
        }
        Err(_) => {
            let message = format!("no answer within {} s", PATIENCE.as_secs());
            Err(SourceError::new(ErrorKind::Unreachable, message))
        }
    }
}

#[cfg(test)]
mod tests;
