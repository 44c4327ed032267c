//! Decides when which query is read: once for all who ask.
//!
//! A *query* is what a trigger asks of its source; triggers with the same fingerprint share one. Its interval is the
//! shortest of those who ask. It is read at once when somebody new asks, and then at a phase of its own, so that many
//! queries spread over their interval. A reading in progress is never started twice: who comes meanwhile waits for it.
//! A failed reading rebuilds the scaler, secrets included, and is tried once more before it counts as failed. Who asks
//! without an interval only gets what it asks for with [`Sampler::read`], and what is read for others.
//!
//! Each of those who share a query can rebuild its scaler, and they take turns: one whose own secrets are gone does not
//! hold the others up, and is told of it itself. One whose secrets have changed asks something else from then on, and
//! gets a query of its own, or shares that of others who ask the same by then.
//!
//! A source that speaks up by itself is listened to as long as somebody has an interval ([`Push`]).

mod pushes;
mod reading;
mod state;
mod timetable;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use keda_core::engine::ObjectKey;
use keda_core::sample::{Reading, SourceError};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use crate::client::notices::Notice;
use crate::trigger::{Push, Scaler};
use pushes::Listening;
pub(crate) use reading::guarded;
use reading::{Finished, Moved};
use state::{Participant, State};
use timetable::Timetable;

/// Readings in progress at the same time.
const CONCURRENCY: usize = 1024;

/// The time of day, for the few sources that depend on it.
#[allow(clippy::disallowed_methods)]
pub fn wall_clock() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// Makes the scaler of a query, with secrets resolved anew.
pub type Build = Arc<dyn Fn() -> BoxFuture<'static, Result<Built, SourceError>> + Send + Sync>;

/// A scaler that was made.
pub struct Built {
    /// What it asks: something else than before where a secret has changed.
    pub fingerprint: u128,
    /// The scaler.
    pub scaler: Box<dyn Scaler>,
}

impl fmt::Debug for Built {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Built")
    }
}

/// Who asks: an object, and the position of its trigger.
pub type Subscriber = (ObjectKey, usize);

/// What a trigger asks of its source.
#[derive(Clone)]
pub struct Query {
    /// The same for triggers that ask the same.
    pub fingerprint: u128,
    /// How often this subscriber wants it read; never without being asked when `None`.
    pub interval: Option<Duration>,
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
    /// How much later than the schedule wanted it began; `None` for a reading that was only asked for.
    pub late: Option<Duration>,
    /// What was noticed meanwhile: told to one of those who share the query.
    pub notices: Vec<Notice>,
}

/// What a source said by itself, for one subscriber that has an interval.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// Who listens.
    pub subscriber: Subscriber,
    /// What it asks of the source.
    pub fingerprint: u128,
    /// What the source said.
    pub push: Push,
}

/// What comes out of the sampler.
#[derive(Debug, Clone)]
pub enum Report {
    /// A source was read.
    Sampled(Sampled),
    /// A source spoke up.
    Pushed(Pushed),
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
    /// From the source of which query, in which of its lives.
    Pushed(u128, u64, Push),
    /// A query's source says nothing any more, but may be listened to again.
    Silent(u128, u64),
}

impl Sampler {
    /// Starts the sampler's task, which ends when the last handle is dropped. Readings and pushes go to `output`.
    pub fn start(output: mpsc::UnboundedSender<Report>) -> Self {
        let (commands, inbox) = mpsc::unbounded_channel();
        let task = Task {
            inbox,
            done: commands.downgrade(),
            output,
            queries: HashMap::new(),
            subscriptions: BTreeMap::new(),
            timetable: Timetable::default(),
            permits: Arc::new(Semaphore::new(CONCURRENCY)),
            epoch: Instant::now(),
            lives: 0,
        };
        tokio::spawn(task.run());
        Sampler { commands }
    }

    /// Reads a query now and then at its interval, if it has one, until [`Sampler::unsubscribe`]. A subscriber has one
    /// query; a new one replaces it.
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
    output: mpsc::UnboundedSender<Report>,
    queries: HashMap<u128, Box<State>>,
    /// The query of each subscriber; another one than it asked for where its secrets have changed since.
    subscriptions: BTreeMap<Subscriber, u128>,
    timetable: Timetable,
    permits: Arc<Semaphore>,
    epoch: Instant,
    /// Queries that were begun.
    lives: u64,
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
                let all = (object.clone(), 0)..=(object, usize::MAX);
                let theirs = self.subscriptions.range(all).map(|(subscriber, _)| subscriber);
                let gone: Vec<_> = theirs.filter(|(_, trigger)| !kept.contains(trigger)).cloned().collect();
                for subscriber in gone {
                    self.leave(&subscriber);
                }
            }
            Command::Read(subscriber) => {
                if let Some(fingerprint) = self.subscriptions.get(&subscriber) {
                    self.read(*fingerprint, None);
                }
            }
            Command::Done(fingerprint, life, finished) => self.finish(fingerprint, life, *finished),
            Command::Pushed(fingerprint, life, push) => self.pushed(fingerprint, life, &push),
            Command::Silent(fingerprint, life) => {
                if let Some(state) = self.state_in(fingerprint, life) {
                    state.listening = Listening::NotYet;
                }
            }
        }
    }

    fn subscribe(&mut self, subscriber: Subscriber, query: Query) {
        let Query { fingerprint, interval, build } = query;
        if self.subscriptions.get(&subscriber) != Some(&fingerprint) {
            self.leave(&subscriber);
        }
        self.join(fingerprint, Participant { subscriber, asked: fingerprint, interval, build });
    }

    /// Has somebody share a query, which is begun if there is none.
    fn join(&mut self, fingerprint: u128, participant: Participant) {
        let is_polled = participant.interval.is_some();
        self.lives += 1;
        let state = self.queries.entry(fingerprint).or_insert_with(|| Box::new(State::new(self.lives)));
        self.subscriptions.insert(participant.subscriber.clone(), fingerprint);
        state.join(participant);
        match is_polled {
            true => self.read(fingerprint, None),
            false => self.settle(fingerprint),
        }
    }

    fn leave(&mut self, subscriber: &Subscriber) {
        let Some(fingerprint) = self.subscriptions.remove(subscriber) else { return };
        let Some(state) = self.queries.get_mut(&fingerprint) else { return };
        state.leave(subscriber);
        self.settle(fingerprint);
    }

    /// Ends a query that nobody shares, and leaves one alone that nobody wants read at an interval any more.
    fn settle(&mut self, fingerprint: u128) {
        if self.queries.get(&fingerprint).is_some_and(|state| state.participants.is_empty()) {
            self.queries.remove(&fingerprint);
            self.timetable.cancel(fingerprint);
        } else if let Some(state) = self.queries.get_mut(&fingerprint).filter(|state| state.interval().is_none()) {
            state.listening = Listening::NotYet;
            self.timetable.cancel(fingerprint);
        }
    }

    fn read_due(&mut self) {
        for (due, fingerprint) in self.timetable.take_due(self.now()) {
            self.read(fingerprint, Some(self.epoch + due));
        }
    }

    /// Starts a reading unless one is in progress, and plans the next.
    fn read(&mut self, fingerprint: u128, due: Option<Instant>) {
        let now = self.now();
        let Some(state) = self.queries.get_mut(&fingerprint) else { return };
        let interval = state.interval();
        if let Some(interval) = interval {
            self.timetable.plan(fingerprint, interval, now);
        }
        if std::mem::replace(&mut state.reading, true) {
            return;
        }
        let job = reading::Job {
            fingerprint,
            builds: state.builds(),
            scaler: state.scaler.clone(),
            memory: state.memory.take().unwrap_or_default(),
            listen: interval.is_some() && matches!(state.listening, Listening::NotYet),
            due,
        };
        let (done, permits, life) = (self.done.clone(), Arc::clone(&self.permits), state.life);
        tokio::spawn(async move {
            let finished = job.run(permits).await;
            if let Some(done) = done.upgrade() {
                let _ = done.send(Command::Done(fingerprint, life, Box::new(finished)));
            }
        });
    }

    /// The query, unless it is gone or another one has its fingerprint by now.
    fn state_in(&mut self, fingerprint: u128, life: u64) -> Option<&mut State> {
        self.queries.get_mut(&fingerprint).filter(|state| state.life == life).map(|state| &mut **state)
    }

    fn finish(&mut self, fingerprint: u128, life: u64, finished: Finished) {
        let commands = self.done.clone();
        let Some(state) = self.state_in(fingerprint, life) else { return };
        state.reading = false;
        state.memory = Some(finished.memory);
        state.turn = state.turn.wrapping_add(finished.built);
        state.scaler = finished.scaler;
        if state.interval().is_some()
            && let Some(pushes) = finished.pushes
            && matches!(state.listening, Listening::NotYet)
        {
            state.listening = Listening::to(pushes, fingerprint, life, commands);
        }
        let has_moved =
            |participant: &Participant| finished.moved.iter().any(|moved| moved.subscriber == participant.subscriber);
        let all_part = state.participants.iter().all(has_moved);
        for moved in finished.moved {
            self.part(fingerprint, moved, all_part);
        }
        let Some(state) = self.state_in(fingerprint, life) else { return };
        let Some(result) = finished.result else {
            // All who could have made a scaler ask something else by now.
            return self.read(fingerprint, None);
        };
        let mut notices = finished.notices;
        let reports = state.participants.iter().map(|participant| {
            let refusal = finished.refused.iter().find(|(subscriber, _)| *subscriber == participant.subscriber);
            let result = match (&result, refusal) {
                (Err(_), Some((_, refusal))) => Err(refusal.clone()),
                (result, _) => (*result).clone(),
            };
            Report::Sampled(Sampled {
                subscriber: participant.subscriber.clone(),
                fingerprint: participant.asked,
                result,
                took: finished.took,
                late: finished.late,
                notices: std::mem::take(&mut notices),
            })
        });
        let reports: Vec<Report> = reports.collect();
        self.tell(reports);
    }

    /// Has somebody whose secrets have changed leave a query for the one that it asks by now. What is remembered goes
    /// along where nobody stays.
    fn part(&mut self, fingerprint: u128, moved: Moved, all_part: bool) {
        let Some(state) = self.queries.get_mut(&fingerprint) else { return };
        let Some(participant) = state.leave(&moved.subscriber) else { return };
        let memory = if all_part { state.memory.take() } else { None };
        self.settle(fingerprint);
        self.lives += 1;
        let (life, scaler) = (self.lives, Some(moved.scaler));
        let begin = || State { scaler, memory: Some(memory.unwrap_or_default()), ..State::new(life) };
        self.queries.entry(moved.fingerprint).or_insert_with(|| Box::new(begin()));
        self.join(moved.fingerprint, participant);
        // Also where it has no interval: it waits for the reading that has just been made.
        self.read(moved.fingerprint, None);
    }

    /// A source spoke up: those who have an interval hear of it.
    fn pushed(&mut self, fingerprint: u128, life: u64, push: &Push) {
        let Some(state) = self.state_in(fingerprint, life) else { return };
        let listeners = state.participants.iter().filter(|participant| participant.interval.is_some());
        let reports = listeners.map(|Participant { subscriber, asked, .. }| {
            Report::Pushed(Pushed { subscriber: subscriber.clone(), fingerprint: *asked, push: push.clone() })
        });
        let reports: Vec<Report> = reports.collect();
        self.tell(reports);
    }

    fn tell(&self, reports: Vec<Report>) {
        for report in reports {
            // Nobody listens any more at shutdown.
            let _ = self.output.send(report);
        }
    }
}

#[cfg(test)]
mod tests;
