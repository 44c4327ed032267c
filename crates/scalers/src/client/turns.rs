//! Connections on which one question must be answered before the next: those who share one take turns.
//!
//! Whoever has the turn takes the connection out, and gives it back when the answer was read to its end. One who gives
//! up in between, or whose reading is cancelled, leaves nothing behind; the next one connects anew. So does one who
//! comes after a long silence.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keda_core::sample::{ErrorKind, SourceError};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, timeout};

use super::pool::{Pool, Slot};

/// The longest that a query in SQL may take: the time limit of requests is too short for it, and a reading ends after
/// 30 s.
pub const QUERY: Duration = Duration::from_secs(25);

/// Silence after which a connection is not used again: what stands in between forgets silent ones, some after four
/// minutes, and whoever asks would wait in vain.
const SILENCE: Duration = Duration::from_secs(180);

/// One such connection for each key.
pub type TurnsPool<K, C> = Pool<K, Turns<C>>;

/// A connection, where it is not broken.
#[derive(Debug)]
pub struct Turns<C>(Arc<Mutex<Place<C>>>);

/// The connection while nobody has the turn, and since when it is silent.
type Place<C> = Option<(C, Instant)>;

impl<C> Turns<C> {
    fn new(connection: C) -> Self {
        Turns(Arc::new(Mutex::new(Some((connection, Instant::now())))))
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

/// The right to use the connection, until this is dropped.
#[derive(Debug)]
struct Turn<C> {
    connection: C,
    place: OwnedMutexGuard<Place<C>>,
}

impl<C> Turn<C> {
    /// Leaves the connection to the next one.
    fn give_back(self) {
        let Turn { connection, mut place } = self;
        *place = Some((connection, Instant::now()));
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

/// Asks on the connection of `slot`; and once more on a new one where it broke.
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
            Ok(Err(Failure::Lost(error))) => failure = error,
            Ok(Err(Failure::Spoilt(error))) => return Err(error),
            Err(_) => return Err(too_slow(patience)),
        }
    }
    Err(failure)
}

/// That a query took longer than `patience`.
pub fn too_slow(patience: Duration) -> SourceError {
    SourceError::new(ErrorKind::Unreachable, format!("the query took longer than {} s", patience.as_secs()))
}

/// Waits for the turn on the connection of `slot`.
async fn turn<C, F>(slot: &Slot<Turns<C>>, connect: impl Fn() -> F) -> Result<Turn<C>, SourceError>
where
    F: Future<Output = Result<C, SourceError>>,
{
    loop {
        let dial = || async { connect().await.map(Turns::new) };
        let turns = slot.get(dial).await?;
        let mut place = Arc::clone(&turns.0).lock_owned().await;
        match place.take() {
            Some((connection, since)) if since.elapsed() < SILENCE => return Ok(Turn { connection, place }),
            _ => slot.discard(&turns).await,
        }
    }
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
        assert!(futures::poll!(std::pin::pin!(next())).is_pending());
        first.give_back();
        assert_eq!(next().await.unwrap().connection, 0);
        assert_eq!(next().await.unwrap().connection, 1);
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
