//! Events (`events.k8s.io/v1`): what people read with `kubectl describe`.
//!
//! Written by a task of its own, slowly, so that they never hold up what matters: while HPAs are to be made they wait a
//! little. An event that repeats is one object whose series counts; the repetitions are written at the second occurrence
//! and then rarely.

use std::collections::HashMap;
use std::time::Duration;

use keda_core::engine::Severity;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::client::{ApiErrorKind, Cluster};
use super::path::ApiPath;
use super::resource::EVENTS;
use crate::fingerprint;

/// Repetitions after so long a time are a new event.
const QUIET: Duration = Duration::from_secs(6 * 60);
/// How often the count of an event that goes on is written.
const REFRESH: Duration = Duration::from_secs(30 * 60);
/// How long nothing is written to a namespace that takes no events: it is mostly being deleted.
const CLOSED: Duration = Duration::from_secs(30);
/// How long an event waits at most while there is work that matters more.
const PATIENCE: Duration = Duration::from_secs(10);
/// Events that wait to be written; further ones are dropped.
const QUEUE: usize = 20_000;
/// What the API allows.
const LONGEST_ACTION: usize = 128;
const LONGEST_NOTE: usize = 1024;

/// An event about an object.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) about: About,
    pub(crate) severity: Severity,
    pub(crate) reason: &'static str,
    /// What was done; the reason for most events.
    pub(crate) action: String,
    pub(crate) note: String,
}

/// The object that an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct About {
    pub(crate) api_version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// The handle on the task that writes events.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    queue: mpsc::Sender<(Instant, Event)>,
    held: watch::Sender<bool>,
}

/// An event that may repeat.
struct Series {
    path: ApiPath,
    count: i64,
    seen: Instant,
    written: Instant,
}

/// What was written so far, as far as it matters.
#[derive(Default)]
struct Ledger {
    controller: &'static str,
    instance: String,
    /// By a number for what makes events the same: there are some for each object, and they are kept for minutes.
    series: HashMap<u64, Series>,
    /// Namespaces that take no events, and since when.
    closed: HashMap<String, Instant>,
    number: u64,
}

impl Events {
    /// Starts the task, which ends when the last handle is dropped. `controller` is what reports, `host` where.
    pub(crate) fn start(cluster: Cluster, controller: &'static str, host: &str) -> Self {
        let (queue, mut inbox) = mpsc::channel::<(Instant, Event)>(QUEUE);
        let (held, mut holds) = watch::channel(false);
        let instance = truncated(&format!("{controller}-{host}"), LONGEST_ACTION);
        tokio::spawn(async move {
            let mut ledger = Ledger { controller, instance, ..Ledger::default() };
            let mut sweep = tokio::time::interval(QUIET / 2);
            loop {
                tokio::select! {
                    event = inbox.recv() => match event {
                        // One at a time: they may be late, and decisions may not.
                        Some((since, event)) => {
                            let free = holds.wait_for(|held| !held);
                            let _ = tokio::time::timeout_at(since + PATIENCE, free).await;
                            ledger.write(&cluster, event).await;
                        }
                        None => return,
                    },
                    _ = sweep.tick() => ledger.forget(),
                }
            }
        });
        Events { queue, held }
    }

    /// Lets events wait, or lets them go.
    pub(crate) fn hold(&self, held: bool) {
        self.held.send_if_modified(|before| std::mem::replace(before, held) != held);
    }

    /// Writes an event, some time soon. When too many wait it is dropped: people are told less, decisions go on.
    pub(crate) fn publish(&self, event: Event) {
        if self.queue.try_send((Instant::now(), event)).is_err() {
            tracing::warn!("too many events wait to be written; one is dropped");
        }
    }
}

/// What is written for an event.
enum Request {
    Create(ApiPath, Value),
    Count(ApiPath, Value),
}

impl Ledger {
    async fn write(&mut self, cluster: &Cluster, event: Event) {
        let home = event.about.home().to_string();
        if self.closed.get(&home).is_some_and(|since| since.elapsed() < CLOSED) {
            return;
        }
        let Some(request) = self.request(&event) else { return };
        let result = match &request {
            Request::Create(path, event) => cluster.create::<Value>(path, event).await,
            Request::Count(path, patch) => cluster.merge::<Value>(path, patch).await,
        };
        match result {
            Ok(_) => {}
            Err(error) if matches!(error.kind, ApiErrorKind::Forbidden | ApiErrorKind::NotFound) => {
                tracing::debug!(%error, "an event was not written");
                // An event that is counted may have expired, which says nothing of its namespace.
                if matches!(request, Request::Create(..)) {
                    self.closed.insert(home, Instant::now());
                }
            }
            Err(error) => tracing::warn!(%error, "cannot write an event"),
        }
    }

    /// Forgets what can no longer repeat.
    fn forget(&mut self) {
        self.series.retain(|_, series| series.seen.elapsed() < QUIET);
        self.series.shrink_to_fit();
        self.closed.retain(|_, since| since.elapsed() < CLOSED);
    }

    fn request(&mut self, event: &Event) -> Option<Request> {
        let now = Instant::now();
        let wall = keda_scalers::sampler::wall_clock();
        self.number += 1;
        let warning = event.severity == Severity::Warning;
        let action = truncated(&event.action, LONGEST_ACTION);
        let print = fingerprint::number(&(&event.about, event.reason, &action, warning));
        if let Some(series) = self.series.get_mut(&print).filter(|series| now - series.seen < QUIET) {
            series.count += 1;
            series.seen = now;
            if series.count > 2 && now - series.written < REFRESH {
                return None;
            }
            series.written = now;
            let patch = json!({ "series": { "count": series.count, "lastObservedTime": format!("{wall:.6}") } });
            return Some(Request::Count(series.path.clone(), patch));
        }
        let home = event.about.home();
        let About { api_version, kind, namespace, name, uid } = &event.about;
        let event_name = format!("{name}.{:x}", wall.as_nanosecond() + i128::from(self.number % 1000));
        let object = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": { "name": event_name, "namespace": home },
            "eventTime": format!("{wall:.6}"),
            "type": if warning { "Warning" } else { "Normal" },
            "reason": event.reason,
            "action": action,
            "note": truncated(&event.note, LONGEST_NOTE),
            "reportingController": self.controller,
            "reportingInstance": self.instance,
            "regarding": { "apiVersion": api_version, "kind": kind, "namespace": namespace, "name": name, "uid": uid },
        });
        let path = EVENTS.object(Some(home), &event_name);
        let collection = EVENTS.path(Some(home));
        self.series.insert(print, Series { path, count: 1, seen: now, written: now });
        Some(Request::Create(collection, object))
    }
}

impl About {
    /// The namespace of its events.
    fn home(&self) -> &str {
        if self.namespace.is_empty() { "default" } else { &self.namespace }
    }
}

/// The beginning of a text, by bytes, cut between characters. KEDA's longer events are refused by the API server and
/// lost.
fn truncated(text: &str, length: usize) -> String {
    if text.len() <= length {
        return text.to_string();
    }
    let mut end = length - '…'.len_utf8();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(note: &str) -> Event {
        Event {
            about: About {
                api_version: "keda.sh/v1alpha1",
                kind: "ScaledObject",
                namespace: "shop".into(),
                name: "web".into(),
                uid: "1".into(),
            },
            severity: Severity::Warning,
            reason: "KEDAScalerFailed",
            action: "KEDAScalerFailed".into(),
            note: note.into(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_repeats_is_counted_and_seldom_written() {
        let mut ledger = Ledger::default();
        let mut next = |note: &str| ledger.request(&event(note));
        assert!(matches!(next("down"), Some(Request::Create(..))));
        let Some(Request::Count(_, patch)) = next("down") else { panic!("the second is counted") };
        assert_eq!(patch["series"]["count"], 2);
        assert!(next("down").is_none(), "further ones are not written at once");
        tokio::time::advance(QUIET + Duration::from_secs(1)).await;
        assert!(matches!(next("down"), Some(Request::Create(..))), "after a pause it is a new event");
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_that_expired_closes_no_namespace_and_one_that_is_refused_does() {
        let (cluster, mut requests) = super::super::testing::cluster(|request| {
            (request.starts_with("POST") && request.contains("/shop/")).then(|| json!({}))
        });
        let mut ledger = Ledger::default();
        let other = |namespace: &str, reason| {
            let about = About { namespace: namespace.into(), ..event("").about };
            Event { about, reason, ..event("down") }
        };
        for event in [event("down"), event("down"), other("shop", "Other"), other("gone", "One"), other("gone", "Two")]
        {
            ledger.write(&cluster, event).await;
        }
        let requests = requests.so_far();
        let methods: Vec<&str> = requests.iter().filter_map(|request| request.split(' ').next()).collect();
        assert_eq!(methods, ["POST", "PATCH", "POST", "POST"]);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(truncated("short", 128), "short");
        let cut = truncated(&"ö".repeat(200), 128);
        assert!(cut.len() <= 128 && cut.ends_with('…'));
    }
}
