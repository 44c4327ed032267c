//! One HPA over time, told step by step.

use std::time::Duration;

use super::decision::Direction;
use super::object::{
    ExternalMetricSource, MetricIdentifier, MetricTarget, ObjectReference, PolicyType, ScalingPolicy, TargetType,
};
use super::*;

/// A queue of which each replica takes 10.
fn spec(min: i32, max: i32) -> HorizontalPodAutoscalerSpec {
    HorizontalPodAutoscalerSpec {
        scale_target_ref: ObjectReference { kind: "Deployment".into(), name: "web".into(), ..Default::default() },
        min_replicas: Some(min),
        max_replicas: max,
        metrics: vec![queue("s0-queue")],
        behavior: None,
    }
}

fn queue(name: &str) -> MetricSpec {
    let target = MetricTarget {
        target_type: TargetType::AverageValue,
        average_value: Some(10.into()),
        ..MetricTarget::default()
    };
    let metric = MetricIdentifier { name: name.to_owned(), selector: None };
    MetricSpec::External(ExternalMetricSource { metric, target })
}

/// A target and its autoscaler under a clock that the story moves.
struct Story {
    spec: HorizontalPodAutoscalerSpec,
    settings: ControllerSettings,
    autoscaler: Autoscaler,
    replicas: i32,
}

impl Story {
    fn of(spec: HorizontalPodAutoscalerSpec, replicas: i32) -> Self {
        Story { spec, settings: ControllerSettings::default(), autoscaler: Autoscaler::new("shop"), replicas }
    }

    fn observed(&self, readings: &[Result<i64, &str>]) -> Observed {
        let reading = |reading: &Result<i64, &str>| reading.map(|v| vec![v.into()]).map_err(ToOwned::to_owned);
        Observed {
            scale: Ok(Scale::settled(self.replicas)),
            readings: readings.iter().map(reading).collect(),
            pods: Pods::Counted { ready: usize::try_from(self.replicas).unwrap(), not_ready: 0 },
        }
    }

    fn read(&mut self, seconds: u64, readings: &[Result<i64, &str>]) -> Decision {
        let observed = self.observed(readings);
        let now = Duration::from_secs(seconds);
        let decision = self.autoscaler.reconcile(now, &self.settings, &self.spec, &observed);
        self.replicas = decision.replicas.unwrap();
        decision
    }

    fn queue(&mut self, seconds: u64, length: i64) -> Decision {
        self.read(seconds, &[Ok(length)])
    }
}

fn able(decision: &Decision) -> &str {
    &decision.conditions.able_to_scale.as_ref().unwrap().reason
}

#[test]
fn a_queue_fills_and_empties() {
    let mut story = Story::of(spec(1, 100), 1);
    let up = story.queue(0, 80);
    assert_eq!((up.replicas, up.rescaled), (Some(4), true));
    assert_eq!(up.rescale.unwrap().to_string(), "New size: 4; reason: external metric s0-queue(nil) above target");
    assert_eq!(up.conditions.scaling_limited.unwrap().reason, "ScaleUpLimit");
    assert_eq!(story.queue(15, 80).replicas, Some(8));
    // A recommendation counts against the way down for five minutes, at their very end too.
    let held = story.queue(315, 10);
    assert_eq!((held.replicas, able(&held)), (Some(8), "ScaleDownStabilized"));
    let down = story.queue(316, 10);
    assert_eq!((down.replicas, able(&down)), (Some(1), "SucceededRescale"));
}

#[test]
fn a_failing_metric_forbids_to_scale_down_but_not_up() {
    let mut story = Story::of(spec(1, 100), 4);
    story.spec.metrics.push(queue("s1-queue"));
    let down = story.read(0, &[Ok(10), Err("gone")]);
    assert_eq!((down.replicas, down.rescaled), (Some(4), false));
    assert_eq!(down.conditions.scaling_active.unwrap().reason, "FailedGetExternalMetric");
    assert!(down.error.unwrap().contains("invalid metrics (1 invalid out of 2)"));
    let up = story.read(15, &[Ok(60), Err("gone")]);
    assert_eq!((up.replicas, up.error.is_some()), (Some(6), true));
    assert_eq!(up.current_metrics.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_policy_slows_the_way_down_and_says_so() {
    let mut story = Story::of(spec(1, 100), 10);
    let policy = ScalingPolicy { policy_type: PolicyType::Pods, value: 2, period_seconds: 60 };
    let rules = ScalingRules {
        stabilization_window_seconds: Some(0),
        policies: Some(vec![policy.clone()]),
        ..ScalingRules::default()
    };
    story.spec.behavior = Some(Behavior { scale_down: Some(rules), scale_up: None });
    let first = story.queue(0, 10);
    assert_eq!(first.replicas, Some(8));
    let Cause::Metric(cause) = first.cause else { panic!("a metric decided") };
    let limit = Limit::Rate { direction: Direction::Down, policy: Some(policy), wanted: 1, held: 8 };
    assert_eq!(cause.limits, [limit]);
    // A scaling exactly as old as the period no longer counts.
    assert_eq!(story.queue(59, 10).replicas, Some(8));
    assert_eq!(story.queue(60, 10).replicas, Some(6));
}

#[test]
fn a_target_at_zero_is_left_alone_unless_the_autoscaler_put_it_there() {
    let mut story = Story::of(spec(0, 10), 0);
    story.settings.scale_to_zero = true;
    assert_eq!(story.queue(0, 50).cause, Cause::Disabled);
    story.replicas = 1;
    story.queue(15, 0);
    assert_eq!(story.queue(400, 0).replicas, Some(0));
    assert_eq!(story.autoscaler.conditions.scaled_to_zero.as_ref().unwrap().reason, "ScaledToZero");
    assert_eq!(story.queue(415, 30).replicas, Some(3));
    assert_eq!(story.autoscaler.conditions.scaled_to_zero.as_ref().unwrap().reason, "NotScaledToZero");
}

#[test]
fn a_refused_scaling_is_told_and_not_remembered() {
    let mut story = Story::of(HorizontalPodAutoscalerSpec { behavior: Some(Behavior::default()), ..spec(1, 9) }, 1);
    let now = Duration::from_secs(5);
    let observed = story.observed(&[Ok(30)]);
    let decision = story.autoscaler.decide(now, &story.settings, &story.spec, &observed);
    let decision = story.autoscaler.settle(now, &story.settings, &story.spec, decision, Err("refused".to_owned()));
    assert_eq!((decision.replicas, decision.rescaled), (Some(1), false));
    assert_eq!(decision.error.as_deref(), Some("failed to rescale Deployment/shop/web: refused"));
    assert_eq!(able(&decision), "FailedUpdateScale");
    assert_eq!(story.autoscaler.memory.scale_ups, memory::ScaleEvents::default());
}

#[test]
fn a_restarted_process_keeps_the_window() {
    let mut story = Story::of(spec(1, 100), 4);
    story.queue(0, 40);
    let text = serde_json::to_string(&story.autoscaler).unwrap();
    story.autoscaler = serde_json::from_str(&text).unwrap();
    assert_eq!(able(&story.queue(15, 0)), "ScaleDownStabilized");
    story.autoscaler = Autoscaler::new("shop");
    // Without its memory the first look only knows what is there now.
    assert_eq!(able(&story.queue(30, 0)), "ScaleDownStabilized");
    assert_eq!(story.queue(331, 0).replicas, Some(1));
}

#[test]
fn bounds_come_before_metrics() {
    let mut story = Story::of(spec(2, 5), 9);
    let above = story.queue(0, 500);
    assert_eq!(above.cause.to_string(), "9 replicas are more than the maximum of 5");
    assert!(above.current_metrics.is_empty());
    story.replicas = 1;
    assert_eq!(story.queue(15, 500).replicas, Some(2));
}
