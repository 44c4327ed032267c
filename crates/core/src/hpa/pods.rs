//! The target's pods: which of them count for a metric, what they use and what they request.
//!
//! Pods that are going away or failed are ignored; pods that have not started, or whose cpu sample may still show the
//! start, count as unready; pods without a sample are missing. Missing and unready pods dampen a scaling later, in
//! [`super::calculator`].

use std::collections::BTreeMap;
use std::time::Duration;

use super::calculator::{Api, MetricError};
use super::controller::ControllerSettings;
use crate::quantity::Quantity;

/// Quantities by resource name (`cpu`, `memory`).
pub type ResourceList = BTreeMap<String, Quantity>;

/// What is known of the target's pods.
#[derive(Debug, Clone, PartialEq)]
pub enum Pods {
    /// Running pods, counted; enough for external and object metrics.
    Counted { ready: usize, not_ready: usize },
    /// Pods one by one; needed for `Pods`, `Resource` and `ContainerResource` metrics.
    Listed(Vec<Pod>),
}

/// A pod as far as the arithmetic looks at it. Times are since the epoch of the reconciles.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pod {
    pub name: String,
    pub phase: Phase,
    /// Whether it has a deletion timestamp.
    pub deleting: bool,
    /// `status.startTime`.
    pub started: Option<Duration>,
    /// The Ready condition, if the pod has one.
    pub ready: Option<Readiness>,
    pub containers: Vec<Container>,
    pub init_containers: Vec<Container>,
    /// Requests of the pod as a whole.
    pub requests: ResourceList,
    /// What the resource metrics API says of it.
    pub sample: Option<PodSample>,
    /// What the custom metrics API says of it, by metric.
    pub custom: BTreeMap<String, Quantity>,
}

/// The phase of a pod.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    Pending,
    #[default]
    Running,
    Succeeded,
    Failed,
    Unknown,
}

/// The Ready condition of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readiness {
    /// `None` where the condition's status is Unknown.
    pub status: Option<bool>,
    /// `lastTransitionTime`.
    pub changed: Option<Duration>,
}

/// A container and what it requests.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Container {
    pub name: String,
    pub requests: ResourceList,
    /// Of an init container: it keeps running beside the others (`restartPolicy: Always`).
    pub sidecar: bool,
}

/// What the containers of a pod used over a window.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodSample {
    pub at: Duration,
    pub window: Duration,
    /// Usage by container.
    pub usage: BTreeMap<String, ResourceList>,
}

/// A pod's sample of one metric, in thousandths.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) value: i64,
    at: Duration,
    window: Duration,
}

impl Sample {
    /// A value that stands in for one that was not measured.
    pub(super) fn assumed(value: i64) -> Self {
        Sample { value, at: Duration::ZERO, window: Duration::ZERO }
    }
}

/// Samples by pod.
pub(super) type Samples<'a> = BTreeMap<&'a str, Sample>;

/// The pods by how they count for one metric.
#[derive(Debug, Default)]
pub(super) struct Groups<'a> {
    pub(super) ready: usize,
    pub(super) unready: Vec<&'a str>,
    pub(super) missing: Vec<&'a str>,
    pub(super) ignored: Vec<&'a str>,
}

impl Pods {
    /// How many pods are running and ready; `None` if there are no pods at all.
    pub(super) fn ready_count(&self) -> Option<usize> {
        match self {
            Pods::Counted { ready: 0, not_ready: 0 } => None,
            Pods::Counted { ready, .. } => Some(*ready),
            Pods::Listed(pods) if pods.is_empty() => None,
            Pods::Listed(pods) => Some(pods.iter().filter(|pod| pod.is_ready()).count()),
        }
    }

    pub(super) fn list(&self) -> &[Pod] {
        match self {
            Pods::Counted { .. } => &[],
            Pods::Listed(pods) => pods,
        }
    }
}

impl Pod {
    fn is_ready(&self) -> bool {
        self.phase == Phase::Running && self.ready.is_some_and(|ready| ready.status == Some(true))
    }

    /// Whether the pod's cpu sample tells nothing about its normal work: it never was ready, or it is starting up and
    /// unready or measured for less than a window since it became ready.
    fn is_starting(&self, sample: &Sample, now: Duration, settings: &ControllerSettings) -> bool {
        let (Some(ready), Some(started)) = (self.ready, self.started) else { return true };
        let not_ready = ready.status == Some(false);
        if started.saturating_add(settings.cpu_initialization_period) > now {
            not_ready || ready.changed.is_some_and(|changed| sample.at < changed.saturating_add(sample.window))
        } else {
            let never_ready = |changed| started.saturating_add(settings.initial_readiness_delay) > changed;
            not_ready && ready.changed.is_none_or(never_ready)
        }
    }

    /// The pod's request of a resource, in thousandths.
    fn request(&self, resource: &str, container: Option<&str>) -> Result<i64, MetricError> {
        let whole_pod = self.requests.keys().any(|name| is_pod_level(name));
        match container {
            Some(container) => self.container_request(resource, container),
            None if whole_pod => self.pod_level_request(resource),
            None => self.running_containers().try_fold(0_i64, |sum, container| {
                Ok(sum.saturating_add(self.request_of(container, resource)?.milli_value()))
            }),
        }
    }

    fn container_request(&self, resource: &str, name: &str) -> Result<i64, MetricError> {
        let container = self.running_containers().find(|container| container.name == name);
        let container = container
            .ok_or_else(|| MetricError::ContainerNotFound { container: name.to_owned(), pod: self.name.clone() })?;
        Ok(self.request_of(container, resource)?.milli_value())
    }

    fn request_of<'a>(&self, container: &'a Container, resource: &str) -> Result<&'a Quantity, MetricError> {
        container.requests.get(resource).ok_or_else(|| MetricError::MissingRequest {
            resource: resource.to_owned(),
            container: container.name.clone(),
            pod: self.name.clone(),
        })
    }

    /// What the pod as a whole requests; where it names other resources only, what its containers need together.
    fn pod_level_request(&self, resource: &str) -> Result<i64, MetricError> {
        let own = self.requests.get(resource).filter(|_| is_pod_level(resource)).cloned();
        let request = own.or_else(|| self.aggregate_request(resource));
        let request = request
            .ok_or_else(|| MetricError::MissingPodRequest { resource: resource.to_owned(), pod: self.name.clone() })?;
        Ok(request.milli_value())
    }

    /// The larger of what runs for good and what each init container needs while it runs beside earlier sidecars.
    fn aggregate_request(&self, resource: &str) -> Option<Quantity> {
        let running = self.running_containers().filter_map(|container| container.requests.get(resource));
        let mut most = running.cloned().reduce(|sum, request| sum + &request);
        let mut sidecars: Option<Quantity> = None;
        for container in &self.init_containers {
            let request = container.requests.get(resource);
            let together = match (sidecars.clone(), request) {
                (Some(sidecars), Some(request)) => Some(sidecars + request),
                (sidecars, request) => sidecars.or_else(|| request.cloned()),
            };
            if container.sidecar {
                sidecars.clone_from(&together);
            }
            most = most.max(together);
        }
        most
    }

    /// The containers that run for the pod's whole life.
    fn running_containers(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().chain(self.init_containers.iter().filter(|container| container.sidecar))
    }
}

/// Samples of a resource, of the pods as a whole or of one container each.
pub(super) fn resource_samples<'a>(
    pods: &'a [Pod],
    resource: &str,
    container: Option<&str>,
) -> Result<Samples<'a>, MetricError> {
    if pods.iter().all(|pod| pod.sample.is_none()) {
        return Err(MetricError::Empty(Api::Resource));
    }
    let sample = |pod: &'a Pod| {
        let sample = pod.sample.as_ref()?;
        let value = match container {
            Some(container) => sample.usage.get(container)?.get(resource)?.milli_value(),
            None if sample.usage.is_empty() => return None,
            // A pod whose containers are not all measured has no sample.
            None => sample
                .usage
                .values()
                .try_fold(0_i64, |sum, usage| Some(sum.saturating_add(usage.get(resource)?.milli_value())))?,
        };
        Some((pod.name.as_str(), Sample { value, at: sample.at, window: sample.window }))
    };
    Ok(pods.iter().filter_map(sample).collect())
}

/// Samples of a custom metric.
pub(super) fn custom_samples<'a>(pods: &'a [Pod], metric: &str) -> Result<Samples<'a>, MetricError> {
    let sample = |pod: &'a Pod| Some((pod.name.as_str(), Sample::assumed(pod.custom.get(metric)?.milli_value())));
    let samples: Samples<'a> = pods.iter().filter_map(sample).collect();
    if samples.is_empty() { Err(MetricError::Empty(Api::Custom)) } else { Ok(samples) }
}

/// Sorts the pods by how they count for a metric.
pub(super) fn group<'a>(
    pods: &'a [Pod],
    samples: &Samples<'_>,
    is_cpu: bool,
    now: Duration,
    settings: &ControllerSettings,
) -> Groups<'a> {
    let mut groups = Groups::default();
    for pod in pods {
        let name = pod.name.as_str();
        if pod.deleting || pod.phase == Phase::Failed {
            groups.ignored.push(name);
        } else if pod.phase == Phase::Pending {
            groups.unready.push(name);
        } else {
            match samples.get(name) {
                None => groups.missing.push(name),
                Some(sample) if is_cpu && pod.is_starting(sample, now, settings) => groups.unready.push(name),
                Some(_) => groups.ready += 1,
            }
        }
    }
    groups
}

/// Requests by pod, in thousandths; every pod must have one, whether it counts or not.
pub(super) fn requests<'a>(
    pods: &'a [Pod],
    resource: &str,
    container: Option<&str>,
) -> Result<BTreeMap<&'a str, i64>, MetricError> {
    pods.iter().map(|pod| Ok((pod.name.as_str(), pod.request(resource, container)?))).collect()
}

/// Resources that a pod may request as a whole.
fn is_pod_level(resource: &str) -> bool {
    matches!(resource, "cpu" | "memory") || resource.starts_with("hugepages-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(name: &str, cpu: &str, sidecar: bool) -> Container {
        let requests = [("cpu".to_owned(), cpu.parse().unwrap())].into();
        Container { name: name.to_owned(), requests, sidecar }
    }

    #[test]
    fn sidecars_count_and_other_init_containers_do_not() {
        let pod = Pod {
            containers: vec![container("app", "1", false)],
            init_containers: vec![container("setup", "8", false), container("proxy", "250m", true)],
            ..Pod::default()
        };
        assert_eq!(pod.request("cpu", None), Ok(1250));
        assert_eq!(pod.request("cpu", Some("proxy")), Ok(250));
        assert!(matches!(pod.request("cpu", Some("setup")), Err(MetricError::ContainerNotFound { .. })));
        assert!(matches!(pod.request("memory", None), Err(MetricError::MissingRequest { .. })));
    }

    #[test]
    fn requests_of_the_pod_take_precedence_and_fall_back_to_what_it_needs_at_most() {
        let mut pod = Pod {
            containers: vec![container("app", "1", false)],
            init_containers: vec![container("proxy", "250m", true), container("setup", "8", false)],
            requests: [("memory".to_owned(), Quantity::from_integer(64))].into(),
            ..Pod::default()
        };
        assert_eq!(pod.request("memory", None), Ok(64_000));
        assert_eq!(pod.request("cpu", None), Ok(8250));
        pod.requests.insert("cpu".to_owned(), Quantity::from_integer(2));
        assert_eq!(pod.request("cpu", None), Ok(2000));
        assert_eq!(pod.request("cpu", Some("app")), Ok(1000));
    }

    #[test]
    fn a_starting_pod_counts_once_a_whole_window_was_measured_while_ready() {
        let at = Duration::from_secs;
        let settings = ControllerSettings::default();
        let pod = Pod {
            started: Some(at(1000)),
            ready: Some(Readiness { status: Some(true), changed: Some(at(1010)) }),
            ..Pod::default()
        };
        let sample = |seconds| Sample { value: 1, at: at(seconds), window: at(30) };
        assert!(pod.is_starting(&sample(1039), at(1100), &settings));
        assert!(!pod.is_starting(&sample(1040), at(1100), &settings));
        assert!(!pod.is_starting(&sample(1039), at(1300), &settings));
    }
}
