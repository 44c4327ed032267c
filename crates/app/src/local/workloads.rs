//! From Deployments and StatefulSets to the processes that stand for their pods.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use keda_core::api::{self, Container, PodSpec};
use keda_core::manifest::{Document, Kind, Object};
use keda_core::names::stable_hash;
use keda_core::problem::{Path, Problem};
use keda_core::resolve::{self, References};
use keda_core::rule;
use serde_json::Value;

use super::process::{Probe, ProbeAction, Workload, WorkloadKey};

/// The longest time to stop that is taken seriously, in seconds: 30 days.
const LONGEST_GRACE: u64 = 30 * 24 * 60 * 60;

/// A workload, and the replicas that its manifest asks for.
#[derive(Debug, Clone)]
pub(crate) struct Described {
    /// How to run it.
    pub(crate) workload: Workload,
    /// `spec.replicas`, if given.
    pub(crate) replicas: Option<i32>,
    /// The container that is run.
    pub(crate) container: Container,
}

/// Describes the process of a document; `None` for documents that are no workload that can be run.
pub(crate) fn describe(document: &Document, references: &References) -> Option<(Option<Described>, Vec<Problem>)> {
    if !matches!(document.known, Kind::Deployment | Kind::StatefulSet) {
        return None;
    }
    let Object::Workload(workload) = &document.object else { return None };
    let namespace = document.namespace.clone().unwrap_or_default();
    let template = Path::root().key("spec").key("template").key("spec");
    let mut problems = Vec::new();
    let pod = workload.spec.template.as_ref().map(|template| &template.spec);
    let Some((pod, container)) = pod.and_then(|pod| Some((pod, pod.container(None)?))) else {
        problems.push(Problem::error(rule::NO_CONTAINER, template, "there is no container to run"));
        return Some((None, problems));
    };
    let place = template.key("containers").index(0);
    if container.command.is_empty() {
        let problem = Problem::error(rule::NO_COMMAND, place, format!("container {:?} has no command", container.name))
            .with_help("`keda up` starts processes, not images: give the container a command");
        return Some((None, vec![problem]));
    }
    if pod.containers.len() > 1 {
        let message = format!("only the first container, {:?}, is run as a process", container.name);
        problems.push(Problem::warning(rule::SEVERAL_CONTAINERS, template.key("containers"), message));
    }
    let variables = match resolve::environment(references, &namespace, container) {
        Ok(variables) => variables,
        Err(message) => {
            problems.push(Problem::error(rule::MISSING_REFERENCE, place.key("env"), message));
            return Some((None, problems));
        }
    };
    problems.extend(unknown_fields(container, &place));
    let readiness = match container.readiness_probe.as_ref().map(|probe| readiness(probe, container)).transpose() {
        Ok(readiness) => readiness,
        Err(message) => {
            problems.push(Problem::error(rule::INVALID_PROBE, place.key("readinessProbe"), message));
            return Some((None, problems));
        }
    };
    let grace_period = match u64::try_from(pod.termination_grace_period_seconds()) {
        Ok(seconds) if seconds <= LONGEST_GRACE => Duration::from_secs(seconds),
        _ => {
            let message = format!("must be from 0 to {LONGEST_GRACE} seconds");
            problems.push(Problem::error(rule::OUT_OF_RANGE, template.key("terminationGracePeriodSeconds"), message));
            return Some((None, problems));
        }
    };
    let workload_description = Workload {
        key: WorkloadKey::new(namespace.clone(), document.name.clone()),
        command: command(container, &variables),
        env: environment(container, &namespace, variables),
        working_directory: container.working_dir.as_ref().map(PathBuf::from),
        grace_period,
        readiness,
        revision: revision(pod),
    };
    let described =
        Described { workload: workload_description, replicas: workload.spec.replicas, container: container.clone() };
    Some((Some(described), problems))
}

/// Command and arguments, with references to variables resolved.
fn command(container: &Container, variables: &BTreeMap<String, String>) -> Vec<String> {
    container.command.iter().chain(&container.args).map(|word| resolve::expand(word, variables)).collect()
}

/// The resolved variables, and those that differ from replica to replica.
fn environment(container: &Container, namespace: &str, variables: BTreeMap<String, String>) -> Vec<(String, String)> {
    let fields = container.env.iter().filter_map(|variable| {
        let field = variable.value_from.as_ref()?.field_ref.as_ref()?;
        Some((variable.name.clone(), field_value(&field.field_path, namespace)?))
    });
    variables.into_iter().chain(fields.collect::<Vec<_>>()).collect()
}

/// Variables whose values only a cluster knows.
fn unknown_fields(container: &Container, place: &Path) -> Vec<Problem> {
    let unknown = container.env.iter().enumerate().filter_map(|(index, variable)| {
        let source = variable.value_from.as_ref()?;
        let field = source.field_ref.as_ref().map(|field| field.field_path.as_str());
        let known = field.is_some_and(|field| field_value(field, "").is_some());
        let asked = field.or_else(|| source.resource_field_ref.as_ref().map(|field| field.resource.as_str()))?;
        (!known).then(|| {
            let message = format!("{} is left out: {asked} has no meaning for a local process", variable.name);
            Problem::warning(rule::UNKNOWN_FIELD_REFERENCE, place.key("env").index(index), message)
        })
    });
    unknown.collect()
}

/// What a field of a pod is for a local process.
fn field_value(field: &str, namespace: &str) -> Option<String> {
    match field {
        "metadata.name" => Some("$(POD_NAME)".to_string()),
        "metadata.namespace" => Some(namespace.to_string()),
        "spec.nodeName" | "status.hostIP" | "status.podIP" => Some("127.0.0.1".to_string()),
        _ => None,
    }
}

/// A hash of the pod template: what changes it changes every replica.
fn revision(pod: &PodSpec) -> u64 {
    stable_hash(&serde_json::to_string(pod).unwrap_or_default())
}

fn readiness(probe: &api::Probe, container: &Container) -> Result<Probe, String> {
    let action = if let Some(exec) = &probe.exec {
        ProbeAction::Exec { command: exec.command.clone() }
    } else if let Some(http) = &probe.http_get {
        ProbeAction::Http {
            host: http.host.clone().unwrap_or_else(|| "127.0.0.1".to_string()),
            port: port(&http.port, container)?,
            path: http.path.clone().unwrap_or_else(|| "/".to_string()),
            tls: http.scheme.as_deref() == Some("HTTPS"),
            headers: http.http_headers.iter().map(|header| (header.name.clone(), header.value.clone())).collect(),
        }
    } else if let Some(tcp) = &probe.tcp_socket {
        let host = tcp.host.clone().unwrap_or_else(|| "127.0.0.1".to_string());
        ProbeAction::Tcp { host, port: port(&tcp.port, container)? }
    } else {
        return Err("a probe needs exec, httpGet or tcpSocket".to_string());
    };
    let defaults = Probe::new(action);
    let seconds = |value: Option<i32>, default: Duration| {
        value.map_or(default, |value| Duration::from_secs(u64::try_from(value).unwrap_or(0)))
    };
    let times =
        |value: Option<i32>, default: u32| value.map_or(default, |value| u32::try_from(value).unwrap_or(1).max(1));
    Ok(Probe {
        initial_delay: seconds(probe.initial_delay_seconds, defaults.initial_delay),
        period: seconds(probe.period_seconds, defaults.period).max(Duration::from_secs(1)),
        timeout: seconds(probe.timeout_seconds, defaults.timeout).max(Duration::from_secs(1)),
        success_threshold: times(probe.success_threshold, defaults.success_threshold),
        failure_threshold: times(probe.failure_threshold, defaults.failure_threshold),
        ..defaults
    })
}

/// A port by number, or by the name it has among the container's ports.
fn port(value: &Value, container: &Container) -> Result<u16, String> {
    let number = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok().or_else(|| {
            let named = container.ports.iter().find(|port| port.name.as_deref() == Some(text));
            named.map(|port| i64::from(port.container_port))
        }),
        _ => None,
    };
    number
        .and_then(|number| u16::try_from(number).ok())
        .ok_or_else(|| format!("port {value} is neither a number nor a name"))
}
