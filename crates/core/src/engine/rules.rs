//! What a ScaledObject asks for, as far as decisions need it: bounds, periods, annotations, fallback, formula.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::SmallMap;
use crate::api::ScaledObject;

/// Annotations that steer an object (`behaviour.md` §1.5).
pub mod annotation {
    /// Full pause at the current replicas.
    pub const PAUSED: &str = "autoscaling.keda.sh/paused";
    /// Full pause at a number of replicas.
    pub const PAUSED_REPLICAS: &str = "autoscaling.keda.sh/paused-replicas";
    /// No scaling in.
    pub const PAUSED_SCALE_IN: &str = "autoscaling.keda.sh/paused-scale-in";
    /// No scaling out.
    pub const PAUSED_SCALE_OUT: &str = "autoscaling.keda.sh/paused-scale-out";
    /// Active whatever the triggers say.
    pub const FORCE_ACTIVATION: &str = "autoscaling.keda.sh/force-activation";
}

/// Bounds, periods and wishes of a ScaledObject. Absent values mean KEDA's defaults.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    /// `minReplicaCount`.
    pub minimum: Option<i32>,
    /// `maxReplicaCount`.
    pub maximum: Option<i32>,
    /// `idleReplicaCount`.
    pub idle: Option<i32>,
    /// `cooldownPeriod`, in seconds.
    pub cooldown_seconds: Option<i32>,
    /// `initialCooldownPeriod`, in seconds.
    pub initial_cooldown_seconds: Option<i32>,
    /// `pollingInterval`, in seconds.
    pub polling_seconds: Option<i32>,
    /// What to do while a source fails.
    pub fallback: Option<Fallback>,
    /// The formula over all triggers.
    pub modifiers: Option<Modifiers>,
    /// What the annotations say.
    pub pause: Pause,
}

/// `spec.fallback`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fallback {
    /// Failures above which the fallback applies.
    pub failure_threshold: i32,
    /// Replicas wanted then.
    pub replicas: i32,
    /// `static`, `currentReplicas`, `currentReplicasIfHigher`, `currentReplicasIfLower`, `scalingModifiers`; empty is
    /// `static`.
    #[serde(default)]
    pub behavior: String,
}

/// `spec.advanced.scalingModifiers`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Modifiers {
    /// The formula.
    pub formula: String,
    /// The target of the composite metric, a number as text.
    pub target: String,
    /// Above which composite value the object is active; a number as text.
    pub activation_target: String,
    /// `AverageValue` or `Value`; empty is `AverageValue`.
    pub metric_type: String,
}

impl Modifiers {
    /// Whether any field is set.
    pub fn in_use(&self) -> bool {
        *self != Modifiers::default()
    }

    /// The target of the composite metric, when there is one: a formula with a target above 0.
    pub fn composite_target(&self) -> Option<f64> {
        let target = self.target.parse::<f64>().ok().filter(|target| *target > 0.0 || target.is_nan())?;
        (!self.formula.is_empty()).then_some(target)
    }
}

/// What the annotations say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pause {
    /// `paused`.
    pub paused: bool,
    /// `paused-replicas`: the number, or why it is none.
    pub replicas: Option<Result<i32, String>>,
    /// `paused-scale-in`.
    pub scale_in: bool,
    /// `paused-scale-out`.
    pub scale_out: bool,
    /// `force-activation`.
    pub force_activation: bool,
}

impl Pause {
    /// Reads the annotations. A switch with a text that is no boolean is on.
    pub fn from_annotations(annotations: &SmallMap<String, String>) -> Self {
        let switch = |name: &str| match annotations.get(name) {
            Some(text) => crate::metadata::parse_bool(text).unwrap_or(true),
            None => false,
        };
        let replicas = annotations.get(annotation::PAUSED_REPLICAS).map(|text| {
            text.parse::<i32>().map_err(|_| {
                format!(
                    "failed to parse paused replica count: {text:?} in annotation {} is not an integer",
                    annotation::PAUSED_REPLICAS
                )
            })
        });
        Pause {
            paused: switch(annotation::PAUSED),
            replicas,
            scale_in: switch(annotation::PAUSED_SCALE_IN),
            scale_out: switch(annotation::PAUSED_SCALE_OUT),
            force_activation: switch(annotation::FORCE_ACTIVATION),
        }
    }

    /// Whether nothing may scale.
    pub fn is_full(&self) -> bool {
        self.paused || self.replicas.is_some()
    }
}

impl Rules {
    /// `minReplicaCount`, 0 by default.
    pub fn minimum(&self) -> i32 {
        self.minimum.unwrap_or(0)
    }

    /// What the object has while it is inactive.
    pub fn at_rest(&self) -> i32 {
        self.idle.unwrap_or_else(|| self.minimum())
    }

    /// What the object gets when it becomes active.
    pub fn when_activated(&self) -> i32 {
        self.minimum().max(1)
    }

    /// `minReplicas` of the HPA: it never goes below 1.
    pub fn hpa_minimum(&self) -> i32 {
        match self.minimum {
            Some(minimum) if minimum > 0 => minimum,
            _ => 1,
        }
    }

    /// `maxReplicas` of the HPA, 100 by default.
    pub fn hpa_maximum(&self) -> i32 {
        self.maximum.unwrap_or(100)
    }

    /// `cooldownPeriod`, 300 s by default.
    pub fn cooldown(&self) -> Duration {
        seconds(self.cooldown_seconds, 300)
    }

    /// `initialCooldownPeriod`, none by default.
    pub fn initial_cooldown(&self) -> Duration {
        seconds(self.initial_cooldown_seconds, 0)
    }

    /// `pollingInterval`, 30 s by default.
    pub fn polling_interval(&self) -> Duration {
        seconds(self.polling_seconds, 30).max(Duration::from_secs(1))
    }

    /// Checks the bounds against each other (`behaviour.md` §1.3).
    ///
    /// # Errors
    /// KEDA's text.
    pub fn check_bounds(&self) -> Result<(), String> {
        // An explicit 0 counts as 1 here, an absent one as 0.
        let minimum = self.minimum.map_or(0, |minimum| minimum.max(1));
        let maximum = self.hpa_maximum();
        if minimum > maximum {
            return Err(format!("MinReplicaCount={minimum} must be less than MaxReplicaCount={maximum}"));
        }
        match self.idle {
            Some(idle) if idle >= minimum => {
                Err(format!("IdleReplicaCount={idle} must be less than MinReplicaCount={minimum}"))
            }
            _ => Ok(()),
        }
    }
}

impl From<&ScaledObject> for Rules {
    fn from(object: &ScaledObject) -> Self {
        let spec = &object.spec;
        let fallback = spec.fallback.as_ref().map(|fallback| Fallback {
            failure_threshold: fallback.failure_threshold,
            replicas: fallback.replicas,
            behavior: fallback.behavior.as_str().to_string(),
        });
        let modifiers = spec.advanced.as_ref().and_then(|advanced| advanced.scaling_modifiers.as_ref());
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        Rules {
            minimum: spec.min_replica_count,
            maximum: spec.max_replica_count,
            idle: spec.idle_replica_count,
            cooldown_seconds: spec.cooldown_period,
            initial_cooldown_seconds: spec.initial_cooldown_period,
            polling_seconds: spec.polling_interval,
            fallback,
            modifiers: modifiers.map(|modifiers| Modifiers {
                formula: text(&modifiers.formula),
                target: text(&modifiers.target),
                activation_target: text(&modifiers.activation_target),
                metric_type: text(&modifiers.metric_type),
            }),
            pause: Pause::from_annotations(&object.metadata.annotations),
        }
    }
}

fn seconds(value: Option<i32>, default: u64) -> Duration {
    Duration::from_secs(value.map_or(default, |value| u64::try_from(value).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(name: &str, text: &str) -> Pause {
        Pause::from_annotations(&SmallMap::from_iter([(name.to_string(), text.to_string())]))
    }

    #[test]
    fn a_switch_with_an_odd_text_is_on() {
        assert!(pause(annotation::PAUSED, "yes please").paused);
        assert!(pause(annotation::PAUSED, "T").paused);
        assert!(!pause(annotation::PAUSED, "F").paused);
    }

    #[test]
    fn any_paused_replicas_pause() {
        assert!(pause(annotation::PAUSED_REPLICAS, "x").is_full());
        assert_eq!(pause(annotation::PAUSED_REPLICAS, "4").replicas, Some(Ok(4)));
    }

    #[test]
    fn an_explicit_minimum_of_0_counts_as_1_beside_idle() {
        let rules = |minimum| Rules { minimum, idle: Some(0), ..Rules::default() };
        assert!(rules(Some(0)).check_bounds().is_ok());
        assert!(rules(None).check_bounds().is_err());
    }
}
