//! Connections on which one question must be answered before the next: those who share one take turns.
//!
//! Whoever has the turn takes the connection out, and gives it back when the answer was read to its end. One who gives
//! up in between, or whose reading is cancelled, leaves nothing behind; the next one connects anew.

use std::future::Future;
use std::sync::Arc;

use keda_core::sample::SourceError;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::pool::{Pool, Slot};

/// One such connection for each key.
pub type TurnsPool<K, C> = Pool<K, Turns<C>>;

/// A connection, where it is not broken.
#[derive(Debug)]
pub struct Turns<C>(Arc<Mutex<Option<C>>>);

/// The right to use the connection, until this is dropped.
#[derive(Debug)]
pub struct Turn<C> {
    /// The connection.
    pub connection: C,
    place: OwnedMutexGuard<Option<C>>,
}

impl<C> Turn<C> {
    /// Leaves the connection to the next one.
    pub fn give_back(self) {
        let Turn { connection, mut place } = self;
        *place = Some(connection);
    }
}

/// Waits for the turn on the connection of `slot`, made with `connect` where there is none.
///
/// # Errors
/// What `connect` answered.
pub async fn turn<C, F>(slot: &Slot<Turns<C>>, connect: impl Fn() -> F) -> Result<Turn<C>, SourceError>
where
    F: Future<Output = Result<C, SourceError>>,
{
    loop {
        let dial = || async { connect().await.map(|connection| Turns(Arc::new(Mutex::new(Some(connection))))) };
        let turns = slot.get(dial).await?;
        let mut place = Arc::clone(&turns.0).lock_owned().await;
        match place.take() {
            Some(connection) => return Ok(Turn { connection, place }),
            None => slot.discard(&turns).await,
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
}
