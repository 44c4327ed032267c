//! One reconciliation of a ScaledObject: from what the user wrote to an HPA in the cluster and a plan for the engine
//! (`behaviour.md` §1.2 to §1.7). It only reads and writes the cluster; what follows from it the driver decides.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use keda_core::api::{GroupVersionKindResource, PodSpec, ScaledObject};
use keda_core::engine::{Definition, Rules};
use keda_core::hpa::{HorizontalPodAutoscaler, MetricSpec as HpaMetric};
use keda_core::metric::MetricSpec;
use keda_core::problem::{Problem, Severity};
use keda_core::rule::{self, Rule};
use keda_core::sample::SourceError;
use keda_scalers::client::Sources;
use keda_scalers::plan::{self, Descriptions, Plan, SharedReferences};
use serde_json::{Value, json};

use super::hpa;
use super::notes::{self, Note};
use super::status::{Facts, MetricFacts, TriggerFacts, restore};
use crate::cluster::discovery::Discovery;
use crate::cluster::lookup::{ClusterReferences, pod_spec};
use crate::cluster::resource::{Resource, SCALED_OBJECTS};
use crate::cluster::{ApiError, ApiErrorKind, Cluster, scale};
use crate::exposition::Metrics;

/// Keeps an object until everything that belongs to it is put right.
pub(super) const FINALIZER: &str = "finalizer.keda.sh";
const NAME_LABEL: &str = "scaledobject.keda.sh/name";

const TARGET: &str = "ScaledObject doesn't have correct scaleTargetRef specification";
const BOUNDS: &str = "ScaledObject doesn't have correct Idle/Min/Max Replica Counts specification";
const TRIGGERS: &str = "ScaledObject doesn't have correct triggers specification";
const HPA: &str = "failed to ensure HPA is correctly created for ScaledObject";

/// Rules that no single trigger breaks: no event tells of a trigger that failed.
const OF_NO_TRIGGER: [Rule; 3] = [rule::SCALING_MODIFIERS, rule::INVALID_METRICS, rule::INVALID_BEHAVIOR];
/// Rules of the environment, which KEDA reads for each trigger.
const OF_ENVIRONMENT: [Rule; 2] = [rule::MISSING_CONTAINER, rule::MISSING_REFERENCE];

/// What a reconciliation works with.
pub(super) struct Tools {
    pub(super) cluster: Cluster,
    pub(super) discovery: Arc<Discovery>,
    pub(super) lookups: Arc<ClusterReferences>,
    pub(super) references: SharedReferences,
    pub(super) sources: Arc<Sources>,
    pub(super) metrics: Metrics,
    /// Whether events tell of keys in triggers' metadata that nothing reads.
    pub(super) tells_unknown_keys: bool,
}

/// Where the target of an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) resource: Resource,
    pub(super) name: String,
}

/// What came of a reconciliation.
pub(super) enum Outcome {
    /// The object can be scaled.
    Ready { plan: Box<Plan>, target: Target, replicas: Option<i32>, created: bool, notes: Vec<Note> },
    /// It is paused wholly: nothing but the annotations counts.
    Paused { definition: Box<Definition>, target: Option<Target> },
    /// Its HPA cannot be written as it is wanted. There is no plan if its bounds contradict each other.
    WithoutHpa { plan: Option<Box<Plan>>, target: Target, definition: Box<Definition>, message: String },
    /// Its triggers cannot be used as they are now.
    Unplanned { definition: Box<Definition>, message: String, notes: Vec<Note> },
    /// It cannot be used as it is.
    Rejected { definition: Box<Definition>, message: String, notes: Vec<Note> },
    /// Somebody else changed something meanwhile: it is looked at again, and nobody is told.
    Overtaken,
    /// Something could not be done, and may be done later.
    Failed { definition: Box<Definition>, message: String, notes: Vec<Note> },
}

impl Outcome {
    /// What the engine knows of the object; where it cannot be used as it is now, that of what goes on.
    pub(super) fn definition<'a>(&'a self, running: Option<&'a Plan>) -> Option<&'a Definition> {
        match self {
            Outcome::Ready { plan, .. } | Outcome::WithoutHpa { plan: Some(plan), .. } => Some(&plan.definition),
            Outcome::WithoutHpa { definition, .. } | Outcome::Unplanned { definition, .. } => {
                Some(running.map_or(&**definition, |plan| &plan.definition))
            }
            Outcome::Paused { definition, .. } | Outcome::Rejected { definition, .. } => Some(definition),
            Outcome::Overtaken | Outcome::Failed { .. } => None,
        }
    }
}

/// Why a step failed.
struct Failure {
    prefix: &'static str,
    error: ApiError,
    notes: Vec<Note>,
}

impl Failure {
    fn new(prefix: &'static str) -> impl Fn(ApiError) -> Failure {
        move |error| Failure { prefix, error, notes: Vec::new() }
    }
}

/// What is known of a target.
struct Seen {
    target: Target,
    replicas: i32,
    pod_spec: Option<PodSpec>,
}

/// Reconciles an object. With `writes` off nothing is written: a follower only wants to answer questions.
pub(super) async fn reconcile(
    tools: &Tools,
    object: Arc<ScaledObject>,
    known_hpa: hpa::Known,
    writes: bool,
    now: Timestamp,
) -> (Outcome, Facts) {
    let mut facts = Facts::default();
    let outcome = match steps(tools, Arc::clone(&object), known_hpa, writes, now, &mut facts).await {
        Ok(outcome) => outcome,
        Err(Failure { prefix, error, notes }) => {
            let message = format!("{prefix}: {error}");
            let definition = Box::new(bare(&object, now));
            if error.kind == ApiErrorKind::Conflict {
                tracing::debug!(object = %definition.key, reason = %message, "overtaken");
                Outcome::Overtaken
            } else if error.is_transient() {
                Outcome::Failed { definition, message, notes }
            } else {
                Outcome::Rejected { definition, message, notes }
            }
        }
    };
    (outcome, facts)
}

async fn steps(
    tools: &Tools,
    object: Arc<ScaledObject>,
    known_hpa: hpa::Known,
    writes: bool,
    now: Timestamp,
    facts: &mut Facts,
) -> Result<Outcome, Failure> {
    let definition = bare(&object, now);
    let reject = |prefix: &str, error: String, notes| {
        let message = format!("{prefix}: {error}");
        Ok(Outcome::Rejected { definition: Box::new(definition.clone()), message, notes })
    };
    let paused = definition.rules.pause.is_full();
    if writes {
        mark(&tools.cluster, &object, !paused).await?;
    }
    if paused {
        let target = locate(tools, &object).await.ok();
        return Ok(Outcome::Paused { definition: Box::new(definition), target });
    }
    if object.spec.scale_target_ref.name.is_empty() {
        return reject(TARGET, "ScaledObject.spec.scaleTargetRef.name is missing".to_string(), Vec::new());
    }
    let seen = find_target(tools, &object).await?;
    let resource = &seen.target.resource;
    facts.target = Some((resource.kind_string(), gvkr(resource)));
    facts.original_replicas = Some(seen.replicas);
    // KEDA looks at the bounds first.
    if object.spec.triggers.is_empty() && definition.rules.check_bounds().is_ok() {
        return reject(TRIGGERS, "no triggers defined in the ScaledObject/ScaledJob".to_string(), Vec::new());
    }
    let (plan, problems) = plan_for(tools, &object, seen.pod_spec, &known_hpa).await?;
    facts.triggers = Some(TriggerFacts::of(&object));
    if writes {
        notes::log_missing(&object, &problems);
    }
    let Some(mut plan) = plan else {
        return Ok(unplanned(&problems, seen.target, definition, facts));
    };
    plan.definition.restored = definition.restored.clone();
    plan.definition.target_kind = resource.kind_string();
    let Some(desired) = &plan.hpa else {
        let namespace = object.metadata.namespace();
        let error =
            format!("no metric specs returned from scalers for ScaledObject {namespace}/{}", object.metadata.name);
        return reject(HPA, error, Vec::new());
    };
    let mut created = false;
    if writes {
        created = match hpa::ensure(&tools.cluster, desired, known_hpa).await {
            Ok(created) => created,
            Err(error) if error.is_transient() => return Err(Failure::new(HPA)(error)),
            Err(error) => {
                let (plan, definition) = (Some(Box::new(plan)), Box::new(definition));
                let message = format!("{HPA}: {error}");
                return Ok(Outcome::WithoutHpa { plan, target: seen.target, definition, message });
            }
        };
        facts.hpa_name = Some(desired.metadata.name.clone());
        facts.metrics = Some(metric_facts(&plan.definition, desired));
    }
    let notes = notes::of_triggers(&object, &problems, tools.tells_unknown_keys);
    Ok(Outcome::Ready { plan: Box::new(plan), target: seen.target, replicas: Some(seen.replicas), created, notes })
}

/// What becomes of an object that cannot be planned.
fn unplanned(problems: &[Problem], target: Target, definition: Definition, facts: &mut Facts) -> Outcome {
    let (prefix, rule, cause) = worst(problems);
    let (definition, message) = (Box::new(definition), format!("{prefix}: {cause}"));
    if prefix == HPA {
        let is_of_a_trigger = rule.is_none_or(|rule| !OF_NO_TRIGGER.contains(&rule));
        let notes = is_of_a_trigger.then(|| Note::warning("KEDAScalerFailed", cause)).into_iter().collect();
        return Outcome::Unplanned { definition, message, notes };
    }
    facts.triggers = None;
    match prefix {
        BOUNDS => Outcome::WithoutHpa { plan: None, target, definition, message },
        _ => Outcome::Unplanned { definition, message, notes: Vec::new() },
    }
}

/// What the engine needs of an object whose triggers do not count.
fn bare(object: &ScaledObject, now: Timestamp) -> Definition {
    let target = &object.spec.scale_target_ref;
    let status = object.status.clone().unwrap_or_default();
    let kind = status.scale_target_kind.clone();
    Definition {
        key: plan::key(object),
        rules: Rules::from(object),
        created: object.metadata.creation_timestamp.unwrap_or(now),
        target_kind: kind.unwrap_or_else(|| format!("{}.{}", target.api_version(), target.kind())),
        target_name: target.name.clone(),
        triggers: Vec::new(),
        restored: restore(&status, now),
    }
}

/// Adds the finalizer and the label by which the HPA's questions name the object, where they are missing.
async fn mark(cluster: &Cluster, object: &ScaledObject, label: bool) -> Result<(), Failure> {
    let metadata = &object.metadata;
    let mut patch = json!({});
    if !metadata.finalizers.iter().any(|known| known == FINALIZER) {
        let mut finalizers = metadata.finalizers.clone();
        finalizers.push(FINALIZER.to_string());
        // The list is replaced as a whole, so it must be the one that was read.
        patch["metadata"] = json!({ "finalizers": finalizers, "resourceVersion": metadata.resource_version });
    }
    if label && metadata.labels.get(NAME_LABEL) != Some(&metadata.name) {
        patch["metadata"]["labels"] = json!({ NAME_LABEL: metadata.name });
    }
    if patch.get("metadata").is_none() {
        return Ok(());
    }
    let path = SCALED_OBJECTS.object(Some(metadata.namespace()), &metadata.name);
    let marked = cluster.merge::<Value>(&path, &patch).await;
    marked.map_err(Failure::new("failed to update ScaledObject with scaledObjectName label")).map(|_| ())
}

/// The resource of an object's target.
pub(super) async fn locate(tools: &Tools, object: &ScaledObject) -> Result<Target, ApiError> {
    let reference = &object.spec.scale_target_ref;
    let resource = tools.discovery.resource(&tools.cluster, reference.api_version(), reference.kind()).await?;
    Ok(Target { resource, name: reference.name.clone() })
}

/// Finds the target, and that it can be scaled.
async fn find_target(tools: &Tools, object: &ScaledObject) -> Result<Seen, Failure> {
    let namespace = object.metadata.namespace();
    let failure = |error: ApiError, reason, note: &str| {
        let note = if note.is_empty() { error.message.clone() } else { note.to_string() };
        Failure { prefix: TARGET, error, notes: vec![Note::warning(reason, note)] }
    };
    let target = locate(tools, object).await.map_err(|error| failure(error, "ScaledObjectUpdateFailed", ""))?;
    let path = target.resource.object(Some(namespace), &target.name);
    let found: Value = tools.cluster.get(&path).await.map_err(|error| match error.is_not_found() {
        true => failure(error, "ScaledObjectCheckFailed", "Target resource doesn't exist"),
        false => Failure { prefix: TARGET, error, notes: Vec::new() },
    })?;
    let replicas = if target.resource.is_workload() {
        replicas_of(&found).unwrap_or(1)
    } else {
        let scale = scale::read(&tools.cluster, &target.resource, namespace, &target.name).await;
        let note = "Target resource doesn't expose /scale subresource";
        scale.map_err(|error| failure(error, "ScaledObjectCheckFailed", note))?.replicas()
    };
    Ok(Seen { target, replicas, pod_spec: pod_spec(&found) })
}

fn replicas_of(object: &Value) -> Option<i32> {
    i32::try_from(object.pointer("/spec/replicas")?.as_i64()?).ok()
}

fn gvkr(resource: &Resource) -> GroupVersionKindResource {
    GroupVersionKindResource {
        group: resource.group.to_string(),
        version: resource.version.to_string(),
        kind: resource.kind.to_string(),
        resource: resource.plural.to_string(),
    }
}

/// Plans, with the metrics of those triggers asked for that only their sources know. Where one does not answer, those
/// that it had so far stand in, and the plan tells that it has to be asked again.
async fn plan_for(
    tools: &Tools,
    object: &Arc<ScaledObject>,
    pod_spec: Option<PodSpec>,
    known: &hpa::Known,
) -> Result<(Option<Plan>, Vec<Problem>), Failure> {
    let mut described = Descriptions::new();
    let mut unanswered = BTreeSet::new();
    let mut snapshot = tools.lookups.snapshot();
    snapshot = snapshot.with_target(object.metadata.namespace(), &object.spec.scale_target_ref, pod_spec);
    loop {
        let mut planned = None;
        let mut step = |lookup: &dyn keda_core::resolve::Lookup| {
            planned = Some(plan::plan(object, lookup, &described));
        };
        snapshot = tools.lookups.run_from(snapshot, &mut step).await.map_err(Failure::new(HPA))?;
        let Some((plan, problems)) = planned else { return Ok((None, Vec::new())) };
        let plan = match plan {
            Some(plan) if !plan.undescribed.is_empty() => plan,
            plan => return Ok((plan.map(|plan| Plan { undescribed: unanswered, ..plan }), problems)),
        };
        for (index, answer) in describe(tools, &plan).await {
            let specs = match answer {
                Ok(specs) => specs,
                Err(error) => {
                    let object_name = &object.metadata.name;
                    tracing::warn!(namespace = object.metadata.namespace(), object = %object_name, trigger = index, %error,
                        "the source does not say its metrics; those that it had so far are kept");
                    unanswered.insert(index);
                    hpa::metrics_of(&tools.cluster, known, &plan, index).await.map_err(Failure::new(HPA))?
                }
            };
            described.insert(index, specs);
        }
    }
}

/// Asks all sources that alone know their metrics, at the same time: one that hangs holds other objects up.
async fn describe(tools: &Tools, plan: &Plan) -> Vec<(usize, Result<Vec<MetricSpec>, SourceError>)> {
    let mut questions = Vec::new();
    for &index in &plan.undescribed {
        let answer = plan::describe(&plan.object, index, &tools.references, &tools.sources);
        questions.push(async move { (index, answer.await) });
    }
    futures::future::join_all(questions).await
}

/// The error that KEDA would find first, and the step in which it does.
fn worst(problems: &[Problem]) -> (&'static str, Option<Rule>, String) {
    let errors = || problems.iter().filter(|problem| problem.severity == Severity::Error);
    for (rule, prefix) in [(rule::INCORRECT_REPLICAS, BOUNDS), (rule::INCORRECT_TRIGGERS, TRIGGERS)] {
        if let Some(problem) = errors().find(|problem| problem.rule == rule) {
            return (prefix, Some(rule), problem.message.clone());
        }
    }
    // The formula comes after the triggers.
    let first = errors().find(|problem| problem.rule != rule::SCALING_MODIFIERS).or_else(|| errors().next());
    match first {
        Some(problem) if OF_ENVIRONMENT.contains(&problem.rule) => {
            (HPA, Some(problem.rule), format!("error resolving secrets for ScaleTarget: {}", problem.message))
        }
        Some(problem) => (HPA, Some(problem.rule), problem.message.clone()),
        None => (HPA, None, "the object cannot be planned".to_string()),
    }
}

fn metric_facts(definition: &Definition, hpa: &HorizontalPodAutoscaler) -> MetricFacts {
    let triggers = definition.triggers.iter();
    let external = triggers.flat_map(|trigger| &trigger.metrics).map(|metric| metric.name.clone());
    let mut facts = MetricFacts { external: external.collect(), ..MetricFacts::default() };
    for metric in &hpa.spec.metrics {
        match metric {
            HpaMetric::Resource(resource) => facts.resource.push(resource.name.clone()),
            HpaMetric::External(external) if external.metric.name == keda_core::names::COMPOSITE_METRIC => {
                facts.composite = Some(external.metric.name.clone());
            }
            _ => {}
        }
    }
    facts
}

#[cfg(test)]
mod tests {
    use keda_core::problem::Path;

    use super::*;
    use crate::cluster::resource::DEPLOYMENTS;

    #[test]
    fn an_environment_that_cannot_be_read_is_a_fault_of_a_trigger_and_a_formula_is_none() {
        for (rule, prefix, events) in [
            (rule::MISSING_CONTAINER, "error resolving secrets for ScaleTarget: ", 1),
            (rule::UNKNOWN_TRIGGER_TYPE, "", 1),
            (rule::SCALING_MODIFIERS, "", 0),
        ] {
            let problems = [Problem::error(rule, Path::root(), "it is wrong")];
            let target = Target { resource: DEPLOYMENTS.clone(), name: "web".to_string() };
            let definition = bare(&ScaledObject::default(), Timestamp::UNIX_EPOCH);
            let outcome = unplanned(&problems, target, definition, &mut Facts::default());
            let Outcome::Unplanned { message, notes, .. } = outcome else { panic!("{rule}") };
            assert_eq!(message, format!("{HPA}: {prefix}it is wrong"));
            let texts: Vec<&str> = notes.iter().map(|note| note.text.as_str()).collect();
            assert_eq!(texts, vec![format!("{prefix}it is wrong"); events]);
        }
    }
}
