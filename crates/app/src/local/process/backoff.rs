//! How long a replica that ended waits before it starts again.
//!
//! The kubelet's rule: the first restart is immediate, the next ones wait `base`, doubled each time up to `limit`; a
//! run of twice `limit` starts the count afresh.

use std::time::Duration;

#[derive(Clone, Debug)]
pub(super) struct Backoff {
    base: Duration,
    limit: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(base: Duration, limit: Duration) -> Self {
        Self { base, limit, next: Duration::ZERO }
    }

    /// The wait after a run of `ran`.
    pub(super) fn after(&mut self, ran: Duration) -> Duration {
        if ran >= self.limit.saturating_mul(2) {
            self.next = Duration::ZERO;
        }
        let wait = self.next;
        self.next = wait.saturating_mul(2).clamp(self.base.min(self.limit), self.limit);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_a_long_run_resets_them() {
        let mut backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(300));
        let crash = Duration::from_secs(1);
        let waits: Vec<u64> = (0..8).map(|_| backoff.after(crash).as_secs()).collect();
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(backoff.after(Duration::from_secs(599)).as_secs(), 300);
        assert_eq!(backoff.after(Duration::from_secs(600)).as_secs(), 0);
        assert_eq!(backoff.after(crash).as_secs(), 10);
    }
}
