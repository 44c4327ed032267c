//! What the HPA controller remembers of one HPA: its raw recommendations and the scalings it did.
//!
//! Both lists reuse the slot of an entry that is too old, the last such one, instead of growing; what is too old is
//! judged when the next entry comes, so an entry may be overwritten that a wider window, set later, would still have
//! asked for. The lists are therefore as long as a window holds entries: 20 for five minutes of the usual 15-second steps.
//!
//! Times are durations since an epoch that must stay the same for as long as the memory lives, across restarts too.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The past of one HPA.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// Replica counts that the metrics asked for, before any stabilization or bound.
    pub recommendations: Vec<Recommendation>,
    /// Replicas added.
    pub scale_ups: ScaleEvents,
    /// Replicas removed.
    pub scale_downs: ScaleEvents,
}

/// What the metrics asked for at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recommendation {
    pub at: Duration,
    pub replicas: i32,
}

/// The scalings in one direction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScaleEvents(Vec<ScaleEvent>);

/// One scaling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScaleEvent {
    pub at: Duration,
    /// The size of the change, positive in both directions.
    pub replicas: i32,
    /// Once found too old, an event stays free for reuse, even if longer periods come later.
    #[serde(default)]
    pub outdated: bool,
}

impl Memory {
    /// Starts the history with the replicas found at the first look.
    pub fn begin(&mut self, now: Duration, replicas: i32) {
        if self.recommendations.is_empty() {
            self.recommendations.push(Recommendation { at: now, replicas });
        }
    }

    /// Adds a recommendation, in the place of the last one that `too_old` holds for.
    pub fn recommend(&mut self, now: Duration, replicas: i32, too_old: impl Fn(&Recommendation) -> bool) {
        let fresh = Recommendation { at: now, replicas };
        match self.recommendations.iter_mut().rev().find(|old| too_old(old)) {
            Some(slot) => *slot = fresh,
            None => self.recommendations.push(fresh),
        }
    }

    /// The replicas that the target had a period ago, as far as the scalings since then tell.
    pub fn replicas_before(&self, now: Duration, period: Duration, current: i32) -> i32 {
        let added = self.scale_ups.within(now, period);
        let removed = self.scale_downs.within(now, period);
        current.saturating_sub(added).saturating_add(removed)
    }
}

impl ScaleEvents {
    /// Events in the given order.
    pub fn new(events: impl IntoIterator<Item = ScaleEvent>) -> Self {
        ScaleEvents(events.into_iter().collect())
    }

    /// Adds an event, in the place of the last one that was older than the longest period, now or at an earlier addition.
    pub fn add(&mut self, now: Duration, replicas: i32, longest_period: Duration) {
        for event in &mut self.0 {
            event.outdated |= older_than(event.at, longest_period, now);
        }
        let fresh = ScaleEvent { at: now, replicas, outdated: false };
        match self.0.iter_mut().rev().find(|event| event.outdated) {
            Some(slot) => *slot = fresh,
            None => self.0.push(fresh),
        }
    }

    /// The sum of the changes younger than a period.
    fn within(&self, now: Duration, period: Duration) -> i32 {
        self.0
            .iter()
            .filter(|event| younger_than(event.at, period, now))
            .fold(0, |sum, e| sum.saturating_add(e.replicas))
    }
}

/// Whether something at `at` lies further back than `window`.
pub fn older_than(at: Duration, window: Duration, now: Duration) -> bool {
    at.saturating_add(window) < now
}

/// Whether something at `at` lies less far back than `window`; exactly as far is neither older nor younger.
pub fn younger_than(at: Duration, window: Duration, now: Duration) -> bool {
    at.saturating_add(window) > now
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_new_recommendation_takes_the_last_slot_that_is_too_old() {
        let mut memory = Memory::default();
        for seconds in [0, 10, 20] {
            memory.recommend(at(seconds), 1, |_| false);
        }
        memory.recommend(at(30), 9, |old| older_than(old.at, at(15), at(30)));
        let times: Vec<_> = memory.recommendations.iter().map(|r| r.at.as_secs()).collect();
        assert_eq!(times, [0, 30, 20]);
    }

    #[test]
    fn an_event_found_too_old_stays_so() {
        let mut events = ScaleEvents::default();
        for seconds in [0, 1, 100, 101] {
            events.add(at(seconds), 1, at(60));
        }
        // At 100 both old events were marked and one slot reused; at 101 the other.
        assert_eq!(events.0.len(), 2);
        assert_eq!(events.within(at(102), at(60)), 2);
    }

    #[test]
    fn an_entry_exactly_as_old_as_the_window_is_neither() {
        assert!(!older_than(at(10), at(5), at(15)));
        assert!(!younger_than(at(10), at(5), at(15)));
    }

    #[test]
    fn survives_a_restart() {
        let mut memory = Memory::default();
        memory.begin(at(1), 3);
        memory.begin(at(2), 4);
        memory.scale_ups.add(at(2), 5, at(60));
        let text = serde_json::to_string(&memory).unwrap();
        assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory);
        assert_eq!(memory.recommendations.len(), 1);
        assert_eq!(memory.replicas_before(at(3), at(60), 8), 3);
    }
}
