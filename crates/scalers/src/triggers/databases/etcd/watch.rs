//! What happens to the key, told as it happens.
//!
//! A watch that breaks, or is silent for too long, is opened again after a pause that grows from two seconds to a
//! minute, on another server if there is one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use tokio::time::{sleep, timeout};
use tonic::Streaming;

use super::number;
use crate::client::etcd::Etcd;
use crate::client::etcd::messages::{DELETED, Event, WatchResponse};
use crate::client::grpc::explain;
use crate::trigger::Push;

/// The first pause, and the longest.
const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(60);

/// What is watched.
pub(super) struct Watched {
    pub(super) key: String,
    pub(super) activation: f64,
    /// How often the server shows that a silent watch still lives.
    pub(super) notify_interval: Duration,
}

/// Everything that happens to the key, until this is dropped.
pub(super) fn listen(client: Arc<Etcd>, watched: Watched) -> BoxStream<'static, Push> {
    let line = Line { client, watched, open: None, pushes: VecDeque::new(), pause: FIRST };
    stream::unfold(line, |mut line| async move { Some((line.next().await, line)) }).boxed()
}

struct Line {
    client: Arc<Etcd>,
    watched: Watched,
    open: Option<Streaming<WatchResponse>>,
    /// What was heard and not told yet.
    pushes: VecDeque<Push>,
    pause: Duration,
}

impl Line {
    async fn next(&mut self) -> Push {
        loop {
            if let Some(push) = self.pushes.pop_front() {
                return push;
            }
            if let Err(problem) = self.hear().await {
                let (key, pause) = (&self.watched.key, self.pause.as_secs());
                tracing::warn!(key, problem, pause, "the watch of a key in etcd broke");
                self.open = None;
                self.client.turn();
                sleep(self.pause).await;
                self.pause = (self.pause * 2).min(LONGEST);
            }
        }
    }

    /// Opens the watch if it is not open, and waits for what it says next.
    async fn hear(&mut self) -> Result<(), String> {
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let opened = self.client.watch(&self.watched.key).await;
                self.open.insert(opened.map_err(|error| error.to_string())?)
            }
        };
        let heard = timeout(self.watched.notify_interval.saturating_mul(2), open.message()).await;
        let heard = heard.map_err(|_| "no watch progress notification in the interval".to_string())?;
        let response = heard.map_err(|status| explain(&status).to_string())?;
        let response = response.ok_or_else(|| "the server ended it".to_string())?;
        if response.canceled {
            return Err(format!("the server ended it: {}", response.cancel_reason));
        }
        self.pause = FIRST;
        let activation = self.watched.activation;
        self.pushes.extend(response.events.iter().filter_map(|event| is_active(event, activation)).map(Push::Active));
        Ok(())
    }
}

/// Whether there is work after a change; unknown where the key is no number, which the next reading tells.
fn is_active(event: &Event, activation: f64) -> Option<bool> {
    if event.kind == DELETED {
        return Some(0.0 > activation);
    }
    Some(number(&event.kv.as_ref()?.value)? > activation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::etcd::messages::KeyValue;

    #[test]
    fn a_change_tells_whether_there_is_work() {
        let event = |kind, value: &str| {
            let kv = KeyValue { key: b"k".to_vec(), value: value.as_bytes().to_vec() };
            is_active(&Event { kind, kv: Some(kv) }, 0.0)
        };
        assert_eq!(event(0, "3"), Some(true));
        assert_eq!(event(0, "0"), Some(false));
        assert_eq!(event(DELETED, ""), Some(false));
        assert_eq!(event(0, "abc"), None);
    }
}
