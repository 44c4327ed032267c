//! Cases of the HPA controller: one metric (`calculator`), one reconcile (`single`), one HPA over time (`histories`).
//!
//! Texts of errors and conditions are for information in these cases and are not compared.

use std::collections::BTreeMap;
use std::time::Duration;

use keda_core::hpa::calculator::{self, Reading, Situation};
use keda_core::hpa::conditions::Condition;
use keda_core::hpa::memory::{Recommendation, ScaleEvent, ScaleEvents};
use keda_core::hpa::object::{
    ContainerResourceMetricSource, ExternalMetricSource, HorizontalPodAutoscalerSpec, MetricIdentifier, MetricSpec,
    MetricTarget, MetricValueStatus, ObjectMetricSource, PodsMetricSource, ResourceMetricSource, TargetType,
};
use keda_core::hpa::pods::{Container, Phase, Pod, PodSample, Pods, Readiness, ResourceList};
use keda_core::hpa::{Autoscaler, Conditions, ControllerSettings, Observed, Scale, Tolerances};
use keda_core::quantity::Quantity;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A point in time from which every age of a case can be subtracted.
const NOW: Duration = Duration::from_secs(10_000_000_000);

/// Runs a case of one of the three files.
pub(crate) fn run(stem: &str, line: &str) -> Option<Result<(), String>> {
    match stem {
        "calculator" => Some(read(line).and_then(check_calculator)),
        "single" => Some(read(line).and_then(check_single)),
        "histories" => Some(read(line).and_then(check_history)),
        _ => None,
    }
}

#[derive(Deserialize)]
struct Case<In, Expect> {
    r#in: In,
    expect: Expect,
}

fn read<In: DeserializeOwned, Expect: DeserializeOwned>(line: &str) -> Result<Case<In, Expect>, String> {
    serde_json::from_str(line).map_err(|error| format!("unreadable case: {error}"))
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, ours: &T, expected: &T) -> Result<(), String> {
    if ours == expected { Ok(()) } else { Err(format!("{what} is {ours:?}, expected {expected:?}")) }
}

// ---- calculator ----

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CalculatorIn {
    kind: String,
    target_type: TargetType,
    target: Option<Quantity>,
    target_utilization: Option<i32>,
    #[serde(default)]
    resource: String,
    #[serde(default)]
    container: String,
    spec_replicas: i32,
    status_replicas: i32,
    tolerance_up: f64,
    tolerance_down: f64,
    #[serde(default)]
    values: Vec<Quantity>,
    #[serde(default)]
    metric_error: bool,
    pod_counts: Option<PodCounts>,
    pods: Option<Vec<PodIn>>,
    cpu_initialization_period: Option<u64>,
    initial_readiness_delay: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CalculatorExpect {
    ok: bool,
    replicas: Option<i32>,
    usage_milli: Option<i64>,
    utilization: Option<i32>,
}

fn check_calculator(case: Case<CalculatorIn, CalculatorExpect>) -> Result<(), String> {
    let Case { r#in: input, expect } = case;
    let metric = input.metric()?;
    let mut settings = ControllerSettings::default();
    if let Some(seconds) = input.cpu_initialization_period {
        settings.cpu_initialization_period = Duration::from_secs(seconds);
    }
    if let Some(seconds) = input.initial_readiness_delay {
        settings.initial_readiness_delay = Duration::from_secs(seconds);
    }
    let pods = pods(input.pods, input.pod_counts)?;
    let situation = Situation {
        now: NOW,
        spec_replicas: input.spec_replicas,
        status_replicas: input.status_replicas,
        tolerances: Tolerances { up: input.tolerance_up, down: input.tolerance_down },
        pods: &pods,
        settings: &settings,
    };
    let reading = if input.metric_error { Err("source unavailable".to_owned()) } else { Ok(input.values) };
    let proposal = match calculator::propose(&metric, &reading, &situation) {
        Ok(proposal) => proposal,
        Err(error) if expect.ok => return Err(format!("invalid ({error}), expected {:?} replicas", expect.replicas)),
        Err(_) => return Ok(()),
    };
    same("ok", &true, &expect.ok)?;
    same("replicas", &Some(proposal.replicas), &expect.replicas)?;
    if expect.usage_milli.is_some() {
        same("usageMilli", &proposal.usage, &expect.usage_milli)?;
    }
    same("utilization", &proposal.utilization, &expect.utilization)
}

impl CalculatorIn {
    fn metric(&self) -> Result<MetricSpec, String> {
        let mut target = MetricTarget { target_type: self.target_type, ..MetricTarget::default() };
        match self.target_type {
            TargetType::AverageValue => target.average_value.clone_from(&self.target),
            TargetType::Value => target.value.clone_from(&self.target),
            TargetType::Utilization => target.average_utilization = self.target_utilization,
        }
        let metric = MetricIdentifier { name: "metric".to_owned(), selector: None };
        let name = self.resource.clone();
        Ok(match self.kind.as_str() {
            "External" => MetricSpec::External(ExternalMetricSource { metric, target }),
            "Object" => MetricSpec::Object(ObjectMetricSource { metric, target, ..ObjectMetricSource::default() }),
            "Pods" => MetricSpec::Pods(PodsMetricSource { metric, target }),
            "Resource" => MetricSpec::Resource(ResourceMetricSource { name, target }),
            "ContainerResource" => {
                let container = self.container.clone();
                MetricSpec::ContainerResource(ContainerResourceMetricSource { name, container, target })
            }
            other => return Err(format!("unknown kind {other}")),
        })
    }
}

// ---- single ----

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SingleIn {
    spec: HorizontalPodAutoscalerSpec,
    spec_replicas: i32,
    status_replicas: i32,
    #[serde(default)]
    no_selector: bool,
    #[serde(default)]
    get_scale_error: bool,
    #[serde(default)]
    update_scale_error: bool,
    #[serde(default)]
    metrics: Vec<MetricIn>,
    pods: Option<Vec<PodIn>>,
    #[serde(default)]
    pod_metrics_error: bool,
    pod_counts: Option<PodCounts>,
    #[serde(default)]
    recommendations: Vec<Past>,
    #[serde(default)]
    scale_up_events: Vec<Past>,
    #[serde(default)]
    scale_down_events: Vec<Past>,
    #[serde(default)]
    scale_to_zero_gate: bool,
    scaled_to_zero_condition: Option<bool>,
}

#[derive(Deserialize)]
struct MetricIn {
    #[serde(default)]
    values: Vec<Quantity>,
    #[serde(default)]
    error: bool,
}

#[derive(Deserialize)]
struct Past {
    ago: u64,
    replicas: i32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SingleExpect {
    replicas: i32,
    rescaled: bool,
    conditions: BTreeMap<String, ConditionExpect>,
    #[serde(default)]
    current_metrics: Vec<Option<MetricValueStatus>>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct ConditionExpect {
    status: String,
    reason: String,
}

fn check_single(case: Case<SingleIn, SingleExpect>) -> Result<(), String> {
    let Case { r#in: input, expect } = case;
    let mut autoscaler = input.autoscaler();
    let settings = ControllerSettings { scale_to_zero: input.scale_to_zero_gate, ..ControllerSettings::default() };
    let observed = Observed {
        scale: if input.get_scale_error { Err("target not found".to_owned()) } else { Ok(input.scale()) },
        readings: input.readings(),
        pods: pods(input.pods, input.pod_counts)?,
    };
    let outcome = if input.update_scale_error { Err("update refused".to_owned()) } else { Ok(()) };
    let decision = autoscaler.decide(NOW, &settings, &input.spec, &observed);
    let decision = autoscaler.settle(NOW, &settings, &input.spec, decision, outcome);

    same("replicas", &decision.replicas.unwrap_or(input.spec_replicas), &expect.replicas)?;
    same("rescaled", &decision.rescaled, &expect.rescaled)?;
    same("error", &decision.error.is_some(), &expect.error.is_some())?;
    let ours: BTreeMap<_, _> = decision.conditions.iter().map(|(name, c)| (name.to_owned(), short(c))).collect();
    let expected: BTreeMap<_, _> =
        expect.conditions.into_iter().map(|(name, c)| (name, format!("{}:{}", c.status, c.reason))).collect();
    same("conditions", &ours, &expected)?;
    let mut ours = decision.current_metrics;
    for (ours, expected) in ours.iter_mut().zip(&expect.current_metrics) {
        if let (Some(ours), Some(MetricValueStatus { average_value: None, .. })) = (ours, expected) {
            ours.average_value = None;
        }
    }
    same("currentMetrics", &ours, &expect.current_metrics)
}

impl SingleIn {
    fn scale(&self) -> Scale {
        Scale {
            spec_replicas: self.spec_replicas,
            status_replicas: self.status_replicas,
            has_selector: !self.no_selector,
        }
    }

    fn readings(&self) -> Vec<Reading> {
        let spec = self.spec.with_defaults();
        let reading = |(index, metric): (usize, &MetricSpec)| {
            let of_resources = matches!(metric, MetricSpec::Resource(_) | MetricSpec::ContainerResource(_));
            let given = self.metrics.get(index);
            if (of_resources && self.pod_metrics_error) || given.is_some_and(|given| given.error) {
                return Err("source unavailable".to_owned());
            }
            Ok(given.map(|given| given.values.clone()).unwrap_or_default())
        };
        spec.metrics.iter().enumerate().map(reading).collect()
    }

    fn autoscaler(&self) -> Autoscaler {
        let mut autoscaler = Autoscaler::new("test");
        let past = &self.recommendations;
        autoscaler.memory.recommendations =
            past.iter().map(|past| Recommendation { at: ago(past.ago), replicas: past.replicas }).collect();
        let events = |past: &[Past]| {
            ScaleEvents::new(past.iter().map(|p| ScaleEvent { at: ago(p.ago), replicas: p.replicas, outdated: false }))
        };
        autoscaler.memory.scale_ups = events(&self.scale_up_events);
        autoscaler.memory.scale_downs = events(&self.scale_down_events);
        autoscaler.conditions.scaled_to_zero = self.scaled_to_zero_condition.map(|status| Condition {
            status,
            reason: if status { "ScaledToZero" } else { "NotScaledToZero" }.to_owned(),
            message: String::new(),
            since: Duration::ZERO,
        });
        autoscaler
    }
}

// ---- histories ----

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HistoryIn {
    spec: HorizontalPodAutoscalerSpec,
    #[serde(default)]
    scale_to_zero_gate: bool,
    #[serde(default)]
    controller: ControllerIn,
    replicas: i32,
    steps: Vec<Step>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct ControllerIn {
    tolerance: Option<f64>,
    downscale_stabilization_seconds: Option<u64>,
}

#[derive(Deserialize)]
struct Step {
    t: f64,
    m: Vec<Option<Vec<Quantity>>>,
    replicas: Option<i32>,
    status: Option<i32>,
    ready: Option<usize>,
    spec: Option<HorizontalPodAutoscalerSpec>,
    #[serde(default)]
    restart: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HistoryExpect {
    replicas: Vec<i32>,
    able_to_scale: Vec<String>,
    scaling_active: Vec<String>,
    scaling_limited: Vec<String>,
    #[serde(default)]
    scaled_to_zero: Vec<String>,
    error_steps: Vec<usize>,
}

fn check_history(case: Case<HistoryIn, HistoryExpect>) -> Result<(), String> {
    let Case { r#in: input, expect } = case;
    let mut settings = ControllerSettings { scale_to_zero: input.scale_to_zero_gate, ..ControllerSettings::default() };
    settings.tolerance = input.controller.tolerance.unwrap_or(settings.tolerance);
    if let Some(seconds) = input.controller.downscale_stabilization_seconds {
        settings.downscale_stabilization = Duration::from_secs(seconds);
    }
    let mut autoscaler = Autoscaler::new("test");
    let (mut spec, mut replicas) = (input.spec, input.replicas);
    for (index, step) in input.steps.into_iter().enumerate() {
        spec = step.spec.clone().unwrap_or(spec);
        replicas = step.replicas.unwrap_or(replicas);
        if step.restart {
            autoscaler.memory = keda_core::hpa::Memory::default();
        }
        // Milliseconds are exact; a float of seconds is not.
        let now = NOW + Duration::from_millis((step.t * 1000.0).round() as u64);
        let observed = step.observed(&spec, replicas, now);
        let decision = autoscaler.reconcile(now, &settings, &spec, &observed);
        replicas = decision.replicas.unwrap_or(replicas);
        let error = decision.error.is_some();
        check_step(index, replicas, &decision.conditions, error, &expect)
            .map_err(|reason| format!("step {index} at {} s: {reason}; {}", step.t, decision.cause))?;
    }
    Ok(())
}

fn check_step(
    index: usize,
    replicas: i32,
    conditions: &Conditions,
    error: bool,
    expect: &HistoryExpect,
) -> Result<(), String> {
    let ours = |condition: &Option<Condition>| condition.as_ref().map(short).unwrap_or_default();
    same("replicas", &Some(&replicas), &expect.replicas.get(index))?;
    same("ableToScale", &Some(&ours(&conditions.able_to_scale)), &expect.able_to_scale.get(index))?;
    same("scalingActive", &Some(&ours(&conditions.scaling_active)), &expect.scaling_active.get(index))?;
    same("scalingLimited", &Some(&ours(&conditions.scaling_limited)), &expect.scaling_limited.get(index))?;
    if !expect.scaled_to_zero.is_empty() {
        same("scaledToZero", &Some(&ours(&conditions.scaled_to_zero)), &expect.scaled_to_zero.get(index))?;
    }
    same("error", &error, &expect.error_steps.contains(&index))
}

impl Step {
    fn observed(&self, spec: &HorizontalPodAutoscalerSpec, replicas: i32, now: Duration) -> Observed {
        let status = self.status.unwrap_or(replicas);
        let count = usize::try_from(status).unwrap_or(0);
        let ready = self.ready.unwrap_or(count);
        let metrics = spec.with_defaults().metrics;
        let cpu = metrics.iter().zip(&self.m).find(|(metric, _)| matches!(metric, MetricSpec::Resource(_)));
        let pods = match cpu {
            Some((_, values)) => {
                let usage = values.as_ref().and_then(|values| values.first());
                Pods::Listed((0..count).map(|index| busy_pod(index, index < ready, usage, now)).collect())
            }
            None => Pods::Counted { ready, not_ready: count.saturating_sub(ready) },
        };
        let readings = self.m.iter().map(|values| values.clone().ok_or_else(|| "source unavailable".to_owned()));
        Observed {
            scale: Ok(Scale { spec_replicas: replicas, status_replicas: status, has_selector: true }),
            readings: readings.collect(),
            pods,
        }
    }
}

/// A pod that requests one core and has been up for long.
fn busy_pod(index: usize, ready: bool, usage: Option<&Quantity>, now: Duration) -> Pod {
    let long_ago = now.saturating_sub(Duration::from_secs(86_400));
    let cpu = |quantity: &Quantity| ResourceList::from([("cpu".to_owned(), quantity.clone())]);
    let sample =
        |usage| PodSample { at: now, window: Duration::from_secs(15), usage: [("app".to_owned(), cpu(usage))].into() };
    Pod {
        name: format!("p{index}"),
        started: Some(long_ago),
        ready: Some(Readiness { status: Some(ready), changed: Some(long_ago) }),
        containers: vec![Container { name: "app".to_owned(), requests: cpu(&1.into()), sidecar: false }],
        sample: usage.map(sample),
        ..Pod::default()
    }
}

// ---- shared ----

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodCounts {
    ready: usize,
    not_ready: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodIn {
    name: String,
    phase: String,
    #[serde(default)]
    deleting: bool,
    ready: Option<String>,
    ready_changed_ago: Option<u64>,
    started_ago: Option<u64>,
    #[serde(default)]
    containers: Vec<ContainerIn>,
    #[serde(default)]
    init_containers: Vec<ContainerIn>,
    #[serde(default)]
    requests: ResourceList,
    metrics: Option<SampleIn>,
    #[serde(default)]
    custom: BTreeMap<String, Quantity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerIn {
    name: String,
    #[serde(default)]
    requests: ResourceList,
    restart_policy: Option<String>,
}

#[derive(Deserialize)]
struct SampleIn {
    ago: u64,
    window: u64,
    #[serde(default)]
    usage: BTreeMap<String, ResourceList>,
}

fn pods(pods: Option<Vec<PodIn>>, counts: Option<PodCounts>) -> Result<Pods, String> {
    match (pods, counts) {
        (Some(pods), _) => pods.into_iter().map(PodIn::pod).collect::<Result<_, _>>().map(Pods::Listed),
        (None, Some(counts)) => Ok(Pods::Counted { ready: counts.ready, not_ready: counts.not_ready }),
        (None, None) => Ok(Pods::Listed(Vec::new())),
    }
}

impl PodIn {
    fn pod(self) -> Result<Pod, String> {
        let phase = match self.phase.as_str() {
            "Pending" => Phase::Pending,
            "Running" => Phase::Running,
            "Succeeded" => Phase::Succeeded,
            "Failed" => Phase::Failed,
            "Unknown" => Phase::Unknown,
            other => return Err(format!("unknown phase {other}")),
        };
        let changed = self.ready_changed_ago.map(ago);
        let readiness = |status: String| {
            let status = match status.as_str() {
                "True" => Some(true),
                "False" => Some(false),
                _ => None,
            };
            Readiness { status, changed }
        };
        let containers = |containers: Vec<ContainerIn>| containers.into_iter().map(ContainerIn::container).collect();
        Ok(Pod {
            name: self.name,
            phase,
            deleting: self.deleting,
            started: self.started_ago.map(ago),
            ready: self.ready.map(readiness),
            containers: containers(self.containers),
            init_containers: containers(self.init_containers),
            requests: self.requests,
            sample: self.metrics.map(|sample| PodSample {
                at: ago(sample.ago),
                window: Duration::from_secs(sample.window),
                usage: sample.usage,
            }),
            custom: self.custom,
        })
    }
}

impl ContainerIn {
    fn container(self) -> Container {
        let sidecar = self.restart_policy.as_deref() == Some("Always");
        Container { name: self.name, requests: self.requests, sidecar }
    }
}

fn ago(seconds: u64) -> Duration {
    NOW.saturating_sub(Duration::from_secs(seconds))
}

fn short(condition: &Condition) -> String {
    format!("{}:{}", if condition.status { "True" } else { "False" }, condition.reason)
}
