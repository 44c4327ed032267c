//! The decision between nothing and something: 0 ↔ 1, idle ↔ minimum (`behaviour.md` §2.5 and §2.6).
//!
//! Between the minimum and the maximum the HorizontalPodAutoscaler decides.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::conditions::Condition;
use super::rules::Rules;

/// What is known when a decision is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Situation {
    /// Replicas of the target, or why they cannot be read.
    pub current: Result<i32, String>,
    /// Whether some trigger is active.
    pub active: bool,
    /// Whether some trigger failed, and no fallback stands in for it.
    pub failing: bool,
    /// Metric names of the active triggers.
    pub active_metrics: Vec<String>,
    /// Time since the object was created.
    pub since_creation: Duration,
    /// Time since the object was last active; `None` when it never was.
    pub since_active: Option<Duration>,
}

/// What to do, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The replicas to set; `None` leaves them alone.
    pub scale_to: Option<i32>,
    /// Whether the object counts as active at this moment; after activating only if the scaling succeeds.
    pub last_active: LastActive,
    /// Conditions to set.
    pub conditions: Vec<Condition>,
    /// The rule that decided.
    pub reason: Reason,
}

/// What becomes of the time at which the object was last active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastActive {
    /// Unchanged.
    Keep,
    /// This moment.
    Now,
    /// The moment at which scaling succeeds.
    WhenScaled,
}

/// Why the replicas are left alone or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "kebab-case")]
#[allow(missing_docs)] // Each is explained by its text below.
pub enum Reason {
    ReplicasUnreadable { error: String },
    Paused,
    Activated { metrics: Vec<String>, to: i32 },
    ForcedActivation { to: i32 },
    ScaleOutPaused { to: i32 },
    ActiveWithFailures,
    Active { metrics: Vec<String>, forced: bool },
    WaitingForFallback,
    TriggersFailing,
    ScaleInPaused { to: i32 },
    CoolingDown { remaining_seconds: u64, initial: bool },
    Deactivated { to: i32, inactive_seconds: Option<u64> },
    RaisedToMinimum { to: i32 },
    AtRest { replicas: i32 },
    AtMinimum { minimum: i32 },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::ReplicasUnreadable { error } => {
                write!(f, "the replicas of the target cannot be read ({error}), so nothing is changed")
            }
            Reason::Paused => f.write_str("paused by annotation"),
            Reason::Activated { metrics, to } if metrics.is_empty() => {
                write!(f, "cpu and memory are the HPA's affair, so {} to start with", counted(*to))
            }
            Reason::Activated { metrics, to } => {
                write!(f, "{} above the activation value, so {} to start with", listed(metrics), counted(*to))
            }
            Reason::ForcedActivation { to } => write!(f, "activation is forced by annotation, so {}", counted(*to)),
            Reason::ScaleOutPaused { to } => {
                write!(f, "active, and {} wanted, but scaling out is paused by annotation", counted(*to))
            }
            Reason::ActiveWithFailures => {
                f.write_str("active, although some triggers fail; the HPA decides on the others")
            }
            Reason::Active { forced: true, .. } => {
                f.write_str("activation is forced by annotation; the HPA decides how many replicas")
            }
            Reason::Active { metrics, .. } if metrics.is_empty() => {
                f.write_str("cpu and memory are the HPA's affair; it decides how many replicas")
            }
            Reason::Active { metrics, .. } => {
                write!(f, "{} above the activation value; the HPA decides how many replicas", listed(metrics))
            }
            Reason::WaitingForFallback => {
                f.write_str("a trigger fails; replicas are held until the fallback's failure threshold is passed")
            }
            Reason::TriggersFailing => f.write_str("a trigger fails and there is no fallback, so replicas are held"),
            Reason::ScaleInPaused { to } => {
                write!(f, "inactive, and {} wanted, but scaling in is paused by annotation", counted(*to))
            }
            Reason::CoolingDown { remaining_seconds, initial } => {
                let period = if *initial { "initial cooldown" } else { "cooldown" };
                write!(f, "no trigger is active; the {period} ends in {remaining_seconds} s")
            }
            Reason::Deactivated { to, inactive_seconds: Some(seconds) } => {
                write!(f, "no trigger was active for {seconds} s, longer than the cooldown, so {}", counted(*to))
            }
            Reason::Deactivated { to, inactive_seconds: None } => {
                write!(f, "no trigger has been active since the object was created, so {}", counted(*to))
            }
            Reason::RaisedToMinimum { to } => write!(f, "fewer replicas than the minimum, so {to}"),
            Reason::AtRest { replicas } => {
                write!(f, "no trigger is active, and {} is the rest state", counted(*replicas))
            }
            Reason::AtMinimum { minimum } => {
                write!(f, "no trigger is active; the HPA keeps at least {}", counted(*minimum))
            }
        }
    }
}

fn counted(replicas: i32) -> String {
    if replicas == 1 { "1 replica".to_string() } else { format!("{replicas} replicas") }
}

fn listed(metrics: &[String]) -> String {
    match metrics {
        [] => "nothing is".to_string(),
        [one] => format!("{one} is"),
        many => format!("{} are", many.join(", ")),
    }
}

/// Decides. The rows are those of `behaviour.md` §2.5, top to bottom.
pub fn decide(rules: &Rules, situation: &Situation) -> Decision {
    let current = match &situation.current {
        Ok(current) => *current,
        Err(error) => {
            return Decision {
                scale_to: None,
                last_active: LastActive::Keep,
                conditions: vec![Condition::replicas_unreadable(error)],
                reason: Reason::ReplicasUnreadable { error: error.clone() },
            };
        }
    };
    if rules.pause.is_full() {
        return Decision {
            scale_to: None,
            last_active: LastActive::Keep,
            conditions: vec![Condition::paused(), Condition::ready_while_paused()],
            reason: Reason::Paused,
        };
    }
    if situation.active || rules.pause.force_activation {
        when_active(rules, situation, current)
    } else {
        when_inactive(rules, situation, current)
    }
}

fn when_active(rules: &Rules, situation: &Situation, current: i32) -> Decision {
    // The annotation is named first, whatever else is active, as in KEDA.
    let forced = rules.pause.force_activation;
    let conditions = vec![Condition::active(forced), Condition::ready()];
    let starved = rules.idle.is_some() && current < rules.minimum();
    if starved || current == 0 {
        let to = rules.when_activated();
        if rules.pause.scale_out {
            let reason = Reason::ScaleOutPaused { to };
            return Decision { scale_to: None, last_active: LastActive::Keep, conditions, reason };
        }
        let reason = if forced {
            Reason::ForcedActivation { to }
        } else {
            Reason::Activated { metrics: situation.active_metrics.clone(), to }
        };
        return Decision { scale_to: Some(to), last_active: LastActive::WhenScaled, conditions, reason };
    }
    if situation.failing {
        return Decision {
            scale_to: None,
            last_active: LastActive::Keep,
            conditions: vec![Condition::active(forced), Condition::partial_trigger_error()],
            reason: Reason::ActiveWithFailures,
        };
    }
    let reason = Reason::Active { metrics: situation.active_metrics.clone(), forced };
    Decision { scale_to: None, last_active: LastActive::Now, conditions, reason }
}

fn when_inactive(rules: &Rules, situation: &Situation, current: i32) -> Decision {
    let hold = |ready: Condition, reason: Reason| Decision {
        scale_to: None,
        last_active: LastActive::Keep,
        conditions: vec![Condition::not_active(), ready],
        reason,
    };
    if situation.failing {
        match &rules.fallback {
            Some(fallback) if fallback.replicas != 0 => {
                return hold(Condition::ready(), Reason::WaitingForFallback);
            }
            // With a fallback of 0 the user asked for 0 on failure: go on as if inactive.
            Some(_) => {}
            None => return hold(Condition::trigger_error(), Reason::TriggersFailing),
        }
    }
    let above_rest = match rules.idle {
        Some(idle) => current > idle,
        None => false,
    };
    if above_rest || (current > 0 && rules.minimum() == 0) {
        return deactivate(rules, situation);
    }
    if rules.idle.is_none() && current < rules.minimum() {
        let to = rules.minimum();
        return Decision { scale_to: Some(to), ..hold(Condition::ready(), Reason::RaisedToMinimum { to }) };
    }
    let reason = if current > rules.at_rest() || rules.minimum() > 0 && rules.idle.is_none() {
        Reason::AtMinimum { minimum: rules.minimum() }
    } else {
        Reason::AtRest { replicas: current }
    };
    hold(Condition::ready(), reason)
}

/// Down to the rest state, once the cooldown is over.
fn deactivate(rules: &Rules, situation: &Situation) -> Decision {
    let to = rules.at_rest();
    let decision = |scale_to, active: Condition, reason| Decision {
        scale_to,
        last_active: LastActive::Keep,
        conditions: vec![active, Condition::ready()],
        reason,
    };
    if rules.pause.scale_in {
        return decision(None, Condition::not_active(), Reason::ScaleInPaused { to });
    }
    let (waited, period, initial) = match situation.since_active {
        Some(since_active) => (since_active, rules.cooldown(), false),
        None => (situation.since_creation, rules.initial_cooldown(), true),
    };
    if waited <= period {
        let remaining_seconds = (period - waited).as_secs_f64().ceil();
        // Periods are i32 seconds, so the remainder fits.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let reason = Reason::CoolingDown { remaining_seconds: remaining_seconds as u64, initial };
        return decision(None, Condition::cooling_down(), reason);
    }
    let inactive_seconds = situation.since_active.map(|since| since.as_secs());
    decision(Some(to), Condition::not_active(), Reason::Deactivated { to, inactive_seconds })
}
