//! What holds for every HPA, whatever its metrics say.

use std::time::Duration;

use proptest::prelude::*;

use super::calculator::{self, Situation};
use super::object::{
    ContainerResourceMetricSource, ExternalMetricSource, MetricTarget, ObjectMetricSource, PodsMetricSource,
    PolicyType, ResourceMetricSource, ScalingPolicy, SelectPolicy,
};
use super::pods::{Container, Phase, PodSample, Readiness, ResourceList};
use super::*;
use crate::quantity::Quantity;

/// Seconds until the next reconcile, what the metric says, and whether somebody else scaled the target.
type Step = (u64, Option<i64>, Option<i32>);

fn quantity() -> impl Strategy<Value = Quantity> {
    any::<i64>().prop_map(Quantity::from_milli)
}

fn target() -> impl Strategy<Value = MetricTarget> {
    let of = |value: Quantity, percent: i32, which: u8| {
        let mut target = MetricTarget::default();
        match which {
            0 => target.value = Some(value),
            1 => target.average_value = Some(value),
            _ => target.average_utilization = Some(percent),
        }
        target
    };
    (quantity(), any::<i32>(), 0..3_u8).prop_map(move |(value, percent, which)| of(value, percent, which))
}

fn metric() -> impl Strategy<Value = MetricSpec> {
    (target(), 0..5_u8).prop_map(|(target, kind)| match kind {
        0 => MetricSpec::External(ExternalMetricSource { target, ..Default::default() }),
        1 => MetricSpec::Object(ObjectMetricSource { target, ..Default::default() }),
        2 => MetricSpec::Pods(PodsMetricSource { target, ..Default::default() }),
        3 => MetricSpec::Resource(ResourceMetricSource { name: "cpu".into(), target }),
        _ => MetricSpec::ContainerResource(ContainerResourceMetricSource {
            name: "cpu".into(),
            container: "app".into(),
            target,
        }),
    })
}

fn pod() -> impl Strategy<Value = Pod> {
    let times = (any::<Option<u32>>(), any::<Option<u32>>(), any::<u32>());
    (times, any::<Option<Option<bool>>>(), 0..4_u8, quantity(), quantity(), any::<bool>()).prop_map(
        |((started, changed, at), ready, phase, usage, request, measured)| {
            let seconds = |seconds: u32| Duration::from_secs(seconds.into());
            let cpu = |quantity: &Quantity| ResourceList::from([("cpu".to_owned(), quantity.clone())]);
            let app = || [("app".to_owned(), cpu(&usage))].into();
            Pod {
                name: format!("p{at}"),
                phase: [Phase::Running, Phase::Pending, Phase::Failed, Phase::Succeeded][usize::from(phase)],
                started: started.map(seconds),
                ready: ready.map(|status| Readiness { status, changed: changed.map(seconds) }),
                containers: vec![Container { name: "app".into(), requests: cpu(&request), sidecar: false }],
                sample: measured.then(|| PodSample { at: seconds(at), window: seconds(at % 60), usage: app() }),
                custom: [(String::new(), usage.clone())].into(),
                ..Pod::default()
            }
        },
    )
}

fn rules() -> impl Strategy<Value = ScalingRules> {
    let policy = (any::<bool>(), 1..200_i32, 1..120_i32).prop_map(|(pods, value, period_seconds)| ScalingPolicy {
        policy_type: if pods { PolicyType::Pods } else { PolicyType::Percent },
        value,
        period_seconds,
    });
    let select = prop_oneof![Just(SelectPolicy::Max), Just(SelectPolicy::Min), Just(SelectPolicy::Disabled)];
    let parts =
        (prop::option::of(0..200_i32), prop::option::of(select), prop::option::of(prop::collection::vec(policy, 1..4)));
    parts.prop_map(|(stabilization_window_seconds, select_policy, policies)| ScalingRules {
        stabilization_window_seconds,
        select_policy,
        policies,
        tolerance: None,
    })
}

fn queue_spec() -> impl Strategy<Value = HorizontalPodAutoscalerSpec> {
    let behavior = prop::option::of((prop::option::of(rules()), prop::option::of(rules())));
    (0..20_i32, 0..100_i32, 1..100_000_i64, behavior).prop_map(|(min, more, target, behavior)| {
        let target = MetricTarget { average_value: Some(Quantity::from_milli(target)), ..MetricTarget::default() };
        HorizontalPodAutoscalerSpec {
            min_replicas: Some(min),
            max_replicas: (min + more).max(1),
            metrics: vec![MetricSpec::External(ExternalMetricSource { target, ..Default::default() })],
            behavior: behavior.map(|(scale_up, scale_down)| Behavior { scale_up, scale_down }),
            ..HorizontalPodAutoscalerSpec::default()
        }
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let value = prop_oneof![3 => (0..1_000_000_i64).prop_map(Some), 1 => any::<i64>().prop_map(Some), 1 => Just(None)];
    prop::collection::vec((0..400_u64, value, prop::option::weighted(0.1, 0..200_i32)), 1..40)
}

fn observed(replicas: i32, value: Option<i64>) -> Observed {
    let reading = value.map(|value| vec![Quantity::from_milli(value)]).ok_or_else(|| "gone".to_owned());
    Observed {
        scale: Ok(Scale::settled(replicas)),
        readings: vec![reading],
        pods: Pods::Counted { ready: usize::try_from(replicas).unwrap_or(0), not_ready: 0 },
    }
}

/// Runs a history and yields every decision with the replicas before it.
fn run(spec: &HorizontalPodAutoscalerSpec, gate: bool, steps: &[Step]) -> Vec<(i32, Decision)> {
    let settings = ControllerSettings { scale_to_zero: gate, ..ControllerSettings::default() };
    let mut autoscaler = Autoscaler::new("test");
    let (mut now, mut replicas) = (Duration::ZERO, 1);
    let mut decisions = Vec::new();
    for (seconds, value, scaled_by_hand) in steps {
        now += Duration::from_secs(*seconds);
        replicas = scaled_by_hand.unwrap_or(replicas);
        let decision = autoscaler.reconcile(now, &settings, spec, &observed(replicas, *value));
        let before = replicas;
        replicas = decision.replicas.unwrap_or(before);
        decisions.push((before, decision));
    }
    decisions
}

proptest! {
    #[test]
    fn a_scaling_ends_within_the_bounds(spec in queue_spec(), gate: bool, steps in steps()) {
        for (before, decision) in run(&spec, gate, &steps) {
            let replicas = decision.replicas.unwrap();
            prop_assert_eq!(decision.rescaled, replicas != before);
            if decision.rescaled {
                prop_assert!((spec.min_replicas.unwrap()..=spec.max_replicas).contains(&replicas), "{}", decision.cause);
            }
        }
    }

    #[test]
    fn the_same_history_gives_the_same_decisions(spec in queue_spec(), gate: bool, steps in steps()) {
        // Compared as text: a ratio may be not-a-number.
        prop_assert_eq!(format!("{:?}", run(&spec, gate, &steps)), format!("{:?}", run(&spec, gate, &steps)));
    }

    #[test]
    fn more_load_never_gives_fewer_replicas(
        spec in queue_spec(), replicas in 1..200_i32, load in 0..i64::MAX, more in 0..i64::MAX,
    ) {
        let decide = |value| {
            let settings = ControllerSettings::default();
            let observed = observed(replicas, Some(value));
            Autoscaler::new("test").reconcile(Duration::ZERO, &settings, &spec, &observed).replicas
        };
        prop_assert!(decide(load) <= decide(load.saturating_add(more)));
    }

    #[test]
    fn memory_stays_small(spec in queue_spec(), values in prop::collection::vec(0..1_000_000_i64, 200)) {
        let mut autoscaler = Autoscaler::new("test");
        let mut replicas = 1;
        for (step, value) in (0_u64..).zip(values) {
            let now = Duration::from_secs(15 * step);
            let decision =
                autoscaler.reconcile(now, &ControllerSettings::default(), &spec, &observed(replicas, Some(value)));
            replicas = decision.replicas.unwrap_or(replicas);
        }
        // Five minutes of 15-second steps, the first look, and both edges.
        prop_assert!(autoscaler.memory.recommendations.len() <= 23);
    }

    #[test]
    fn no_metric_breaks_the_calculator(
        metric in metric(),
        values in prop::collection::vec(quantity(), 0..4),
        pods in prop::collection::vec(pod(), 0..6),
        spec_replicas: i32,
        status_replicas: i32,
        up: f64,
        down: f64,
        now: u32,
    ) {
        let pods = Pods::Listed(pods);
        let settings = ControllerSettings::default();
        let situation = Situation {
            now: Duration::from_secs(now.into()),
            spec_replicas,
            status_replicas,
            tolerances: Tolerances { up, down },
            pods: &pods,
            settings: &settings,
        };
        let _ = calculator::propose(&metric, &Ok(values), &situation);
    }

    #[test]
    fn no_reconcile_breaks_on_odd_numbers(
        metrics in prop::collection::vec(metric(), 0..4),
        readings in prop::collection::vec(prop::collection::vec(quantity(), 0..3), 0..4),
        pods in prop::collection::vec(pod(), 0..4),
        (min_replicas, max_replicas, spec_replicas, status_replicas) in any::<(Option<i32>, i32, i32, i32)>(),
        behavior in prop::option::of((rules(), rules())),
        past: i32,
    ) {
        let behavior = behavior.map(|(up, down)| Behavior { scale_up: Some(up), scale_down: Some(down) });
        let spec = HorizontalPodAutoscalerSpec { min_replicas, max_replicas, metrics, behavior, ..Default::default() };
        let scale = Scale { spec_replicas, status_replicas, has_selector: true };
        let readings = readings.into_iter().map(Ok).collect();
        let observed = Observed { scale: Ok(scale), readings, pods: Pods::Listed(pods) };
        let mut autoscaler = Autoscaler::new("test");
        let settings = ControllerSettings::default();
        autoscaler.memory.scale_ups.add(Duration::ZERO, past, Duration::ZERO);
        autoscaler.memory.begin(Duration::ZERO, past);
        for seconds in [1, u64::MAX] {
            let decision = autoscaler.reconcile(Duration::from_secs(seconds), &settings, &spec, &observed);
            let _ = decision.cause.to_string();
        }
    }
}
