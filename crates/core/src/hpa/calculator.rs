//! One metric into a replica proposal, without bounds, rates or history.
//!
//! All arithmetic is on thousandths, each value rounded up before anything is added. A target per pod
//! (`AverageValue`) of an external or object metric divides the metric by the target; a `Value` multiplies the ready
//! pods by the ratio; metrics of pods do the same with their average, after pods that were not measured have been
//! assumed to speak against the change.

use std::time::Duration;

use serde::Serialize;

use super::controller::ControllerSettings;
use super::object::{MetricSpec, MetricTarget};
use super::pods::{self, Groups, Pods, Sample, Samples};
use crate::quantity::Quantity;

/// What a proposal depends on besides the metric itself.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Since the epoch of the reconciles.
    pub now: Duration,
    /// `spec.replicas` of the target's scale.
    pub spec_replicas: i32,
    /// `status.replicas` of the target's scale.
    pub status_replicas: i32,
    pub tolerances: Tolerances,
    pub pods: &'a Pods,
    pub settings: &'a ControllerSettings,
}

/// How far the ratio of usage to target may be off 1 without a change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerances {
    pub up: f64,
    pub down: f64,
}

impl Tolerances {
    fn hold(&self, ratio: f64) -> bool {
        (1.0 - self.down) <= ratio && ratio <= (1.0 + self.up)
    }
}

/// The replicas that one metric asks for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proposal {
    /// May be negative for a negative `Value`.
    pub replicas: i32,
    /// What the status shows, in thousandths: the metric for `Value`, the average per pod otherwise; `None` where an
    /// average over no pods is undefined.
    pub usage: Option<i64>,
    /// Percent of what the pods request.
    pub utilization: Option<i32>,
    /// Usage divided by target.
    pub ratio: f64,
    pub basis: Basis,
}

/// How a proposal came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Basis {
    /// The ratio is close enough to 1; the replicas stay.
    WithinTolerance,
    /// The ratio asks for this many.
    Ratio,
    /// With missing or unready pods assumed to be against it, the change would turn round; the replicas stay.
    Undecided,
}

/// A metrics API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    External,
    Custom,
    Resource,
}

impl std::fmt::Display for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Api::External => "external metrics API",
            Api::Custom => "custom metrics API",
            Api::Resource => "resource metrics API",
        })
    }
}

/// Why a metric makes no proposal; the wording is that of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    #[error("unable to fetch metrics from {0}: {1}")]
    Unavailable(Api, String),
    #[error("no metrics returned from {0}")]
    Empty(Api),
    #[error("no pods returned by selector while calculating replica count")]
    NoPods,
    #[error("did not receive metrics for targeted pods (pods might be unready)")]
    NoSamples,
    #[error("no metrics returned matched known pods")]
    NoRequests,
    #[error("missing request for {resource} in container {container} of Pod {pod}")]
    MissingRequest { resource: String, container: String, pod: String },
    #[error("missing pod-level request for {resource} in Pod {pod}")]
    MissingPodRequest { resource: String, pod: String },
    #[error("container {container} not found in Pod {pod}")]
    ContainerNotFound { container: String, pod: String },
    #[error("invalid {0} metric source: {1}")]
    NoTarget(&'static str, &'static str),
}

/// What the metrics API answered for a metric: any number of series for `External`, one value for `Object`; ignored
/// for the other kinds, whose numbers are with the pods. `Err` is the API's failure.
pub type Reading = Result<Vec<Quantity>, String>;

/// The proposal of one metric.
pub fn propose(metric: &MetricSpec, reading: &Reading, situation: &Situation<'_>) -> Result<Proposal, MetricError> {
    let api = match metric {
        MetricSpec::External(_) => Api::External,
        MetricSpec::Object(_) | MetricSpec::Pods(_) => Api::Custom,
        MetricSpec::Resource(_) | MetricSpec::ContainerResource(_) => Api::Resource,
    };
    let values = || reading.as_ref().map_err(|message| MetricError::Unavailable(api, message.clone()));
    match metric {
        MetricSpec::External(source) => external(values, &source.target, situation),
        MetricSpec::Object(source) => object(values, &source.target, situation),
        MetricSpec::Pods(source) => {
            values()?;
            let samples = pods::custom_samples(situation.pods.list(), &source.metric.name)?;
            let target = source.target.average_value.as_ref().ok_or(NO_POD_TARGET)?;
            per_pod(Considered::new(samples, false, situation)?, target, situation)
        }
        MetricSpec::Resource(source) => resource(values, &source.name, None, &source.target, situation),
        MetricSpec::ContainerResource(source) => {
            resource(values, &source.name, Some(&source.container), &source.target, situation)
        }
    }
}

const NO_POD_TARGET: MetricError = MetricError::NoTarget("pods", "no average value target was set");
const NO_VALUE_TARGET: &str = "neither a value target nor an average value target was set";
const NO_RESOURCE_TARGET: &str = "neither an average utilization target nor an average value (usage) target was set";

fn external<'v>(
    values: impl Fn() -> Result<&'v Vec<Quantity>, MetricError>,
    target: &MetricTarget,
    situation: &Situation<'_>,
) -> Result<Proposal, MetricError> {
    let series = || match values()? {
        values if values.is_empty() => Err(MetricError::Empty(Api::External)),
        values => Ok(values.iter().map(Quantity::milli_value)),
    };
    if let Some(target) = &target.average_value {
        let usage = per_pod_sum(series()?);
        let mut proposal = average(usage, target.milli_value(), situation);
        if usage as f64 >= i64::MAX as f64 {
            proposal.usage = Some(i64::MAX);
        }
        return Ok(proposal);
    }
    let target = target.value.as_ref().ok_or(MetricError::NoTarget("external", NO_VALUE_TARGET))?;
    whole(whole_sum(series()?), target.milli_value(), situation)
}

fn object<'v>(
    values: impl Fn() -> Result<&'v Vec<Quantity>, MetricError>,
    target: &MetricTarget,
    situation: &Situation<'_>,
) -> Result<Proposal, MetricError> {
    let usage = || values()?.first().map(Quantity::milli_value).ok_or(MetricError::Empty(Api::Custom));
    match (&target.value, &target.average_value) {
        (Some(target), _) => whole(usage()?, target.milli_value(), situation),
        (None, Some(target)) => Ok(average(usage()?, target.milli_value(), situation)),
        (None, None) => Err(MetricError::NoTarget("object", NO_VALUE_TARGET)),
    }
}

/// The sum of series for a target per pod, where Kubernetes takes any negative sum for an overflow.
fn per_pod_sum(series: impl Iterator<Item = i64>) -> i64 {
    let mut sum = 0_i64;
    for value in series {
        sum = sum.saturating_add(value);
        if sum < 0 {
            return i64::MAX;
        }
    }
    sum
}

/// The sum of series for a target as a whole; what exceeds the largest number ends there.
fn whole_sum(series: impl Iterator<Item = i64>) -> i64 {
    let mut sum = 0_i64;
    for value in series {
        match sum.checked_add(value) {
            Some(next) => sum = next,
            None => return if value > 0 { i64::MAX } else { i64::MIN },
        }
    }
    sum
}

/// A target for each replica: as many replicas as targets fit into the usage.
fn average(usage: i64, target: i64, situation: &Situation<'_>) -> Proposal {
    let replicas = situation.status_replicas;
    let ratio = usage as f64 / (target as f64 * f64::from(replicas));
    let basis = if situation.tolerances.hold(ratio) { Basis::WithinTolerance } else { Basis::Ratio };
    let proposed = match basis {
        Basis::Ratio => ceil_to_i32(usage as f64 / target as f64),
        _ => replicas,
    };
    let per_replica = (replicas != 0).then(|| ceil_to_i64(usage as f64 / f64::from(replicas)));
    Proposal { replicas: proposed, usage: per_replica, utilization: None, ratio, basis }
}

/// A target for the metric as a whole: the ready pods times the ratio. From zero the ratio alone counts.
fn whole(usage: i64, target: i64, situation: &Situation<'_>) -> Result<Proposal, MetricError> {
    let ratio = usage as f64 / target as f64;
    let proposal = |replicas, basis| Proposal { replicas, usage: Some(usage), utilization: None, ratio, basis };
    if situation.spec_replicas == 0 {
        return Ok(proposal(ceil_to_i32(ratio), Basis::Ratio));
    }
    if situation.tolerances.hold(ratio) {
        return Ok(proposal(situation.spec_replicas, Basis::WithinTolerance));
    }
    let ready = situation.pods.ready_count().ok_or(MetricError::NoPods)?;
    Ok(proposal(ceil_to_i32(ratio * ready as f64), Basis::Ratio))
}

fn resource<'v>(
    values: impl Fn() -> Result<&'v Vec<Quantity>, MetricError>,
    resource: &str,
    container: Option<&str>,
    target: &MetricTarget,
    situation: &Situation<'_>,
) -> Result<Proposal, MetricError> {
    let considered = || {
        values()?;
        let samples = pods::resource_samples(situation.pods.list(), resource, container)?;
        Considered::new(samples, resource == "cpu", situation)
    };
    if let Some(target) = &target.average_value {
        return per_pod(considered()?, target, situation);
    }
    let percent = target.average_utilization.ok_or(MetricError::NoTarget("resource", NO_RESOURCE_TARGET))?;
    let considered = considered()?;
    let requests = pods::requests(situation.pods.list(), resource, container)?;
    let request = |pod: &str| requests.get(pod).copied().unwrap_or(0);
    let measure = |samples: &Samples<'_>| {
        let requested: i128 = samples.keys().map(|pod| i128::from(request(pod))).sum();
        let used = total(samples);
        let utilization = (used * 100).checked_div(requested).ok_or(MetricError::NoRequests)?;
        let utilization = i32::try_from(utilization).unwrap_or(if utilization < 0 { i32::MIN } else { i32::MAX });
        let ratio = f64::from(utilization) / f64::from(percent);
        Ok(Measure { ratio, average: mean(samples), utilization: Some(utilization) })
    };
    // Pods that are not measured use all they request, or the target where that is more.
    let assumed = |pod: &str| saturate(i128::from(request(pod)) * i128::from(percent.max(100)) / 100);
    considered.propose(measure, assumed, situation)
}

/// A target for the average over the pods.
fn per_pod(considered: Considered<'_>, target: &Quantity, situation: &Situation<'_>) -> Result<Proposal, MetricError> {
    let target = target.milli_value();
    let measure = |samples: &Samples<'_>| {
        let average = mean(samples);
        Ok(Measure { ratio: average as f64 / target as f64, average, utilization: None })
    };
    considered.propose(measure, |_| target, situation)
}

/// The pods that count for a metric, and their samples.
struct Considered<'a> {
    samples: Samples<'a>,
    groups: Groups<'a>,
}

struct Measure {
    ratio: f64,
    average: i64,
    utilization: Option<i32>,
}

impl<'a> Considered<'a> {
    fn new(mut samples: Samples<'a>, is_cpu: bool, situation: &Situation<'a>) -> Result<Self, MetricError> {
        let pods = situation.pods.list();
        if pods.is_empty() {
            return Err(MetricError::NoPods);
        }
        let groups = pods::group(pods, &samples, is_cpu, situation.now, situation.settings);
        samples.retain(|pod, _| !groups.ignored.contains(pod) && !groups.unready.contains(pod));
        if samples.is_empty() { Err(MetricError::NoSamples) } else { Ok(Considered { samples, groups }) }
    }

    /// `measure` turns samples into a ratio; `assumed` is what a missing pod uses when the others ask for fewer.
    fn propose(
        mut self,
        measure: impl Fn(&Samples<'_>) -> Result<Measure, MetricError>,
        assumed: impl Fn(&str) -> i64,
        situation: &Situation<'_>,
    ) -> Result<Proposal, MetricError> {
        let Measure { ratio, average, utilization } = measure(&self.samples)?;
        let proposal = |replicas, basis| Proposal { replicas, usage: Some(average), utilization, ratio, basis };
        let current = situation.spec_replicas;
        let unready_count = ratio > 1.0 && !self.groups.unready.is_empty();
        if !unready_count && self.groups.missing.is_empty() {
            return Ok(if situation.tolerances.hold(ratio) {
                proposal(current, Basis::WithinTolerance)
            } else {
                proposal(ceil_to_i32(ratio * self.groups.ready as f64), Basis::Ratio)
            });
        }
        self.assume(ratio, assumed);
        let Measure { ratio: damped, .. } = measure(&self.samples)?;
        if situation.tolerances.hold(damped) {
            return Ok(proposal(current, Basis::WithinTolerance));
        }
        let turned = (ratio < 1.0 && damped > 1.0) || (ratio > 1.0 && damped < 1.0);
        let replicas = ceil_to_i32(damped * self.samples.len() as f64);
        if turned || (damped < 1.0 && replicas > current) || (damped > 1.0 && replicas < current) {
            return Ok(proposal(current, Basis::Undecided));
        }
        Ok(proposal(replicas, Basis::Ratio))
    }

    /// Gives pods without a usable sample the value that speaks against the change.
    fn assume(&mut self, ratio: f64, assumed: impl Fn(&str) -> i64) {
        for pod in &self.groups.missing {
            if ratio < 1.0 {
                self.samples.insert(pod, Sample::assumed(assumed(pod)));
            } else if ratio > 1.0 {
                self.samples.insert(pod, Sample::assumed(0));
            }
        }
        if ratio > 1.0 {
            for pod in &self.groups.unready {
                self.samples.insert(pod, Sample::assumed(0));
            }
        }
    }
}

fn total(samples: &Samples<'_>) -> i128 {
    samples.values().map(|sample| i128::from(sample.value)).sum()
}

/// The average, rounded towards zero.
fn mean(samples: &Samples<'_>) -> i64 {
    let count = i128::try_from(samples.len()).unwrap_or(i128::MAX);
    saturate(total(samples).checked_div(count).unwrap_or(0))
}

fn saturate(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

/// Rounds up; what does not fit saturates, not-a-number is 0.
fn ceil_to_i32(value: f64) -> i32 {
    value.ceil() as i32
}

fn ceil_to_i64(value: f64) -> i64 {
    value.ceil() as i64
}

#[cfg(test)]
mod tests {
    use super::super::object::{ExternalMetricSource, PodsMetricSource};
    use super::super::pods::Pod;
    use super::*;

    fn situation<'a>(pods: &'a Pods, settings: &'a ControllerSettings, replicas: i32) -> Situation<'a> {
        let tolerances = Tolerances { up: 0.1, down: 0.1 };
        Situation {
            now: Duration::from_secs(1000),
            spec_replicas: replicas,
            status_replicas: replicas,
            tolerances,
            pods,
            settings,
        }
    }

    fn queue(target: MetricTarget) -> MetricSpec {
        MetricSpec::External(ExternalMetricSource { target, ..ExternalMetricSource::default() })
    }

    fn ask(metric: &MetricSpec, values: &[&str], pods: &Pods, replicas: i32) -> Result<Proposal, MetricError> {
        let reading = Ok(values.iter().map(|value| value.parse().unwrap()).collect());
        propose(metric, &reading, &situation(pods, &ControllerSettings::default(), replicas))
    }

    #[test]
    fn an_average_divides_the_sum_of_all_series() {
        let metric = queue(MetricTarget { average_value: Some(10.into()), ..MetricTarget::default() });
        let pods = Pods::Counted { ready: 0, not_ready: 0 };
        assert_eq!(ask(&metric, &["30", "12"], &pods, 2).map(|p| (p.replicas, p.usage)), Ok((5, Some(21_000))));
        assert_eq!(ask(&metric, &["21"], &pods, 2).map(|p| (p.replicas, p.basis)), Ok((2, Basis::WithinTolerance)));
        assert_eq!(ask(&metric, &["0"], &pods, 0).map(|p| (p.replicas, p.usage)), Ok((0, None)));
        assert_eq!(ask(&metric, &["-1"], &pods, 2).map(|p| p.replicas), Ok(i32::MAX));
        assert_eq!(ask(&metric, &[], &pods, 2), Err(MetricError::Empty(Api::External)));
    }

    #[test]
    fn a_value_multiplies_the_ready_pods() {
        let metric = queue(MetricTarget { value: Some(10.into()), ..MetricTarget::default() });
        let pods = Pods::Counted { ready: 3, not_ready: 5 };
        assert_eq!(ask(&metric, &["20"], &pods, 8).map(|p| p.replicas), Ok(6));
        assert_eq!(ask(&metric, &["20"], &pods, 0).map(|p| p.replicas), Ok(2));
        assert_eq!(ask(&metric, &["20"], &Pods::Listed(vec![]), 8), Err(MetricError::NoPods));
    }

    #[test]
    fn pods_without_a_sample_speak_against_the_change() {
        let metric = MetricSpec::Pods(PodsMetricSource {
            target: MetricTarget { average_value: Some(10.into()), ..MetricTarget::default() },
            ..PodsMetricSource::default()
        });
        let pod = |name: &str, value: Option<i64>| Pod {
            name: name.to_owned(),
            custom: value.map(|value| (String::new(), value.into())).into_iter().collect(),
            ..Pod::default()
        };
        let busy = Pods::Listed(vec![pod("a", Some(30)), pod("b", None)]);
        assert_eq!(ask(&metric, &[], &busy, 2).map(|p| (p.replicas, p.usage)), Ok((3, Some(30_000))));
        let idle = Pods::Listed(vec![pod("a", Some(0)), pod("b", None)]);
        assert_eq!(ask(&metric, &[], &idle, 2).map(|p| p.replicas), Ok(1));
        let none = Pods::Listed(vec![pod("a", None)]);
        assert_eq!(ask(&metric, &[], &none, 1), Err(MetricError::Empty(Api::Custom)));
    }
}
