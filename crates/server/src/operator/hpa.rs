//! The HorizontalPodAutoscaler of a ScaledObject in the cluster: made, kept as it should be, renamed, taken away.

use std::sync::Arc;

use keda_core::api::ObjectMeta;
use keda_core::engine::{HpaHealth, ObjectKey, TriggerDefinition};
use keda_core::hpa::{
    ExternalMetricSource, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec as HpaMetric,
};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::with_index;
use keda_core::quantity::Quantity;
use keda_scalers::plan::Plan;
use serde::Deserialize;
use serde_json::Value;

use crate::cluster::object::{Trimmed, metadata};
use crate::cluster::resource::HPAS;
use crate::cluster::{ApiError, ApiErrorKind, ApiPath, Cluster};
use crate::fingerprint;

/// The label that says which version wrote an HPA; that it differs is no reason to write.
const VERSION_LABEL: &str = "app.kubernetes.io/version";

/// An HPA as it was last seen.
#[derive(Debug, Clone)]
pub(super) struct KnownHpa {
    pub(super) current: Current,
    pub(super) health: Option<HpaHealth>,
}

/// An HPA as it is, to be compared with the desired one. There is one for each object, and most of it would only be
/// held to be compared, so that the specification is a number.
#[derive(Debug, Clone)]
pub(super) struct Current {
    metadata: ObjectMeta,
    /// [`print`] of the specification.
    spec: u64,
}

/// What is known of the HPA of an object before it is put right.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// What a watch knows of the one with the desired name.
    pub(super) current: Option<Current>,
    /// The name of the one that served the object last.
    pub(super) former: Option<String>,
    /// What was planned before, and goes on so far.
    pub(super) running: Option<Arc<Plan>>,
}

impl Known {
    /// The metrics of the trigger at `index` of a plan, by what goes on so far: those of the same trigger, wherever it
    /// stood; none of one that is new, where the HPA can have but those of another. Nothing where that does not tell.
    fn running_metrics(&self, plan: &Plan, index: usize) -> Option<Vec<MetricSpec>> {
        let former = &self.running.as_ref()?.definition.triggers;
        let trigger = plan.definition.triggers.get(index)?;
        let is_same = |(_, former): &(usize, &TriggerDefinition)| {
            former.fingerprint == trigger.fingerprint && !former.metrics.is_empty()
        };
        if let Some((place, same)) = former.iter().enumerate().find(is_same) {
            let specs = same.metrics.iter().filter_map(|metric| spec(place, &metric.name, &metric.target));
            return Some(specs.collect());
        }
        let is_new = former.get(index).is_none_or(|former| former.trigger_type != trigger.trigger_type);
        is_new.then(Vec::new)
    }
}

impl From<HorizontalPodAutoscaler> for Current {
    fn from(hpa: HorizontalPodAutoscaler) -> Self {
        Current { spec: print(&hpa.spec), metadata: hpa.metadata }
    }
}

/// Tells specifications apart, whether the API server has filled in the defaults or not.
fn print(spec: &HorizontalPodAutoscalerSpec) -> u64 {
    fingerprint::number(&spec.with_defaults())
}

/// What the HPA controller says of an HPA.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct HpaStatus {
    conditions: Vec<HpaCondition>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct HpaCondition {
    r#type: String,
    status: String,
    reason: String,
    message: String,
}

impl KnownHpa {
    /// What is kept of a watched HPA; nothing of those that belong to no ScaledObject.
    pub(super) fn of(watched: Trimmed<Value, HpaStatus>) -> Option<Self> {
        let owners = watched.metadata.owner_references.as_deref().unwrap_or_default();
        let is_ours =
            owners.iter().any(|owner| owner.kind == "ScaledObject" && owner.api_version.starts_with("keda.sh/"));
        if !is_ours {
            return None;
        }
        let spec: HorizontalPodAutoscalerSpec = serde_json::from_value(watched.spec).ok()?;
        let scaling = watched.status.conditions.into_iter().find(|condition| condition.r#type == "ScalingActive");
        let health = scaling.map(|condition| HpaHealth {
            active: condition.status == "True",
            reason: condition.reason,
            message: condition.message,
        });
        let metadata = ObjectMeta { finalizers: Vec::new(), uid: None, ..metadata(watched.metadata) };
        Some(KnownHpa { current: Current { metadata, spec: print(&spec) }, health })
    }

    /// The ScaledObject that owns it.
    pub(super) fn owner(&self, namespace: &str) -> Option<ObjectKey> {
        let owner = self.current.metadata.owner_references.iter().find(|owner| owner.kind == "ScaledObject")?;
        Some(ObjectKey { namespace: namespace.to_string(), name: owner.name.clone() })
    }

    /// Whether something changed that should be put right: anything but the status.
    pub(super) fn differs(&self, other: &Self) -> bool {
        let (one, other) = (&self.current, &other.current);
        one.spec != other.spec
            || one.metadata.labels != other.metadata.labels
            || one.metadata.annotations != other.metadata.annotations
            || one.metadata.owner_references != other.metadata.owner_references
    }
}

/// Sees to it that the HPA is there and as desired. Says whether it was made anew.
pub(super) async fn ensure(
    cluster: &Cluster,
    desired: &HorizontalPodAutoscaler,
    known: Known,
) -> Result<bool, ApiError> {
    let Known { current: mut found, former, .. } = known;
    if let Some(former) = former.filter(|former| *former != desired.metadata.name) {
        delete(cluster, desired.metadata.namespace(), &former).await?;
    }
    // What a watch knows may be a moment old, which the API server then says.
    for _ in 0..4 {
        let Some(current) = &found else {
            match cluster.create::<Value>(&HPAS.path(Some(desired.metadata.namespace())), desired).await {
                Ok(_) => return Ok(true),
                Err(error) if error.kind == ApiErrorKind::AlreadyExists => {
                    found = get(cluster, desired).await?;
                    continue;
                }
                Err(error) => return Err(error),
            }
        };
        if !is_outdated(current, desired) {
            return Ok(false);
        }
        let mut wanted = desired.clone();
        wanted.metadata.resource_version.clone_from(&current.metadata.resource_version);
        match cluster.replace::<Value>(&path(desired.metadata.namespace(), &desired.metadata.name), &wanted).await {
            Ok(_) => return Ok(false),
            Err(error) if matches!(error.kind, ApiErrorKind::Conflict | ApiErrorKind::NotFound) => {
                found = get(cluster, desired).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Err(ApiError { kind: ApiErrorKind::Conflict, message: format!("HPA {} changes too often", desired.metadata.name) })
}

/// The metrics of the trigger at `index` of a plan as long as its source does not say them: those that it had so far,
/// as what goes on tells, or else the HPA; none where there is no HPA.
///
/// # Errors
/// As [`Cluster::get`].
pub(super) async fn metrics_of(
    cluster: &Cluster,
    known: &Known,
    plan: &Plan,
    index: usize,
) -> Result<Vec<MetricSpec>, ApiError> {
    if let Some(specs) = known.running_metrics(plan, index) {
        return Ok(specs);
    }
    let name = known.former.clone().unwrap_or_else(|| plan.object.hpa_name());
    let path = path(plan.object.metadata.namespace(), &name);
    let hpa = match cluster.get::<HorizontalPodAutoscaler>(&path).await {
        Ok(hpa) => hpa,
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let of_trigger = |metric: &HpaMetric| {
        let HpaMetric::External(ExternalMetricSource { metric, target }) = metric else { return None };
        spec(index, &metric.name, target.average_value.as_ref().or(target.value.as_ref())?)
    };
    Ok(hpa.spec.metrics.iter().filter_map(of_trigger).collect())
}

/// A metric of the trigger at `index`, by its name in the HPA; nothing if it is one of another trigger.
fn spec(index: usize, name: &str, target: &Quantity) -> Option<MetricSpec> {
    let name = name.strip_prefix(&with_index(index, ""))?;
    Some(MetricSpec::external(name, Target::Float(target.to_f64())))
}

/// Deletes an HPA; that it is gone already is fine.
pub(super) async fn delete(cluster: &Cluster, namespace: &str, name: &str) -> Result<(), ApiError> {
    cluster.delete(&path(namespace, name)).await
}

async fn get(cluster: &Cluster, wanted: &HorizontalPodAutoscaler) -> Result<Option<Current>, ApiError> {
    let path = path(wanted.metadata.namespace(), &wanted.metadata.name);
    match cluster.get::<HorizontalPodAutoscaler>(&path).await {
        Ok(hpa) => Ok(Some(hpa.into())),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

fn path(namespace: &str, name: &str) -> ApiPath {
    HPAS.object(Some(namespace), name)
}

/// Whether an HPA must be written to be as desired (`behaviour.md` §1.7). Further labels and annotations may be there.
fn is_outdated(found: &Current, desired: &HorizontalPodAutoscaler) -> bool {
    let (has, wants) = (&found.metadata, &desired.metadata);
    let mut labels = wants.labels.iter().filter(|(key, _)| *key != VERSION_LABEL);
    let labels_lack = labels.any(|(key, value)| has.labels.get(key) != Some(value));
    let annotations_lack = wants.annotations.iter().any(|(key, value)| has.annotations.get(key) != Some(value));
    let surplus_annotations = wants.annotations.is_empty() && !has.annotations.is_empty();
    let owner_lacks = wants.owner_references.iter().any(|owner| !has.owner_references.contains(owner));
    found.spec != print(&desired.spec) || labels_lack || annotations_lack || surplus_annotations || owner_lacks
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::Timestamp;
    use keda_core::api::ScaledObject;
    use keda_core::engine::{Definition, ExternalDefinition, Restored, Rules};
    use keda_core::metric::TargetType;
    use serde_json::json;

    use super::*;
    use crate::cluster::testing;

    #[allow(clippy::needless_pass_by_value)]
    fn hpa(value: Value) -> HorizontalPodAutoscaler {
        serde_json::from_value(json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": value["metadata"],
            "spec": { "scaleTargetRef": { "kind": "Deployment", "name": "web", "apiVersion": "apps/v1" },
                      "maxReplicas": 5, "minReplicas": 1, "behavior": value["behavior"] },
        }))
        .unwrap()
    }

    #[test]
    fn what_the_api_server_fills_in_is_no_difference() {
        let desired =
            hpa(json!({ "metadata": { "name": "a" }, "behavior": { "scaleDown": { "selectPolicy": "Disabled" } } }));
        let found = HorizontalPodAutoscaler { spec: desired.spec.with_defaults(), ..desired.clone() };
        assert!(!is_outdated(&found.into(), &desired));
    }

    #[tokio::test]
    async fn the_metrics_of_one_trigger_are_those_with_its_number() {
        let external = |name: &str, target: Value| json!({ "type": "External", "external": { "metric": { "name": name }, "target": target } });
        let mut hpa = serde_json::to_value(hpa(json!({ "metadata": { "name": "keda-hpa-web" } }))).unwrap();
        hpa["spec"]["metrics"] = json!([
            external("s1-jobs", json!({ "type": "AverageValue", "averageValue": "2500m" })),
            external("s1-mails", json!({ "type": "Value", "value": "7" })),
            external("s11-jobs", json!({ "type": "AverageValue", "averageValue": "1" })),
            { "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 50 } } },
        ]);
        let path = "GET /apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/keda-hpa-web";
        let (cluster, _requests) = testing::cluster(move |asked| (asked == path).then(|| hpa.clone()));
        let wanted = |name: &str| plan(name, vec![trigger("redis", 6, &[]), trigger("external", 7, &[])]);
        let expected = [("jobs", 2.5), ("mails", 7.0)].map(|(name, at)| MetricSpec::external(name, Target::Float(at)));
        let unknown = Known::default();
        assert_eq!(metrics_of(&cluster, &unknown, &wanted("web"), 1).await.unwrap(), expected);
        assert_eq!(metrics_of(&cluster, &unknown, &wanted("new"), 1).await.unwrap(), []);
        let renamed = Known { former: Some("keda-hpa-web".to_string()), ..Known::default() };
        assert_eq!(metrics_of(&cluster, &renamed, &wanted("new"), 1).await.unwrap(), expected);
    }

    fn trigger(kind: &str, fingerprint: u128, metrics: &[(&str, i64)]) -> TriggerDefinition {
        let metrics = metrics.iter().map(|(name, target)| ExternalDefinition {
            name: (*name).to_string(),
            target: Quantity::from_integer(*target),
            target_type: TargetType::AverageValue,
        });
        TriggerDefinition {
            trigger_type: kind.to_string(),
            name: String::new(),
            use_cached_metrics: false,
            metrics: metrics.collect(),
            is_described_by_source: true,
            fingerprint,
        }
    }

    fn plan(name: &str, triggers: Vec<TriggerDefinition>) -> Plan {
        let metadata = ObjectMeta { name: name.into(), namespace: Some("shop".into()), ..ObjectMeta::default() };
        let definition = Definition {
            key: ObjectKey { namespace: "shop".to_string(), name: name.to_string() },
            rules: Rules::default(),
            created: Timestamp::UNIX_EPOCH,
            target_kind: String::new(),
            target_name: String::new(),
            triggers,
            restored: Restored::default(),
        };
        Plan {
            object: Arc::new(ScaledObject { metadata, ..ScaledObject::default() }),
            definition,
            hpa: None,
            described_by_source: BTreeSet::new(),
            undescribed: BTreeSet::new(),
        }
    }

    #[test]
    fn what_goes_on_tells_the_metrics_of_a_trigger_wherever_it_stands() {
        let before = [trigger("redis", 1, &[("s0-redis-jobs", 3)]), trigger("external", 2, &[("s1-jobs", 5)])];
        let known = Known { running: Some(Arc::new(plan("web", before.to_vec()))), ..Known::default() };
        let metrics = |index: usize, fingerprint: u128| {
            let now = vec![trigger("external", fingerprint, &[]); 3];
            known.running_metrics(&plan("web", now), index)
        };
        let jobs = MetricSpec::external("jobs", Target::Float(5.0));
        assert_eq!(metrics(0, 2), Some(vec![jobs]), "it was moved");
        assert_eq!(metrics(0, 9), Some(Vec::new()), "another one stood there");
        assert_eq!(metrics(2, 9), Some(Vec::new()), "none stood there");
        assert_eq!(metrics(1, 9), None, "it was changed, and the HPA has what it was");
        assert_eq!(Known::default().running_metrics(&plan("web", before.to_vec()), 1), None);
    }

    #[test]
    fn a_number_that_is_written_otherwise_is_no_difference() {
        let with = |tolerance: &str| {
            hpa(json!({ "metadata": { "name": "a" }, "behavior": { "scaleDown": { "tolerance": tolerance } } }))
        };
        assert!(!is_outdated(&with("100m").into(), &with("0.10")));
        assert!(is_outdated(&with("100m").into(), &with("0.2")));
    }

    #[test]
    fn another_version_is_no_reason_to_write_and_further_labels_may_be_there() {
        let desired = hpa(json!({ "metadata": { "name": "a", "labels": { VERSION_LABEL: "1", "x": "1" } } }));
        let found = hpa(json!({ "metadata": { "name": "a", "labels": { VERSION_LABEL: "2", "x": "1", "y": "1" } } }));
        assert!(!is_outdated(&found.clone().into(), &desired));
        let other = hpa(json!({ "metadata": { "name": "a", "labels": { VERSION_LABEL: "2", "x": "2" } } }));
        assert!(is_outdated(&other.into(), &desired));
    }

    #[test]
    fn annotations_are_taken_away_only_with_the_last() {
        let with = |annotations: Value| hpa(json!({ "metadata": { "name": "a", "annotations": annotations } }));
        assert!(is_outdated(&with(json!({ "x": "1" })).into(), &with(json!({}))));
        assert!(!is_outdated(&with(json!({ "x": "1", "y": "1" })).into(), &with(json!({ "y": "1" }))));
    }
}
