//! From a request to a verdict.

use std::time::Duration;

use keda_core::admission::{self, Denial, Neighbour, NeighbourHpa};
use keda_core::api::{CloudEventSource, LimitRange, ScaledJob, ScaledObject, TriggerAuthentication};
use keda_core::rule;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::review::{Operation, Request, Verdict};
use crate::cluster::lookup::pod_spec;
use crate::cluster::resource::{HPAS, LIMIT_RANGES, Resource, SCALED_OBJECTS};
use crate::cluster::{ApiError, Cluster};
use crate::exposition::Metrics;

/// Within this time the cluster must have answered: the API server waits for ten seconds.
const PATIENCE: Duration = Duration::from_secs(7);

/// What is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    ScaledObject,
    ScaledJob,
    /// Of a namespace or of the cluster.
    Authentication,
    /// Of a namespace or of the cluster.
    CloudEventSource,
}

/// What checks work with.
pub(super) struct Checks {
    pub(super) cluster: Cluster,
    pub(super) metrics: Metrics,
}

impl Checks {
    /// Decides on a request.
    pub(super) async fn judge(&self, kind: Kind, request: &Request) -> Verdict {
        let is_checked = matches!(request.operation, Operation::Create | Operation::Update);
        if !is_checked || request.only_removes_finalizers(kind == Kind::ScaledObject) {
            return Verdict::Allowed(Vec::new());
        }
        let verdict = match kind {
            Kind::ScaledObject => self.scaled_object(request).await,
            Kind::ScaledJob => self.scaled_job(request),
            Kind::Authentication => read::<TriggerAuthentication>(request).and_then(|object| {
                admission::check_authentication(&object.spec).map_err(forbidden).map(|()| Vec::new())
            }),
            Kind::CloudEventSource => read::<CloudEventSource>(request).and_then(|object| {
                let subscription = object.spec.event_subscription.unwrap_or_default();
                admission::check_event_types(&subscription).map_err(forbidden).map(|()| Vec::new())
            }),
        };
        verdict.map_or_else(|denied| denied, Verdict::Allowed)
    }

    async fn scaled_object(&self, request: &Request) -> Result<Vec<&'static str>, Verdict> {
        self.metrics.validated(&request.namespace, action(request));
        let object: ScaledObject = read(request)?;
        let checked = self.check_scaled_object(&object, request).await;
        checked.map_err(|denial| self.refuse(request, denial))?;
        Ok(admission::warnings(&object))
    }

    async fn check_scaled_object(&self, object: &ScaledObject, request: &Request) -> Result<(), Denial> {
        if let Some((others, hpas)) = self.neighbours(&request.namespace).await {
            admission::check_ownership(object, &others, &hpas)?;
        }
        admission::check_scaled_object(object)?;
        if request.dry_run == Some(true) {
            return Ok(());
        }
        self.check_requests(object, &request.namespace).await?;
        admission::check_scale_to_zero(object)
    }

    /// Checks that the target's containers request what they are scaled by. A target that is not there yet, or cannot be
    /// looked at, passes: the operator says so.
    async fn check_requests(&self, object: &ScaledObject, namespace: &str) -> Result<(), Denial> {
        let target = &object.spec.scale_target_ref;
        let resource = Resource::workload("apps/v1", target.kind());
        let Some(resource) = resource.filter(|_| admission::needs_requests(object)) else { return Ok(()) };
        let path = resource.object(Some(namespace), &target.name);
        let found = in_time(async {
            match self.cluster.get::<Value>(&path).await {
                Err(error) if error.is_not_found() => Ok(None),
                found => found.map(|target| pod_spec(&target)),
            }
        });
        let pod_spec = answered(namespace, found.await, "whether the target requests what it is scaled by").flatten();
        let Some(pod_spec) = pod_spec else { return Ok(()) };
        // As in KEDA a list that cannot be had makes nothing good.
        let ranges = in_time(self.list::<LimitRange>(&LIMIT_RANGES, namespace)).await;
        let ranges = answered(namespace, ranges, "whether a LimitRange gives requests").unwrap_or_default();
        let ranges: Vec<&LimitRange> = ranges.iter().collect();
        let missing = admission::missing_requests(object, &pod_spec, &ranges);
        missing.into_iter().next().map_or(Ok(()), |(_, denial)| Err(denial))
    }

    fn scaled_job(&self, request: &Request) -> Result<Vec<&'static str>, Verdict> {
        let job: ScaledJob = read(request)?;
        match admission::check_triggers(&job.spec.triggers).first() {
            Some(fault) => {
                let denial = Denial { rule: rule::INCORRECT_TRIGGERS, message: fault.message() };
                Err(self.refuse(request, denial))
            }
            None => Ok(Vec::new()),
        }
    }

    fn refuse(&self, request: &Request, denial: Denial) -> Verdict {
        self.metrics.refused(&request.namespace, action(request), denial.rule.id);
        forbidden(denial.message)
    }

    /// What else scales in a namespace; `None`, and a line in the log, when the cluster cannot be asked.
    async fn neighbours(&self, namespace: &str) -> Option<(Vec<Neighbour>, Vec<NeighbourHpa>)> {
        let both = async { tokio::try_join!(self.list(&SCALED_OBJECTS, namespace), self.list(&HPAS, namespace)) };
        answered(namespace, in_time(both).await, "whether others scale the same target")
    }

    /// The objects of a namespace; those that cannot be read are in nobody's way.
    async fn list<T: DeserializeOwned>(&self, resource: &Resource, namespace: &str) -> Result<Vec<T>, ApiError> {
        let list: List = self.cluster.get(&resource.path(Some(namespace))).await?;
        Ok(list.items.into_iter().filter_map(|item| serde_json::from_value(item).ok()).collect())
    }
}

/// What the cluster answers, or why it does not.
async fn in_time<T>(question: impl Future<Output = Result<T, ApiError>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, question).await {
        Ok(answer) => answer.map_err(|error| error.message),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// The answer; without one the log tells what was not checked.
fn answered<T>(namespace: &str, answer: Result<T, String>, question: &str) -> Option<T> {
    answer.map_err(|problem| tracing::warn!(%namespace, %problem, "not checked {question}")).ok()
}

#[derive(Deserialize)]
struct List {
    items: Vec<Value>,
}

fn read<T: DeserializeOwned>(request: &Request) -> Result<T, Verdict> {
    T::deserialize(&request.object).map_err(|error| Verdict::Denied(400, error.to_string()))
}

fn forbidden(message: String) -> Verdict {
    Verdict::Denied(403, message)
}

fn action(request: &Request) -> &'static str {
    if request.operation == Operation::Create { "create" } else { "update" }
}
