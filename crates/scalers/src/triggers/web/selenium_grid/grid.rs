//! The state of a grid, as its GraphQL endpoint tells it.

use keda_core::sample::SourceError;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::matching::{Capabilities, Kind};

/// The question for it.
pub(super) const QUESTION: &str = "{ grid { sessionCount, maxSession, totalSlots }, nodesInfo { nodes { id, status, \
    sessionCount, maxSession, slotCount, stereotypes, sessions { id, capabilities, slot { id, stereotype } } } }, \
    sessionsInfo { sessionQueueRequests } }";

#[derive(Deserialize)]
struct Answer {
    data: Grid,
}

/// The state of a grid.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Grid {
    nodes_info: NodesInfo,
    sessions_info: SessionsInfo,
}

#[derive(Deserialize)]
struct NodesInfo {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionsInfo {
    /// The capabilities that each waiting request wants, as a text of JSON.
    session_queue_requests: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    status: Option<String>,
    #[serde(default)]
    session_count: i64,
    #[serde(default)]
    max_session: i64,
    /// The kinds of slots, as a text of JSON.
    stereotypes: Option<String>,
    sessions: Option<Vec<Session>>,
}

#[derive(Deserialize)]
struct Session {
    slot: Option<Slot>,
}

#[derive(Deserialize)]
struct Slot {
    /// Its capabilities, as a text of JSON.
    stereotype: String,
}

#[derive(Deserialize)]
struct Slots {
    #[serde(default)]
    slots: i64,
    stereotype: Capabilities,
}

impl Grid {
    /// Reads an answer.
    ///
    /// # Errors
    /// [`SourceError::malformed`] for one that does not tell nodes and waiting requests, as one of an error does.
    pub(super) fn read(answer: serde_json::Value) -> Result<Self, SourceError> {
        let answer: Result<Answer, _> = serde_json::from_value(answer);
        let answer = answer.map_err(|_| SourceError::malformed("the answer does not tell the grid's state"))?;
        Ok(answer.data)
    }

    /// The nodes of a kind that are in use or wanted: one for each session that runs, and new ones for the requests
    /// that no free slot will serve, with so many sessions each.
    pub(super) fn nodes_for(&self, kind: &Kind<'_>, sessions_of_node: i64) -> i64 {
        let running: i64 = self.nodes_info.nodes.iter().map(|node| node.running(kind)).sum();
        let mut free: Vec<i64> = self.nodes_info.nodes.iter().map(|node| node.free(kind)).collect();
        let mut waiting = 0_i64;
        for request in &self.sessions_info.session_queue_requests {
            let Some(request) = parsed::<Capabilities>(request, "request") else { continue };
            if !kind.serves(&request) {
                continue;
            }
            match free.iter_mut().find(|free| **free > 0) {
                Some(free) => *free -= 1,
                None => waiting += 1,
            }
        }
        let sessions_of_node = sessions_of_node.max(1);
        let new = waiting / sessions_of_node + i64::from(waiting % sessions_of_node > 0);
        running.saturating_add(new)
    }
}

impl Node {
    /// Sessions of the kind that run here.
    fn running(&self, kind: &Kind<'_>) -> i64 {
        let slots = self.sessions.iter().flatten().filter_map(|session| session.slot.as_ref());
        let slots = slots.filter_map(|slot| parsed(&slot.stereotype, "session"));
        slots.filter(|slot| kind.has(slot)).fold(0, |count, _| count + 1)
    }

    /// Sessions that can begin here, where there are more slots of the kind than sessions of it.
    fn free(&self, kind: &Kind<'_>) -> i64 {
        let slots = self.stereotypes.as_ref().and_then(|text| parsed::<Vec<Slots>>(text, "node")).unwrap_or_default();
        let of_kind = slots.iter().filter(|slots| kind.has(&slots.stereotype));
        let of_kind = of_kind.fold(0_i64, |sum, slots| sum.saturating_add(slots.slots));
        let is_up = self.status.as_ref().is_some_and(|status| status.eq_ignore_ascii_case("UP"));
        let can_serve = is_up && of_kind > self.running(kind);
        if can_serve { self.max_session.saturating_sub(self.session_count) } else { 0 }
    }
}

/// What a text of JSON says; `None` for one that does not say what it should.
fn parsed<T: DeserializeOwned>(text: &str, whose: &str) -> Option<T> {
    match serde_json::from_str(text) {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            tracing::warn!(%error, "the capabilities of a {whose} in a Selenium Grid cannot be read");
            None
        }
    }
}
