//! How fast a target may move: stabilization windows, rates and bounds.
//!
//! Without `behavior` the highest recommendation of the controller's window counts, and a target may at most double
//! (or reach 4). With it each direction has its own window and policies. Either way the raw recommendation is
//! remembered, not the stabilized one.

use std::time::Duration;

use super::decision::{Direction, Limit};
use super::memory::{Memory, older_than, younger_than};
use super::object::{PolicyType, ScalingPolicy, ScalingRules, SelectPolicy};

/// The rules of one direction with nothing left open.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    pub window: Duration,
    pub select: SelectPolicy,
    pub policies: &'a [ScalingPolicy],
}

impl<'a> Rules<'a> {
    /// Completed rules (see [`super::defaults`]); `window` stands in where they name none.
    pub fn new(rules: &'a ScalingRules, window: Duration) -> Self {
        let seconds = rules.stabilization_window_seconds.map(seconds);
        Rules {
            window: seconds.unwrap_or(Duration::from_secs(window.as_secs())),
            select: rules.select_policy.unwrap_or(SelectPolicy::Max),
            policies: rules.policies.as_deref().unwrap_or_default(),
        }
    }

    /// How long a scaling in this direction is of interest.
    pub fn longest_period(&self) -> Duration {
        self.policies.iter().map(|policy| seconds(policy.period_seconds)).max().unwrap_or_default()
    }
}

/// The bounds of an HPA and where its target is.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    pub min: i32,
    pub max: i32,
    pub current: i32,
}

/// Without `behavior`: remembers what is desired and yields the most that was desired within the window.
pub fn stabilize(memory: &mut Memory, now: Duration, desired: i32, window: Duration) -> (i32, Option<Limit>) {
    let too_old = |at| older_than(at, window, now);
    let recent = memory.recommendations.iter().filter(|past| !too_old(past.at)).map(|past| past.replicas);
    let held = recent.fold(desired, i32::max);
    memory.recommend(now, desired, |past| too_old(past.at));
    let limit = Limit::Stabilized { direction: Direction::Down, window, wanted: desired, held };
    (held, (held != desired).then_some(limit))
}

/// With `behavior`: remembers what is desired and moves only as far as all of the direction's window agrees to.
pub fn stabilize_with_rules(
    memory: &mut Memory,
    now: Duration,
    current: i32,
    desired: i32,
    up: &Rules<'_>,
    down: &Rules<'_>,
) -> (i32, Option<Limit>) {
    let within = |window| {
        let recent = memory.recommendations.iter().filter(move |past| younger_than(past.at, window, now));
        recent.map(|past| past.replicas)
    };
    let lowest = within(up.window).fold(desired, i32::min);
    let highest = within(down.window).fold(desired, i32::max);
    let held = current.max(lowest).min(highest);
    memory.recommend(now, desired, |past| older_than(past.at, up.window, now) && older_than(past.at, down.window, now));
    let (direction, rules) = if desired >= current { (Direction::Up, up) } else { (Direction::Down, down) };
    let limit = Limit::Stabilized { direction, window: rules.window, wanted: desired, held };
    (held, (held != desired).then_some(limit))
}

/// Without `behavior`: keeps within the bounds and lets a target at most double, or reach 4.
pub fn limit(range: Range, desired: i32) -> (i32, Option<Limit>) {
    let fastest = range.current.saturating_mul(2).max(4);
    if desired < range.min {
        return (range.min, Some(Limit::Minimum { wanted: desired, held: range.min }));
    }
    if desired <= range.max.min(fastest) {
        return (desired, None);
    }
    if range.max > fastest {
        let limit = Limit::Rate { direction: Direction::Up, policy: None, wanted: desired, held: fastest };
        return (fastest, Some(limit));
    }
    (range.max, Some(Limit::Maximum { wanted: desired, held: range.max }))
}

/// With `behavior`: keeps within the bound of the direction and what its policies allow.
pub fn limit_with_rules(
    memory: &Memory,
    now: Duration,
    range: Range,
    desired: i32,
    up: &Rules<'_>,
    down: &Rules<'_>,
) -> (i32, Option<Limit>) {
    if desired > range.current {
        let (allowed, policy) = allowed(memory, now, range.current, Direction::Up, up);
        let fastest = allowed.max(range.current);
        let held = range.max.min(fastest);
        let limit = if range.max > fastest {
            Limit::Rate { direction: Direction::Up, policy, wanted: desired, held }
        } else {
            Limit::Maximum { wanted: desired, held }
        };
        return if desired > held { (held, Some(limit)) } else { (desired, None) };
    }
    if desired < range.current {
        let (allowed, policy) = allowed(memory, now, range.current, Direction::Down, down);
        let fastest = allowed.min(range.current);
        let held = range.min.max(fastest);
        let limit = if range.min < fastest {
            Limit::Rate { direction: Direction::Down, policy, wanted: desired, held }
        } else {
            Limit::Minimum { wanted: desired, held }
        };
        return if desired < held { (held, Some(limit)) } else { (desired, None) };
    }
    (desired, None)
}

/// The furthest count that the policies of a direction allow, and the policy that does so.
fn allowed(
    memory: &Memory,
    now: Duration,
    current: i32,
    direction: Direction,
    rules: &Rules<'_>,
) -> (i32, Option<ScalingPolicy>) {
    if rules.select == SelectPolicy::Disabled {
        return (current, None);
    }
    let reach = |policy: &ScalingPolicy| {
        let start = memory.replicas_before(now, seconds(policy.period_seconds), current);
        (reach(start, direction, policy), Some(policy.clone()))
    };
    let reached = rules.policies.iter().map(reach);
    let largest_change = rules.select == SelectPolicy::Max;
    let furthest_up = (direction == Direction::Up) == largest_change;
    let chosen = if furthest_up {
        reached.reduce(|best, next| if next.0 > best.0 { next } else { best })
    } else {
        reached.reduce(|best, next| if next.0 < best.0 { next } else { best })
    };
    chosen.unwrap_or((current, None))
}

/// Where one policy lets a target get to that had `start` replicas when its period began.
fn reach(start: i32, direction: Direction, policy: &ScalingPolicy) -> i32 {
    let share = f64::from(policy.value) / 100.0;
    match (policy.policy_type, direction) {
        (PolicyType::Pods, Direction::Up) => start.saturating_add(policy.value),
        (PolicyType::Pods, Direction::Down) => start.saturating_sub(policy.value),
        // Rounded up, lest a small target never grow.
        (PolicyType::Percent, Direction::Up) => (f64::from(start) * (1.0 + share)).ceil() as i32,
        (PolicyType::Percent, Direction::Down) => (f64::from(start) * (1.0 - share)) as i32,
    }
}

fn seconds(seconds: i32) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::super::defaults::{scale_down_defaults, scale_up_defaults};
    use super::*;

    const NOW: Duration = Duration::from_secs(10_000);

    fn range(current: i32) -> Range {
        Range { min: 1, max: 100, current }
    }

    #[test]
    fn without_behavior_a_target_doubles_at_most() {
        assert_eq!(limit(range(1), 50).0, 4);
        assert_eq!(limit(range(10), 50).0, 20);
        assert_eq!(limit(range(10), 0).0, 1);
        assert_eq!(limit(range(60), 101).0, 100);
    }

    #[test]
    fn the_default_policies_double_or_add_four_from_where_the_period_began() {
        let (up, down) = (scale_up_defaults(), scale_down_defaults());
        let (up, down) = (Rules::new(&up, Duration::ZERO), Rules::new(&down, Duration::ZERO));
        let mut memory = Memory::default();
        assert_eq!(limit_with_rules(&memory, NOW, range(10), 50, &up, &down).0, 20);
        memory.scale_ups.add(NOW - Duration::from_secs(5), 5, up.longest_period());
        assert_eq!(limit_with_rules(&memory, NOW, range(10), 50, &up, &down).0, 10);
        assert_eq!(limit_with_rules(&memory, NOW, range(10), 2, &up, &down).0, 2);
    }

    #[test]
    fn a_disabled_direction_stays_where_it_is() {
        let disabled = ScalingRules { select_policy: Some(SelectPolicy::Disabled), ..scale_down_defaults() };
        let rules = Rules::new(&disabled, Duration::ZERO);
        let (held, limit) = limit_with_rules(&Memory::default(), NOW, range(10), 2, &rules, &rules);
        assert_eq!(held, 10);
        assert!(matches!(limit, Some(Limit::Rate { direction: Direction::Down, policy: None, .. })));
    }

    #[test]
    fn a_window_lets_through_what_all_of_it_agrees_to() {
        let mut memory = Memory::default();
        let window = Duration::from_secs(60);
        let rules = Rules { window, select: SelectPolicy::Max, policies: &[] };
        for (age, replicas) in [(60, 1), (30, 7), (10, 6)] {
            memory.recommend(NOW - Duration::from_secs(age), replicas, |_| false);
        }
        let decide = |desired| stabilize_with_rules(&mut memory.clone(), NOW, 5, desired, &rules, &rules).0;
        assert_eq!(decide(9), 6);
        assert_eq!(decide(2), 5);
        // Without behavior, an entry exactly as old as the window still counts.
        memory.recommendations.truncate(1);
        assert_eq!(stabilize(&mut memory, NOW, 0, window).0, 1);
    }
}
