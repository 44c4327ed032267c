//! Which replicas to start and which to stop: a pure function of what is wanted and what there is.

/// A replica as the plan sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) index: u32,
    /// Whether it runs the current revision of the template.
    pub(super) current: bool,
    pub(super) ready: bool,
    /// On its way out: it counts for nothing but holds its index.
    pub(super) stopping: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Start(u32),
    Stop(u32),
}

/// The next steps towards `desired` replicas of the current revision. To be asked again whenever a replica changes.
///
/// Scaling down stops those first that are not ready, then the highest index. A new revision comes in one replica at
/// a time, one above `desired`; an old one goes as soon as a new one is ready, so that the ready ones never get
/// fewer. Old ones that are not ready go at once.
pub(super) fn plan(desired: u32, replicas: &[Seen]) -> Vec<Step> {
    let live = || replicas.iter().copied().filter(|replica| !replica.stopping);
    let wanted = usize::try_from(desired).unwrap_or(usize::MAX);

    let mut current: Vec<Seen> = live().filter(|replica| replica.current).collect();
    let mut steps = stop_surplus(&mut current, wanted);

    let mut old: Vec<Seen> = live().filter(|replica| !replica.current && replica.ready).collect();
    steps.extend(live().filter(|replica| !replica.current && !replica.ready).map(|replica| Step::Stop(replica.index)));
    let replaced = current.iter().filter(|replica| replica.ready).count();
    steps.extend(stop_surplus(&mut old, wanted.saturating_sub(replaced)));

    let count = current.len() + old.len();
    let in_progress = current.iter().any(|replica| !replica.ready);
    let surge = usize::from(!old.is_empty() && !in_progress && current.len() < wanted);
    let missing = wanted.saturating_add(surge).saturating_sub(count);
    let free = (0..=u32::MAX).filter(|index| replicas.iter().all(|replica| replica.index != *index));
    steps.extend(free.take(missing).map(Step::Start));
    steps
}

/// Keeps `wanted` of the replicas, ready ones and low indexes first, and stops the rest.
fn stop_surplus(replicas: &mut Vec<Seen>, wanted: usize) -> Vec<Step> {
    replicas.sort_by_key(|replica| (!replica.ready, replica.index));
    let surplus = replicas.split_off(wanted.min(replicas.len()));
    surplus.iter().rev().map(|replica| Step::Stop(replica.index)).collect()
}

#[cfg(test)]
mod tests {
    use super::Step::{Start, Stop};
    use super::*;

    fn ready(index: u32) -> Seen {
        Seen { index, current: true, ready: true, stopping: false }
    }

    fn starting(index: u32) -> Seen {
        Seen { ready: false, ..ready(index) }
    }

    fn stopping(index: u32) -> Seen {
        Seen { stopping: true, ..ready(index) }
    }

    fn old(index: u32) -> Seen {
        Seen { current: false, ..ready(index) }
    }

    #[test]
    fn the_lowest_free_index_comes_first_and_a_stopping_one_is_not_free() {
        assert_eq!(plan(2, &[]), [Start(0), Start(1)]);
        assert_eq!(plan(3, &[ready(1)]), [Start(0), Start(2)]);
        assert_eq!(plan(1, &[stopping(0)]), [Start(1)]);
    }

    #[test]
    fn scaling_down_spares_the_ready_and_the_low() {
        assert_eq!(plan(2, &[starting(0), ready(1), ready(2)]), [Stop(0)]);
        assert_eq!(plan(1, &[ready(0), ready(1), starting(2)]), [Stop(2), Stop(1)]);
        assert_eq!(plan(0, &[ready(0), old(1)]), [Stop(0), Stop(1)]);
        assert_eq!(plan(0, &[stopping(0)]), []);
    }

    #[test]
    fn a_new_revision_comes_one_at_a_time_and_readiness_never_drops() {
        assert_eq!(plan(2, &[old(0), old(1)]), [Start(2)]);
        assert_eq!(plan(2, &[old(0), old(1), starting(2)]), []);
        assert_eq!(plan(2, &[old(0), old(1), ready(2)]), [Stop(1), Start(3)]);
        assert_eq!(plan(2, &[old(0), stopping(1), ready(2), starting(3)]), []);
        assert_eq!(plan(2, &[old(0), ready(2), ready(3)]), [Stop(0)]);
        assert_eq!(plan(2, &[ready(2), ready(3)]), []);
    }

    #[test]
    fn an_old_replica_that_is_not_ready_is_replaced_at_once() {
        assert_eq!(plan(1, &[Seen { ready: false, ..old(0) }]), [Stop(0), Start(1)]);
    }

    #[test]
    fn every_history_ends_with_what_was_wanted() {
        use keda_histories::settle;
        for desired in 0..5 {
            for olds in 0..5 {
                settle(desired, (0..olds).map(old).collect());
            }
        }
    }

    /// Carries out plans until nothing is left to do.
    mod keda_histories {
        use super::*;

        pub(super) fn settle(desired: u32, mut replicas: Vec<Seen>) {
            let floor = replicas.len().min(desired as usize);
            for _ in 0..50 {
                let steps = plan(desired, &replicas);
                if steps.is_empty() && replicas.iter().all(|replica| replica.ready && !replica.stopping) {
                    assert_eq!(replicas.len(), desired as usize);
                    assert!(replicas.iter().all(|replica| replica.current));
                    return;
                }
                replicas.retain(|replica| !replica.stopping);
                replicas.iter_mut().for_each(|replica| replica.ready = true);
                for step in steps {
                    match step {
                        Start(index) => replicas.push(starting(index)),
                        Stop(index) => {
                            replicas
                                .iter_mut()
                                .filter(|seen| seen.index == index)
                                .for_each(|seen| seen.stopping = true);
                        }
                    }
                }
                let serving = replicas.iter().filter(|replica| replica.ready && !replica.stopping).count();
                assert!(serving >= floor, "{serving} of {floor} serve: {replicas:?}");
            }
            panic!("no end: {replicas:?}");
        }
    }
}
