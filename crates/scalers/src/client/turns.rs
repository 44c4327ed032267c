//! Connections on which one question must be answered before the next: those who share a server take turns on a few.
//!
//! Whoever has a turn takes a connection out, and gives it back when the answer was read to its end. One who gives up in
//! between, or whose reading is cancelled, leaves nothing behind; the next one connects anew. So does one who comes after
//! a long silence. There are as few connections as questions overlap, so that a slow query holds up the others only
//! where there are several of them.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use keda_core::sample::{ErrorKind, SourceError};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::pool::{Pool, Slot};

/// The longest that a query in SQL may take: the time limit of requests is too short for it, and a reading ends after
/// 30 s.
pub const QUERY: Duration = Duration::from_secs(25);

/// Silence after which a connection is not used again: what stands in between forgets silent ones, some after four
/// minutes, and whoever asks would wait in vain.
const SILENCE: Duration = Duration::from_secs(180);

/// The most connections of those who share a server.
const CONNECTIONS: usize = 4;

/// Such connections for each key.
pub type TurnsPool<K, C> = Pool<K, Turns<C>>;

/// The connections of those who share a server.
#[derive(Debug)]
pub struct Turns<C> {
    permits: Arc<Semaphore>,
    /// Those that nobody uses, and since when.
    idle: Mutex<Vec<(C, Instant)>>,
    /// Attempts to connect that failed, and how the last one did.
    failures: Mutex<(u64, Option<SourceError>)>,
}

impl<C> Turns<C> {
    fn new() -> Self {
        Turns {
            permits: Arc::new(Semaphore::new(CONNECTIONS)),
            idle: Mutex::new(Vec::new()),
            failures: Mutex::new((0, None)),
        }
    }

    /// The connection that was used last, unless it is silent for long.
    fn take(&self) -> Option<C> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since)| since.elapsed() < SILENCE);
        idle.pop().map(|(connection, _)| connection)
    }

    /// The others may be broken as well as one that is.
    fn forget_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// How often connecting failed so far, and how it did last.
    fn failed(&self) -> (u64, Option<SourceError>) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How a question failed.
#[derive(Debug)]
pub enum Failure {
    /// The server said so; the connection can be used again.
    Refused(SourceError),
    /// On the way. A connection that was open for long may have been broken for long.
    Lost(SourceError),
    /// The connection is of no use any more.
    Spoilt(SourceError),
}

impl Failure {
    /// What happened.
    pub fn into_error(self) -> SourceError {
        match self {
            Failure::Refused(error) | Failure::Lost(error) | Failure::Spoilt(error) => error,
        }
    }
}

impl From<SourceError> for Failure {
    /// Nobody there is lost, anything else spoilt.
    fn from(error: SourceError) -> Self {
        if error.kind == ErrorKind::Unreachable { Failure::Lost(error) } else { Failure::Spoilt(error) }
    }
}

/// The right to use a connection, until this is dropped.
#[derive(Debug)]
struct Turn<C> {
    connection: C,
    home: Arc<Turns<C>>,
    _permit: OwnedSemaphorePermit,
}

impl<C> Turn<C> {
    /// Leaves the connection to the next one.
    fn give_back(self) {
        let Turn { connection, home, _permit } = self;
        home.idle.lock().unwrap_or_else(PoisonError::into_inner).push((connection, Instant::now()));
    }
}

/// What talks over such a connection.
#[async_trait]
pub trait Database: Sync {
    /// The connection.
    type Connection: Send;
    /// What a query gives.
    type Answer: Send;

    /// Makes a connection.
    async fn connect(&self) -> Result<Self::Connection, SourceError>;

    /// Asks, and reads the answer to its end.
    async fn ask(&self, connection: &mut Self::Connection, query: &str) -> Result<Self::Answer, Failure>;
}

/// Asks on a connection of `slot`; and once more on a new one where it broke.
///
/// # Errors
/// What connecting or asking failed with; [`ErrorKind::Unreachable`] for an answer that takes longer than `patience`.
pub async fn ask<D: Database>(
    database: &D,
    slot: &Slot<Turns<D::Connection>>,
    query: &str,
    patience: Duration,
) -> Result<D::Answer, SourceError> {
    let mut failure = SourceError::new(ErrorKind::Unreachable, "the connection broke");
    for _ in 0..2 {
        let mut turn = turn(slot, || database.connect()).await?;
        match timeout(patience, database.ask(&mut turn.connection, query)).await {
            Ok(Ok(answer)) => {
                turn.give_back();
                return Ok(answer);
            }
            Ok(Err(Failure::Refused(error))) => {
                turn.give_back();
                return Err(error);
            }
            Ok(Err(Failure::Lost(error))) => {
                turn.home.forget_idle();
                failure = error;
            }
            Ok(Err(Failure::Spoilt(error))) => return Err(error),
            Err(_) => {
                // The server may be gone without a word, and then each of the others would take as long.
                turn.home.forget_idle();
                return Err(too_slow(patience));
            }
        }
    }
    Err(failure)
}

/// A query that runs: the server goes on with one that nobody waits for any more, unless it is told. Dropped before it
/// has ended, this has it told.
pub struct Running<F: Future<Output = ()> + Send + 'static>(Option<F>);

impl<F: Future<Output = ()> + Send + 'static> Running<F> {
    /// It begins; `call_off` tells the server to stop.
    pub fn new(call_off: F) -> Self {
        Running(Some(call_off))
    }

    /// It has ended by itself.
    pub fn end(mut self) {
        self.0 = None;
    }
}

impl<F: Future<Output = ()> + Send + 'static> fmt::Debug for Running<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Running")
    }
}

impl<F: Future<Output = ()> + Send + 'static> Drop for Running<F> {
    fn drop(&mut self) {
        if let (Some(call_off), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(call_off);
        }
    }
}

/// That a query took longer than `patience`.
pub fn too_slow(patience: Duration) -> SourceError {
    SourceError::new(ErrorKind::Unreachable, format!("the query took longer than {} s", patience.as_secs()))
}

/// Waits for a turn on a connection of `slot`. Those who waited while another one could not connect share its error
/// instead of trying one after the other.
async fn turn<C, F>(slot: &Slot<Turns<C>>, connect: impl Fn() -> F) -> Result<Turn<C>, SourceError>
where
    F: Future<Output = Result<C, SourceError>>,
{
    let home = slot.get(|| async { Ok(Turns::new()) }).await?;
    let (before, _) = home.failed();
    let permit = Arc::clone(&home.permits).acquire_owned().await;
    let permit = permit.map_err(|_| SourceError::new(ErrorKind::Unreachable, "the connections are closed"))?;
    if let Some(connection) = home.take() {
        return Ok(Turn { connection, home, _permit: permit });
    }
    if let (failures, Some(failure)) = home.failed()
        && failures != before
    {
        return Err(failure);
    }
    let connected = connect().await;
    if let Err(error) = &connected {
        let mut failures = home.failures.lock().unwrap_or_else(PoisonError::into_inner);
        *failures = (failures.0 + 1, Some(error.clone()));
    }
    Ok(Turn { connection: connected?, home, _permit: permit })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_connection_is_used_by_one_at_a_time_and_made_anew_when_it_is_not_given_back() {
        let (slot, dialled) = (Slot::default(), AtomicU32::new(0));
        let next = || turn(&slot, || async { Ok(dialled.fetch_add(1, Ordering::SeqCst)) });
        let first = next().await.unwrap();
        assert_eq!(next().await.unwrap().connection, 1, "another one where the first is in use");
        first.give_back();
        assert_eq!(next().await.unwrap().connection, 0);
        assert_eq!(next().await.unwrap().connection, 2);
    }

    #[tokio::test]
    async fn there_are_a_few_connections_and_then_one_waits() {
        let (slot, dialled) = (Slot::default(), AtomicU32::new(0));
        let next = || turn(&slot, || async { Ok(dialled.fetch_add(1, Ordering::SeqCst)) });
        let mut taken = futures::future::try_join_all((0..CONNECTIONS).map(|_| next())).await.unwrap();
        assert!(futures::poll!(std::pin::pin!(next())).is_pending());
        taken.pop().unwrap().give_back();
        next().await.unwrap().give_back();
        assert_eq!(dialled.load(Ordering::SeqCst) as usize, CONNECTIONS);
    }

    #[tokio::test]
    async fn those_who_waited_while_nobody_could_connect_do_not_try_themselves() {
        let (slot, dialled) = (Slot::default(), AtomicU32::new(0));
        let fail = || async {
            dialled.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Err::<u32, _>(SourceError::new(ErrorKind::Unreachable, "nobody there"))
        };
        let all = futures::future::join_all((0..100).map(|_| turn(&slot, fail))).await;
        assert!(all.iter().all(Result::is_err));
        assert!(dialled.load(Ordering::SeqCst) as usize <= CONNECTIONS);
        assert_eq!(turn(&slot, || async { Ok(7) }).await.unwrap().connection, 7, "a later one tries again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_was_silent_for_long_is_made_anew() {
        let (slot, dialled) = (Slot::default(), AtomicU32::new(0));
        let next = || turn(&slot, || async { Ok(dialled.fetch_add(1, Ordering::SeqCst)) });
        next().await.unwrap().give_back();
        tokio::time::advance(SILENCE / 2).await;
        let second = next().await.unwrap();
        assert_eq!(second.connection, 0);
        second.give_back();
        tokio::time::advance(SILENCE).await;
        assert_eq!(next().await.unwrap().connection, 1);
    }
}
