//! From a ScaledObject to what is done about it: its HPA, its queries, its rules for the engine.
//!
//! Planning does no I/O: references are followed through a [`Lookup`], sources are only dialled by the queries, and by
//! [`describe`] for the few triggers whose source alone knows their metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use jiff::Timestamp;
use keda_core::admission::{self, TriggerFault};
use keda_core::api::{PodSpec, ScaledObject, Trigger};
use keda_core::engine::{Definition, ExternalDefinition, ObjectKey, Restored, Rules, TriggerDefinition};
use keda_core::formula;
use keda_core::hpa::{HorizontalPodAutoscaler, build};
use keda_core::metadata::{Context, Environment, Inputs};
use keda_core::metric::{MetricSpec, TargetType};
use keda_core::names::with_index;
use keda_core::problem::{Path, Problem, Severity, has_errors};
use keda_core::resolve::{self, Lookup};
use keda_core::sample::SourceError;

use crate::client::Sources;
use crate::registry::{self, ParsedTrigger};
use crate::sampler::{Query, guarded};
use crate::trigger::{Scaler, Specs};

/// What is done with lookups, once or several times.
pub type Step<'a> = dyn FnMut(&dyn Lookup) + Send + 'a;

/// Follows references when a source is set up anew: those among manifests at once, a cluster's by asking.
#[async_trait]
pub trait ReferenceSource: Send + Sync {
    /// Runs `step` with lookups until one has everything that `step` asks it for. The last run counts.
    ///
    /// # Errors
    /// That the cluster cannot be asked.
    async fn resolve(&self, step: &mut Step<'_>) -> Result<(), SourceError>;
}

/// What has everything at hand needs one run.
#[async_trait]
impl<L: Lookup + Send + Sync> ReferenceSource for L {
    async fn resolve(&self, step: &mut Step<'_>) -> Result<(), SourceError> {
        step(self);
        Ok(())
    }
}

/// A [`ReferenceSource`] that tasks can share.
pub type SharedReferences = Arc<dyn ReferenceSource>;

/// What sources said about the metrics of their triggers ([`describe`]), by the triggers' positions.
pub type Descriptions = BTreeMap<usize, Vec<MetricSpec>>;

/// What is done about a ScaledObject.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The object.
    pub object: Arc<ScaledObject>,
    /// What the engine needs.
    pub definition: Definition,
    /// The HPA that is written to a cluster, or played locally. It has the metrics that are known; there is none as long
    /// as all metrics are those of `undescribed` triggers.
    pub hpa: Option<HorizontalPodAutoscaler>,
    /// The triggers whose source alone knows their metrics.
    pub described_by_source: BTreeSet<usize>,
    /// Those of them that were not described yet.
    pub undescribed: BTreeSet<usize>,
}

/// Plans an object, with what sources said about its metrics so far. Without errors among the problems there is a plan.
pub fn plan(
    object: &Arc<ScaledObject>,
    lookup: &dyn Lookup,
    descriptions: &Descriptions,
) -> (Option<Plan>, Vec<Problem>) {
    let rules = Rules::from(&**object);
    let mut problems = check_object(object, &rules);
    let surroundings = Surroundings::find(object, lookup, &mut problems);
    let mut specs = Vec::new();
    let mut triggers = Vec::new();
    let mut described_by_source = BTreeSet::new();
    for (index, trigger) in object.spec.triggers.iter().enumerate() {
        let mut resolved = resolve_trigger(object, index, trigger, &surroundings, lookup);
        let known = resolved.metrics(descriptions.get(&index).cloned());
        let place = trigger_path(index);
        problems.extend(resolved.problems.into_iter().map(|problem| problem.under(&place)));
        if let (Some(known), Some((parsed, _))) = (known, resolved.parsed) {
            if parsed.specs == Some(Specs::FromSource) {
                described_by_source.insert(index);
            }
            triggers.push(definition(trigger, index, &known, parsed.fingerprint));
            specs.extend(known.into_iter().map(|spec| (index, spec)));
        }
    }
    if has_errors(&problems) {
        return (None, problems);
    }
    let is_undescribed = |index: &usize| !descriptions.contains_key(index);
    let undescribed: BTreeSet<usize> = described_by_source.iter().copied().filter(is_undescribed).collect();
    let hpa = match build::build(object, &rules, &specs) {
        Ok(hpa) => Some(hpa),
        Err(_) if specs.is_empty() && !undescribed.is_empty() => None,
        Err(message) => {
            problems.push(Problem::error("invalid-metrics", Path::root().key("spec").key("triggers"), message));
            return (None, problems);
        }
    };
    let target = &object.spec.scale_target_ref;
    let definition = Definition {
        key: key(object),
        rules,
        created: object.metadata.creation_timestamp.unwrap_or(Timestamp::UNIX_EPOCH),
        target_kind: format!("{}.{}", target.api_version(), target.kind()),
        target_name: target.name.clone(),
        triggers,
        restored: Restored::default(),
    };
    let object = Arc::clone(object);
    (Some(Plan { object, definition, hpa, described_by_source, undescribed }), problems)
}

/// The engine's name for an object.
pub fn key(object: &ScaledObject) -> ObjectKey {
    ObjectKey { namespace: object.metadata.namespace().to_string(), name: object.metadata.name.clone() }
}

impl Plan {
    /// Whether nothing can be decided yet: the sources that alone know the metrics have not said any. Such a plan is not
    /// for the engine, which would take the object for one that the HPA scales by itself.
    pub fn waits_for_description(&self) -> bool {
        !self.undescribed.is_empty() && self.definition.triggers.iter().all(|trigger| trigger.metrics.is_empty())
    }

    /// The queries of the triggers that have a source, with the triggers' positions. Each resolves its secrets anew
    /// when it is rebuilt.
    pub fn queries(&self, references: &SharedReferences, sources: &Arc<Sources>) -> Vec<(usize, Query)> {
        let triggers = self.definition.triggers.iter().enumerate();
        let with_source =
            triggers.filter(|(index, trigger)| !trigger.metrics.is_empty() || self.described_by_source.contains(index));
        with_source
            .map(|(index, trigger)| {
                let (object, references, sources) =
                    (Arc::clone(&self.object), Arc::clone(references), Arc::clone(sources));
                let build = move || {
                    let (object, references, sources) =
                        (Arc::clone(&object), Arc::clone(&references), Arc::clone(&sources));
                    async move { connect(&object, index, &*references, &sources).await }.boxed()
                };
                let query = Query {
                    fingerprint: trigger.fingerprint,
                    interval: Some(self.definition.rules.polling_interval()),
                    build: Arc::new(build),
                };
                (index, query)
            })
            .collect()
    }
}

/// Asks the source of the trigger at `index` for the metrics of it, within a limit in time.
///
/// # Errors
/// As for a reading; also that the trigger cannot be set up.
pub async fn describe(
    object: &ScaledObject,
    index: usize,
    references: &SharedReferences,
    sources: &Sources,
) -> Result<Vec<MetricSpec>, SourceError> {
    guarded(async { connect(object, index, &**references, sources).await?.describe().await }).await
}

async fn connect(
    object: &ScaledObject,
    index: usize,
    references: &dyn ReferenceSource,
    sources: &Sources,
) -> Result<Box<dyn Scaler>, SourceError> {
    let trigger = object.spec.triggers.get(index).ok_or_else(|| SourceError::configuration("the trigger is gone"))?;
    let mut found = None;
    // What a trigger does not ask for need not be looked up.
    let asks = trigger.authentication_ref.is_some() || trigger.metadata.keys().any(|key| key.ends_with("FromEnv"));
    let mut step = |lookup: &dyn Lookup| {
        let mut problems = Vec::new();
        let surroundings = match asks {
            true => Surroundings::find(object, lookup, &mut problems),
            false => Surroundings { pod_spec: None, environment: Environment::default() },
        };
        let resolved = resolve_trigger(object, index, trigger, &surroundings, lookup);
        problems.extend(resolved.problems);
        found = Some((resolved.parsed, problems));
    };
    references.resolve(&mut step).await?;
    let (parsed, problems) = found.unwrap_or_default();
    let error = problems.into_iter().find(|problem| problem.severity == Severity::Error);
    match (error, parsed) {
        (None, Some((parsed, context))) => parsed.connect(&context, sources),
        (Some(problem), _) => Err(SourceError::configuration(problem.message)),
        (None, None) => Err(SourceError::configuration(format!("no scaler found for type: {}", trigger.r#type))),
    }
}

fn trigger_path(index: usize) -> Path {
    Path::root().key("spec").key("triggers").index(index)
}

/// Checks that need nothing but the object (`behaviour.md` §1.3).
fn check_object(object: &ScaledObject, rules: &Rules) -> Vec<Problem> {
    let spec = Path::root().key("spec");
    let mut problems = Vec::new();
    if let Err(message) = rules.check_bounds() {
        let field = if message.starts_with("Idle") { "idleReplicaCount" } else { "minReplicaCount" };
        problems.push(Problem::error("replica-bounds", spec.key(field), message));
    }
    problems.extend(check_triggers(&object.spec.triggers));
    problems.extend(check_formula(object, rules));
    problems
}

/// Checks of the triggers of an object that need nothing but them.
pub(crate) fn check_triggers(triggers: &[Trigger]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for fault in admission::check_triggers(triggers) {
        let (code, place) = match fault {
            TriggerFault::None => continue, // The schema has said so.
            TriggerFault::CachedMetrics(index, _) => ("cached-metrics", trigger_path(index).key("useCachedMetrics")),
            TriggerFault::DuplicateName(index, _) => ("duplicate-trigger-name", trigger_path(index).key("name")),
        };
        problems.push(Problem::error(code, place, fault.message()));
    }
    problems
}

fn check_formula(object: &ScaledObject, rules: &Rules) -> Option<Problem> {
    let modifiers = rules.modifiers.as_ref().filter(|modifiers| modifiers.in_use())?;
    let message = formula::check(modifiers, &admission::formula_names(object)).err()?;
    let path = Path::root().key("spec").key("advanced").key("scalingModifiers");
    let field = if message.contains("target") { "target" } else { "formula" };
    Some(Problem::error("scaling-modifiers", path.key(field), message.replace('\n', ": ")))
}

/// What the triggers of an object share: the pod template of the target and its environment.
struct Surroundings {
    pod_spec: Option<PodSpec>,
    environment: Environment,
}

impl Surroundings {
    fn find(object: &ScaledObject, lookup: &dyn Lookup, problems: &mut Vec<Problem>) -> Self {
        let target = &object.spec.scale_target_ref;
        let path = Path::root().key("spec").key("scaleTargetRef");
        let nothing = Surroundings { pod_spec: None, environment: Environment::default() };
        let pod_spec = match lookup.pod_spec(object.metadata.namespace(), target) {
            Ok(Some(pod_spec)) if !pod_spec.containers.is_empty() => pod_spec,
            Ok(_) => return nothing,
            Err(message) => {
                problems.push(Problem::error("missing-target", path.key("name"), message));
                return Surroundings { environment: Environment::Unknown, ..nothing };
            }
        };
        let Some(container) = pod_spec.container(target.container()) else {
            let name = target.container().unwrap_or_default();
            let message = format!("couldn't find container with name {name} on Target object");
            problems.push(Problem::error("missing-container", path.key("envSourceContainerName"), message));
            return nothing;
        };
        match resolve::environment(lookup, object.metadata.namespace(), container) {
            Ok(variables) => Surroundings { environment: Environment::Known(variables), pod_spec: Some(pod_spec) },
            Err(message) => {
                let message =
                    format!("the environment of container {:?} cannot be resolved: {message}", container.name);
                problems.push(Problem::error("missing-reference", path.key("name"), message));
                Surroundings { environment: Environment::Unknown, pod_spec: Some(pod_spec) }
            }
        }
    }
}

struct ResolvedTrigger {
    parsed: Option<(ParsedTrigger, Context)>,
    /// Paths are inside the trigger.
    problems: Vec<Problem>,
}

impl ResolvedTrigger {
    /// The metrics that are known, with the target type that `metricType` means; `None` with a problem.
    fn metrics(&mut self, description: Option<Vec<MetricSpec>>) -> Option<Vec<MetricSpec>> {
        let (parsed, context) = self.parsed.as_ref()?;
        let has_own_type = |spec: &MetricSpec| match spec {
            MetricSpec::External(external) => external.target_type.is_some(),
            MetricSpec::Resource(_) => true,
        };
        let mut specs = match parsed.specs.clone()? {
            Specs::Known(specs) if specs.iter().all(has_own_type) => return Some(specs),
            Specs::Known(specs) => specs,
            Specs::FromSource => description.unwrap_or_default(),
        };
        let target_type = match TargetType::of_external(&context.metric_type) {
            Ok(target_type) => target_type,
            Err(message) => {
                self.problems.push(Problem::error("metric-type", Path::root().key("metricType"), message));
                return None;
            }
        };
        for spec in &mut specs {
            if let MetricSpec::External(external) = spec {
                external.target_type.get_or_insert_with(|| target_type.clone());
            }
        }
        Some(specs)
    }
}

fn resolve_trigger(
    object: &ScaledObject,
    index: usize,
    trigger: &Trigger,
    surroundings: &Surroundings,
    lookup: &dyn Lookup,
) -> ResolvedTrigger {
    let Some(row) = registry::find(&trigger.r#type) else {
        return ResolvedTrigger { parsed: None, problems: vec![unknown_type(&trigger.r#type)] };
    };
    let namespace = object.metadata.namespace();
    let reference = trigger.authentication_ref.as_ref();
    let pod_spec = surroundings.pod_spec.as_ref();
    let (authentication, mut problems) = resolve::authentication(lookup, namespace, reference, pod_spec);
    let context = Context {
        trigger_type: trigger.r#type.clone(),
        index,
        object_kind: "ScaledObject".to_string(),
        namespace: namespace.to_string(),
        name: object.metadata.name.clone(),
        metric_type: trigger.metric_type.clone().unwrap_or_default(),
        as_metric_source: object.scaling_modifiers().is_some(),
        pod_identity: authentication.pod_identity,
    };
    let inputs = Inputs {
        metadata: trigger.metadata.clone(),
        environment: surroundings.environment.clone(),
        authentication: authentication.parameters,
    };
    let parsed = row.parse(&inputs, &context);
    problems.extend(parsed.problems.iter().cloned());
    ResolvedTrigger { parsed: Some((parsed, context)), problems }
}

fn unknown_type(name: &str) -> Problem {
    let problem =
        Problem::error("unknown-trigger-type", Path::root().key("type"), format!("no scaler found for type: {name}"));
    match registry::similar(name) {
        Some(meant) => problem.with_help(format!("did you mean {meant:?}?")),
        None => problem,
    }
}

fn definition(trigger: &Trigger, index: usize, specs: &[MetricSpec], fingerprint: u128) -> TriggerDefinition {
    let metrics = specs.iter().filter_map(|spec| match spec {
        MetricSpec::External(external) => Some(ExternalDefinition {
            name: with_index(index, &external.name),
            target: external.target.quantity(),
            target_type: external.target_type.clone().unwrap_or(TargetType::AverageValue),
        }),
        MetricSpec::Resource(_) => None,
    });
    TriggerDefinition {
        trigger_type: trigger.r#type.clone(),
        name: trigger.name.clone().unwrap_or_default(),
        use_cached_metrics: trigger.use_cached_metrics,
        metrics: metrics.collect(),
        fingerprint,
    }
}
