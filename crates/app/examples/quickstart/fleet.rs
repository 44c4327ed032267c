//! What other fleets of workers would have done with the same jobs, by arithmetic; and how this one did, in numbers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// What jobs and workers cost each other.
pub(crate) struct Cost {
    /// Seconds of all replicas together.
    pub(crate) replica_seconds: f64,
    /// How long the jobs waited for a worker, in order.
    waits: Vec<Duration>,
}

/// The number of replicas over time.
#[derive(Default)]
pub(crate) struct Replicas {
    /// From when there are how many, in order.
    steps: Vec<(Duration, u32)>,
}

impl Cost {
    pub(crate) fn new(replica_seconds: f64, mut waits: Vec<Duration>) -> Self {
        waits.sort();
        Cost { replica_seconds, waits }
    }

    /// What a fleet that is always there would have cost: jobs that come all at once go to whichever worker is free
    /// first, and the fleet is paid for `time`, or until the last job is done if that takes longer.
    pub(crate) fn of_fixed_fleet(size: u32, jobs: &[Duration], time: Duration) -> Self {
        let mut free: BinaryHeap<Reverse<Duration>> = (0..size).map(|_| Reverse(Duration::ZERO)).collect();
        let mut waits = Vec::new();
        let mut end = time;
        for job in jobs {
            let Some(Reverse(start)) = free.pop() else { break };
            waits.push(start);
            end = end.max(start + *job);
            free.push(Reverse(start + *job));
        }
        Cost::new(f64::from(size) * end.as_secs_f64(), waits)
    }

    /// The wait that this part of the jobs did not exceed, by the nearest rank.
    pub(crate) fn wait(&self, percent: usize) -> Duration {
        let rank = (self.waits.len() * percent).div_ceil(100).max(1);
        self.waits.get(rank - 1).copied().unwrap_or_default()
    }
}

impl Replicas {
    /// From now on there are that many.
    pub(crate) fn changed(&mut self, at: Duration, to: u32) {
        self.steps.push((at, to));
    }

    pub(crate) fn now(&self) -> u32 {
        self.steps.last().map_or(0, |(_, replicas)| *replicas)
    }

    pub(crate) fn peak(&self) -> u32 {
        self.steps.iter().map(|(_, replicas)| *replicas).max().unwrap_or(0)
    }

    /// How many there were.
    pub(crate) fn at(&self, time: Duration) -> u32 {
        self.steps.iter().take_while(|(from, _)| *from <= time).last().map_or(0, |(_, replicas)| *replicas)
    }

    /// Seconds of all replicas together up to a time.
    pub(crate) fn seconds(&self, end: Duration) -> f64 {
        let ends = self.steps.iter().skip(1).map(|(from, _)| *from).chain([end]);
        let spans = self.steps.iter().zip(ends);
        spans.map(|((from, replicas), to)| f64::from(*replicas) * to.saturating_sub(*from).as_secs_f64()).sum()
    }
}
