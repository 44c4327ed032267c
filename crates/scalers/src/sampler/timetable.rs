//! When which query is due. Pure: time is the span since the sampler started.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use keda_core::duration::next_in_phase;

/// The next reading of each query.
#[derive(Debug, Default)]
pub(super) struct Timetable {
    due: BTreeSet<(Duration, u128)>,
    planned: HashMap<u128, Duration>,
}

impl Timetable {
    /// Plans the reading that follows one at `now`: at the query's own phase of the interval, which its fingerprint
    /// fixes, so that queries spread and equal ones meet.
    pub(super) fn plan(&mut self, query: u128, interval: Duration, now: Duration) {
        let next = next_in_phase(query, interval, now);
        if let Some(old) = self.planned.insert(query, next) {
            self.due.remove(&(old, query));
        }
        self.due.insert((next, query));
    }

    /// Forgets a query.
    pub(super) fn cancel(&mut self, query: u128) {
        if let Some(old) = self.planned.remove(&query) {
            self.due.remove(&(old, query));
        }
    }

    /// When the next reading is due.
    pub(super) fn next(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The queries due at `now`, and since when; whoever reads them plans them anew.
    pub(super) fn take_due(&mut self, now: Duration) -> Vec<(Duration, u128)> {
        let mut taken = Vec::new();
        while let Some((at, query)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.due.remove(&(at, query));
            self.planned.remove(&query);
            taken.push((at, query));
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(5);

    #[test]
    fn a_query_comes_once_an_interval_at_its_phase() {
        let mut timetable = Timetable::default();
        timetable.plan(1_500_000_000, INTERVAL, Duration::ZERO);
        assert_eq!(timetable.next(), Some(Duration::from_millis(1500)));
        let due = Duration::from_millis(1500);
        assert_eq!(timetable.take_due(Duration::from_millis(1501)), [(due, 1_500_000_000)]);
        timetable.plan(1_500_000_000, INTERVAL, Duration::from_millis(1500));
        assert_eq!(timetable.next(), Some(Duration::from_millis(6500)));
        timetable.plan(1_500_000_000, Duration::from_secs(1), Duration::from_millis(1600));
        assert_eq!(timetable.next(), Some(Duration::from_millis(2500)), "a shorter interval takes over");
        timetable.cancel(1_500_000_000);
        assert_eq!(timetable.next(), None);
    }

    #[test]
    fn queries_of_about_the_same_time_come_together() {
        let mut timetable = Timetable::default();
        for query in (1_500_000_000..1_549_000_000).step_by(1_000_000) {
            timetable.plan(query, INTERVAL, Duration::ZERO);
        }
        assert_eq!(timetable.take_due(Duration::from_millis(1500)).len(), 49);
    }

    #[test]
    fn five_hundred_queries_spread_over_their_interval() {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut seconds = [0u32; 5];
        for number in 0..500u32 {
            let mut hasher = DefaultHasher::new();
            number.hash(&mut hasher);
            let query = u128::from(hasher.finish()) << 64 | u128::from(number);
            let at = next_in_phase(query, INTERVAL, Duration::from_secs(100));
            seconds[usize::try_from(at.as_secs() - 100).unwrap() % 5] += 1;
        }
        assert!(seconds.iter().all(|count| *count < 200), "{seconds:?}");
    }
}
