//! One connection for all who need the same one.
//!
//! A [`Slot`] holds a connection that several triggers share. It is made when first needed, by one of them while the
//! others wait, and again after somebody found it broken. While the source is down, those who waited for a failed
//! attempt share its error instead of dialling one after the other. The pool itself holds no connection: when the last
//! trigger drops its slot, the connection closes.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use keda_core::sample::SourceError;

/// Slots by what identifies their connection.
pub struct Pool<K, C> {
    slots: Mutex<HashMap<K, Weak<Slot<C>>>>,
}

impl<K, C> Default for Pool<K, C> {
    fn default() -> Self {
        Pool { slots: Mutex::new(HashMap::new()) }
    }
}

impl<K: Eq + Hash, C> Pool<K, C> {
    /// The slot of `key`, shared with everybody who has it.
    pub fn slot(&self, key: K) -> Arc<Slot<C>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(&key).and_then(Weak::upgrade) {
            return slot;
        }
        slots.retain(|_, slot| slot.strong_count() > 0);
        let slot = Arc::new(Slot::default());
        slots.insert(key, Arc::downgrade(&slot));
        slot
    }
}

impl<K, C> fmt::Debug for Pool<K, C> {
    /// Keys may hold credentials, so only their number is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        write!(f, "Pool({} slots)", slots.len())
    }
}

/// The place of one shared connection.
pub struct Slot<C> {
    state: tokio::sync::Mutex<State<C>>,
    /// Attempts that have ended: whoever sees it change while waiting has waited for one.
    attempts: AtomicU64,
}

struct State<C> {
    connection: Option<Arc<C>>,
    failure: Option<SourceError>,
}

impl<C> Default for Slot<C> {
    fn default() -> Self {
        Slot { state: tokio::sync::Mutex::new(State { connection: None, failure: None }), attempts: AtomicU64::new(0) }
    }
}

impl<C> fmt::Debug for Slot<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot")
    }
}

impl<C> Slot<C> {
    /// The connection, made with `connect` if there is none.
    ///
    /// # Errors
    /// What `connect` answered, to this caller or to the one it waited for.
    pub async fn get<F>(&self, connect: impl FnOnce() -> F) -> Result<Arc<C>, SourceError>
    where
        F: Future<Output = Result<C, SourceError>>,
    {
        let seen = self.attempts.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        if let Some(connection) = &state.connection {
            return Ok(Arc::clone(connection));
        }
        if let (Some(failure), true) = (&state.failure, self.attempts.load(Ordering::Acquire) != seen) {
            return Err(failure.clone());
        }
        let result = connect().await;
        self.attempts.fetch_add(1, Ordering::AcqRel);
        match result {
            Ok(connection) => {
                let connection = Arc::new(connection);
                *state = State { connection: Some(Arc::clone(&connection)), failure: None };
                Ok(connection)
            }
            Err(failure) => {
                state.failure = Some(failure.clone());
                Err(failure)
            }
        }
    }

    /// As [`Slot::get`], for what wears out: what `is_fresh` does not accept any more is made anew.
    ///
    /// # Errors
    /// As for [`Slot::get`].
    pub async fn fresh<F>(&self, is_fresh: impl Fn(&C) -> bool, connect: impl Fn() -> F) -> Result<Arc<C>, SourceError>
    where
        F: Future<Output = Result<C, SourceError>>,
    {
        let connection = self.get(&connect).await?;
        if is_fresh(&connection) {
            return Ok(connection);
        }
        self.discard(&connection).await;
        self.get(&connect).await
    }

    /// Forgets `broken`, so that the next caller connects anew; a connection made meanwhile stays.
    pub async fn discard(&self, broken: &Arc<C>) {
        let mut state = self.state.lock().await;
        if state.connection.as_ref().is_some_and(|current| Arc::ptr_eq(current, broken)) {
            state.connection = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use keda_core::sample::ErrorKind;

    use super::*;

    #[tokio::test]
    async fn a_thousand_who_ask_at_once_get_one_connection() {
        let pool: Pool<&str, u32> = Pool::default();
        let dialled = Arc::new(AtomicUsize::new(0));
        let ask = || {
            let (slot, dialled) = (pool.slot("redis"), Arc::clone(&dialled));
            async move {
                let connect = || async {
                    tokio::task::yield_now().await;
                    dialled.fetch_add(1, Ordering::SeqCst);
                    Ok(7)
                };
                slot.get(connect).await.map(|connection| *connection)
            }
        };
        let answers = futures::future::join_all((0..1000).map(|_| ask())).await;
        assert!(answers.iter().all(|answer| *answer == Ok(7)));
        assert_eq!(dialled.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn those_who_waited_for_a_failed_attempt_share_its_error() {
        let slot: Slot<u32> = Slot::default();
        let dialled = AtomicUsize::new(0);
        let connect = || async {
            dialled.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Err(SourceError::new(ErrorKind::Unreachable, "nobody there"))
        };
        let answers = futures::future::join_all((0..100).map(|_| slot.get(connect))).await;
        assert!(answers.iter().all(Result::is_err));
        assert_eq!(dialled.load(Ordering::SeqCst), 1);
        assert!(slot.get(|| async { Ok(1) }).await.is_ok(), "a later caller tries again");
    }

    #[tokio::test]
    async fn what_wears_out_is_made_anew() {
        let (slot, made) = (Slot::default(), AtomicUsize::new(0));
        let make = || async { Ok(made.fetch_add(1, Ordering::SeqCst)) };
        let is_fresh = |number: &usize| *number > 0;
        assert_eq!(*slot.fresh(is_fresh, make).await.unwrap(), 1, "the first one is worn out at once");
        assert_eq!(*slot.fresh(is_fresh, make).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_broken_connection_is_made_anew_once() {
        let slot: Slot<u32> = Slot::default();
        let first = slot.get(|| async { Ok(1) }).await.unwrap();
        slot.discard(&first).await;
        let second = slot.get(|| async { Ok(2) }).await.unwrap();
        slot.discard(&first).await;
        assert_eq!(*second, 2);
        assert_eq!(*slot.get(|| async { Ok(3) }).await.unwrap(), 2);
    }
}
