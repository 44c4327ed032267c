//! Answers that hold for a while. Those who ask the same at the same time share one question.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::fingerprint::Key;

/// More entries than that are not kept.
const CAPACITY: usize = 8192;

/// A map of answers with a time to live. An error is no answer and is not kept.
#[derive(Debug)]
pub(super) struct Cache<V> {
    entries: Mutex<HashMap<Key, Arc<Entry<V>>>>,
}

type Entry<V> = OnceCell<(V, Instant)>;

impl<V: Clone> Cache<V> {
    pub(super) fn new() -> Self {
        Cache { entries: Mutex::default() }
    }

    /// The answer at hand, or the one that `ask` gives together with the time for which it holds.
    pub(super) async fn get_or_ask<E, F>(&self, key: Key, ask: impl FnOnce() -> F) -> Result<V, E>
    where
        F: Future<Output = Result<(V, Duration), E>>,
    {
        let entry = self.entry(key);
        let (value, _) = entry
            .get_or_try_init(|| async {
                let (value, lifetime) = ask().await?;
                Ok((value, Instant::now() + lifetime))
            })
            .await?;
        Ok(value.clone())
    }

    /// The entry to read or to fill.
    fn entry(&self, key: Key) -> Arc<Entry<V>> {
        let now = Instant::now();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(&key).filter(|entry| is_usable(entry, now)) {
            return entry.clone();
        }
        if entries.len() >= CAPACITY {
            entries.retain(|_, entry| is_usable(entry, now));
        }
        if entries.len() >= CAPACITY {
            entries.clear();
        }
        let entry = Arc::new(OnceCell::new());
        entries.insert(key, entry.clone());
        entry
    }
}

/// Not expired; being asked for counts as usable.
fn is_usable<V>(entry: &Entry<V>, now: Instant) -> bool {
    entry.get().is_none_or(|(_, expiry)| now < *expiry)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_shared_and_expires() {
        let (cache, asked) = (Cache::new(), AtomicU32::new(0));
        let ask = || async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok::<_, Infallible>((asked.fetch_add(1, Ordering::Relaxed), Duration::from_secs(10)))
        };
        let (one, two) = tokio::join!(cache.get_or_ask([0; 32], ask), cache.get_or_ask([0; 32], ask));
        assert_eq!((one.unwrap(), two.unwrap()), (0, 0));
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(cache.get_or_ask([0; 32], ask).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn an_error_is_not_kept() {
        let cache = Cache::new();
        let failed = cache.get_or_ask([0; 32], || async { Err::<(u8, Duration), _>("down") }).await;
        assert_eq!(failed, Err("down"));
        assert_eq!(cache.get_or_ask([0; 32], || async { Ok::<_, &str>((7, Duration::from_secs(1))) }).await, Ok(7));
    }

    #[tokio::test]
    async fn the_map_stays_small() {
        let cache = Cache::new();
        for number in 0..20_000_u64 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_le_bytes());
            cache.get_or_ask(key, || async { Ok::<_, Infallible>(((), Duration::from_secs(1))) }).await.unwrap();
        }
        assert!(cache.entries.lock().unwrap().len() <= CAPACITY);
    }
}
