//! One query: who shares it, and what it has to be read with.

use std::sync::Arc;
use std::time::Duration;

use super::pushes::Listening;
use super::{Build, Subscriber};
use crate::trigger::{Memory, Scaler};

/// How many scalers a reading may make.
const BUILDS: usize = 3;

/// One of those who share a query.
pub(super) struct Participant {
    pub(super) subscriber: Subscriber,
    /// The query that it asked for.
    pub(super) asked: u128,
    /// Never without being asked when `None`.
    pub(super) interval: Option<Duration>,
    pub(super) build: Build,
}

/// One query.
pub(super) struct State {
    /// Tells it from an earlier one with the same fingerprint.
    pub(super) life: u64,
    pub(super) participants: Vec<Participant>,
    /// Whose turn it is to make the next scaler.
    pub(super) turn: usize,
    pub(super) scaler: Option<Arc<dyn Scaler>>,
    /// `None` while a reading has it.
    pub(super) memory: Option<Memory>,
    pub(super) reading: bool,
    pub(super) listening: Listening,
}

impl State {
    /// A query that nobody shares yet.
    pub(super) fn new(life: u64) -> Self {
        State {
            life,
            participants: Vec::new(),
            turn: 0,
            scaler: None,
            memory: Some(Memory::default()),
            reading: false,
            listening: Listening::NotYet,
        }
    }

    /// The shortest interval; `None` when all are content with what they ask for.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.participants.iter().filter_map(|participant| participant.interval).min()
    }

    pub(super) fn join(&mut self, participant: Participant) {
        self.leave(&participant.subscriber);
        self.participants.push(participant);
    }

    pub(super) fn leave(&mut self, subscriber: &Subscriber) -> Option<Participant> {
        let place = self.participants.iter().position(|participant| participant.subscriber == *subscriber)?;
        Some(self.participants.remove(place))
    }

    /// Who makes the scalers of the next reading, in this order; the same again where there are few.
    pub(super) fn builds(&self) -> Vec<(Subscriber, Build)> {
        let first = self.turn.checked_rem(self.participants.len()).unwrap_or_default();
        let in_turn = self.participants.iter().cycle().skip(first).take(BUILDS);
        in_turn.map(|participant| (participant.subscriber.clone(), Arc::clone(&participant.build))).collect()
    }
}
