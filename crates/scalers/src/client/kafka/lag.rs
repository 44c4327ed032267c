//! What committed offsets and the ends of partitions make of each other (`scalers/kafka.md`, "Value").

use std::collections::BTreeMap;

use futures::future::try_join;
use keda_core::sample::{Sample, SourceError};

use super::options::ConsumerGroup;
use super::{Cluster, Partition, Topics};
use crate::trigger::{Memory, float};

/// What a broker says of a partition that the group has never committed an offset for.
const NEVER: i64 = -1;

/// How a trigger counts.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Messages of lag for one replica; more than 0.
    pub threshold: i64,
    /// Where a group starts to read: `latest` or `earliest`.
    pub offset_reset_policy: String,
    /// More replicas than partitions may be wanted.
    pub allow_idle_consumers: bool,
    /// Partitions whose committed offset does not move are left out.
    pub exclude_persistent_lag: bool,
    /// A partition that was never read counts nothing.
    pub scale_to_zero_on_invalid_offset: bool,
    /// No more replicas than partitions with lag are wanted.
    pub limit_to_partitions_with_lag: bool,
    /// All replicas are to get as many partitions.
    pub ensure_even_distribution_of_partitions: bool,
    /// A partition of which the answer says nothing was never read from its start on, and is no mistake.
    pub missing_is_unread: bool,
}

/// Committed offsets at the last reading.
pub type Seen = BTreeMap<Partition, i64>;

/// The lag of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// What replicas are wanted for.
    pub wanted: i64,
    /// All of it, also where the committed offset does not move.
    pub whole: i64,
}

impl Rules {
    /// The lag of a group in these partitions: what the cluster says now, and what was remembered of the last reading.
    ///
    /// # Errors
    /// As for [`Cluster::committed`], [`Cluster::ends`] and [`Rules::lag`].
    pub async fn read(
        &self,
        cluster: &Cluster,
        group: &ConsumerGroup,
        topics: &Topics,
        partitions: &[&Partition],
        memory: &mut Memory,
    ) -> Result<Sample, SourceError> {
        let committed = cluster.committed(&group.consumer_group, Some(partitions));
        let (committed, ends) = try_join(committed, cluster.ends(topics, partitions)).await?;
        let mut unknown = Seen::new();
        let seen = memory.get_or("committed", Seen::new).unwrap_or(&mut unknown);
        let lag = self.lag(&committed, &ends, seen)?;
        Ok(Sample { value: float(lag.wanted), active: lag.whole > group.activation_lag_threshold })
    }

    /// The lag of all partitions that have an end.
    ///
    /// # Errors
    /// [`SourceError::malformed`] for a partition without a committed offset, where that is a mistake.
    pub fn lag(
        &self,
        committed: &BTreeMap<Partition, i64>,
        ends: &BTreeMap<Partition, i64>,
        seen: &mut Seen,
    ) -> Result<Lag, SourceError> {
        let mut lag = Lag { wanted: 0, whole: 0 };
        let mut lagging = 0_i64;
        for (partition, end) in ends {
            let committed = match committed.get(partition) {
                Some(committed) => *committed,
                None if self.missing_is_unread => 0,
                None => {
                    let (topic, index) = partition;
                    let message = format!("error finding offset block for topic {topic} and partition {index}");
                    return Err(SourceError::malformed(message));
                }
            };
            let (wanted, whole) = self.lag_of(partition, committed, *end, seen);
            lag.wanted = lag.wanted.saturating_add(wanted);
            lag.whole = lag.whole.saturating_add(whole);
            lagging += i64::from(wanted > 0);
        }
        lag.wanted = self.limited(lag.wanted, i64::try_from(ends.len()).unwrap_or(i64::MAX), lagging);
        Ok(lag)
    }

    /// The lag of one partition: what counts, and all of it.
    fn lag_of(&self, partition: &Partition, committed: i64, end: i64, seen: &mut Seen) -> (i64, i64) {
        if committed == NEVER && (self.scale_to_zero_on_invalid_offset || self.offset_reset_policy == "latest") {
            let lag = i64::from(!self.scale_to_zero_on_invalid_offset);
            return (lag, lag);
        }
        if committed == NEVER && self.offset_reset_policy == "earliest" {
            return (end, end);
        }
        // An end that went back, as that of a topic that was made anew, hides no other's lag.
        let lag = end.saturating_sub(committed).max(0);
        if self.exclude_persistent_lag && seen.insert(partition.clone(), committed) == Some(committed) {
            return (0, lag);
        }
        (lag, lag)
    }

    /// The lag for which as many replicas are wanted as there may be.
    fn limited(&self, lag: i64, partitions: i64, lagging: i64) -> i64 {
        let even = self.ensure_even_distribution_of_partitions;
        if self.allow_idle_consumers && !self.limit_to_partitions_with_lag && !even {
            return lag;
        }
        let lag =
            if even { self.replicas_for_even_shares(lag, partitions).saturating_mul(self.threshold) } else { lag };
        let most = if self.limit_to_partitions_with_lag { lagging } else { partitions };
        match lag.checked_div(self.threshold) {
            Some(replicas) if replicas > most => most.saturating_mul(self.threshold),
            _ => lag,
        }
    }

    /// The smallest number of replicas that is enough and divides the partitions.
    fn replicas_for_even_shares(&self, lag: i64, partitions: i64) -> i64 {
        let divides = |replicas: &i64| partitions % replicas == 0;
        let is_enough = |replicas: &i64| replicas.saturating_mul(self.threshold) >= lag;
        (1..=partitions).filter(divides).find(is_enough).unwrap_or(partitions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules { threshold: 10, offset_reset_policy: "latest".to_string(), ..Rules::default() }
    }

    fn offsets(offsets: &[i64]) -> BTreeMap<Partition, i64> {
        (0..).zip(offsets).map(|(index, offset)| (("t".to_string(), index), *offset)).collect()
    }

    fn read(rules: &Rules, committed: &[i64], ends: &[i64], seen: &mut Seen) -> (i64, i64) {
        let lag = rules.lag(&offsets(committed), &offsets(ends), seen).unwrap();
        (lag.wanted, lag.whole)
    }

    #[test]
    fn no_more_replicas_than_partitions_are_wanted() {
        let limited = |rules: Rules, lag| rules.limited(lag, 5, 2);
        assert_eq!([limited(rules(), 100), limited(rules(), 59)], [50, 59]);
        assert_eq!(limited(Rules { allow_idle_consumers: true, ..rules() }, 100), 100);
        assert_eq!(limited(Rules { limit_to_partitions_with_lag: true, ..rules() }, 100), 20);
    }

    #[test]
    fn even_shares_are_divisors() {
        let even = Rules { ensure_even_distribution_of_partitions: true, ..rules() };
        for (partitions, lag, expected) in
            [(10, 35, 50), (10, 99, 100), (100, 101, 200), (6, 35, 60), (10, 0, 10), (0, 0, 0)]
        {
            assert_eq!(even.limited(lag, partitions, partitions), expected, "{lag} in {partitions}");
        }
    }

    #[test]
    fn a_partition_that_was_never_read_counts_by_the_policy() {
        let latest = rules();
        let zero = Rules { scale_to_zero_on_invalid_offset: true, ..rules() };
        let earliest = Rules { offset_reset_policy: "earliest".to_string(), allow_idle_consumers: true, ..rules() };
        let lag = |rules: &Rules| read(rules, &[-1], &[100], &mut Seen::new());
        assert_eq!([lag(&latest), lag(&zero), lag(&earliest)], [(1, 1), (0, 0), (100, 100)]);
    }

    #[test]
    fn an_offset_that_does_not_move_is_left_out_but_activates() {
        let (rules, mut seen) = (Rules { exclude_persistent_lag: true, ..rules() }, Seen::new());
        assert_eq!(read(&rules, &[5], &[8], &mut seen), (3, 3));
        assert_eq!(read(&rules, &[5], &[9], &mut seen), (0, 4));
        assert_eq!(read(&rules, &[7], &[9], &mut seen), (2, 2));
    }

    #[test]
    fn an_end_that_went_back_is_no_lag_and_an_offset_that_is_missing_a_mistake() {
        assert_eq!(read(&rules(), &[100, 1], &[5, 4], &mut Seen::new()), (3, 3));
        let missing = rules().lag(&offsets(&[]), &offsets(&[7]), &mut Seen::new()).unwrap_err();
        assert!(missing.message.starts_with("error finding offset block for topic t and partition 0"), "{missing}");
        let lenient = Rules { missing_is_unread: true, ..rules() };
        assert_eq!(read(&lenient, &[], &[7], &mut Seen::new()), (7, 7));
    }
}
