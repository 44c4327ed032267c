//! What the API server fills in when an HPA is written.
//!
//! `behavior` is completed only where it is present, even if empty; without it the controller uses other, older rules.
//! The window of `scaleDown` stays open: the controller's own `--horizontal-pod-autoscaler-downscale-stabilization`
//! stands in for it.

use super::object::{
    Behavior, HorizontalPodAutoscalerSpec, MetricSpec, MetricTarget, PolicyType, ResourceMetricSource, ScalingPolicy,
    ScalingRules, SelectPolicy, TargetType,
};

/// The lower bound of an HPA that names none.
pub const MIN_REPLICAS: i32 = 1;
/// Percent of the requested cpu that an HPA without metrics aims at.
pub const CPU_UTILIZATION: i32 = 80;

impl HorizontalPodAutoscalerSpec {
    /// Fills in what is absent; doing so twice changes nothing.
    pub fn set_defaults(&mut self) {
        self.min_replicas.get_or_insert(MIN_REPLICAS);
        if self.metrics.is_empty() {
            self.metrics.push(cpu_metric());
        }
        if let Some(Behavior { scale_up, scale_down }) = &mut self.behavior {
            complete(scale_up.get_or_insert_default(), scale_up_defaults());
            complete(scale_down.get_or_insert_default(), scale_down_defaults());
        }
    }

    /// A copy with [`Self::set_defaults`] applied.
    #[must_use]
    pub fn with_defaults(&self) -> Self {
        let mut spec = self.clone();
        spec.set_defaults();
        spec
    }
}

/// The rules of a `behavior` that says nothing on scaling up: double or add four pods every 15 seconds, at once.
pub fn scale_up_defaults() -> ScalingRules {
    ScalingRules {
        stabilization_window_seconds: Some(0),
        select_policy: Some(SelectPolicy::Max),
        policies: Some(vec![policy(PolicyType::Pods, 4), policy(PolicyType::Percent, 100)]),
        tolerance: None,
    }
}

/// The rules of a `behavior` that says nothing on scaling down: all pods at once, after the controller's window.
pub fn scale_down_defaults() -> ScalingRules {
    ScalingRules {
        stabilization_window_seconds: None,
        select_policy: Some(SelectPolicy::Max),
        policies: Some(vec![policy(PolicyType::Percent, 100)]),
        tolerance: None,
    }
}

fn policy(policy_type: PolicyType, value: i32) -> ScalingPolicy {
    ScalingPolicy { policy_type, value, period_seconds: 15 }
}

fn complete(rules: &mut ScalingRules, defaults: ScalingRules) {
    rules.stabilization_window_seconds = rules.stabilization_window_seconds.or(defaults.stabilization_window_seconds);
    rules.select_policy = rules.select_policy.or(defaults.select_policy);
    rules.policies = rules.policies.take().or(defaults.policies);
}

fn cpu_metric() -> MetricSpec {
    let target = MetricTarget {
        target_type: TargetType::Utilization,
        average_utilization: Some(CPU_UTILIZATION),
        ..MetricTarget::default()
    };
    MetricSpec::Resource(ResourceMetricSource { name: "cpu".to_owned(), target })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_spec_becomes_80_percent_cpu_from_one_replica() {
        let spec = HorizontalPodAutoscalerSpec::default().with_defaults();
        assert_eq!(spec.min_replicas, Some(1));
        assert_eq!(spec.metrics, [cpu_metric()]);
        assert_eq!(spec.behavior, None);
    }

    #[test]
    fn an_empty_behavior_is_completed_in_both_directions() {
        let mut spec = HorizontalPodAutoscalerSpec {
            behavior: Some(Behavior::default()),
            ..HorizontalPodAutoscalerSpec::default()
        };
        spec.set_defaults();
        let behavior = spec.behavior.clone().unwrap();
        assert_eq!(behavior.scale_up, Some(scale_up_defaults()));
        assert_eq!(behavior.scale_down, Some(scale_down_defaults()));
        assert_eq!(spec.with_defaults(), spec);
    }

    #[test]
    fn what_is_given_stays() {
        let rules = ScalingRules { stabilization_window_seconds: Some(7), ..ScalingRules::default() };
        let behavior = Behavior { scale_up: Some(rules), scale_down: None };
        let spec = HorizontalPodAutoscalerSpec { behavior: Some(behavior), ..HorizontalPodAutoscalerSpec::default() };
        let up = spec.with_defaults().behavior.unwrap().scale_up.unwrap();
        assert_eq!(up.stabilization_window_seconds, Some(7));
        assert_eq!(up.policies, scale_up_defaults().policies);
    }
}
