//! From an object to what is done about it: its HPA, its queries, its rules for the engine.
//!
//! Planning does no I/O: references are followed through a [`Lookup`], sources are only dialled by the queries, and by
//! [`describe`] for the few triggers whose source alone knows their metrics.

mod job;
mod trigger;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use jiff::Timestamp;
use keda_core::admission::{self, TriggerFault};
use keda_core::api::{ScaledObject, Trigger};
use keda_core::engine::{Definition, ExternalDefinition, ObjectKey, Restored, Rules, TriggerDefinition};
use keda_core::formula;
use keda_core::hpa::{HorizontalPodAutoscaler, build};
use keda_core::metric::{MetricSpec, TargetType};
use keda_core::names::with_index;
use keda_core::problem::{Path, Problem, Severity, has_errors};
use keda_core::resolve::Lookup;
use keda_core::rule;
use keda_core::sample::SourceError;

pub use job::{JobPlan, plan_job};

use self::trigger::{Surroundings, resolve_trigger};
use crate::client::Sources;
use crate::registry::ParsedTrigger;
use crate::review;
use crate::sampler::{Built, Query, guarded};
use crate::trigger::Specs;

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
    let surroundings = Surroundings::of_target(object, lookup, &mut problems);
    let mut specs = Vec::new();
    let mut triggers = Vec::new();
    let mut described_by_source = BTreeSet::new();
    for (index, trigger) in object.spec.triggers.iter().enumerate() {
        let mut resolved = resolve_trigger((&**object).into(), index, trigger, &surroundings, lookup);
        let known = resolved.metrics(descriptions.get(&index).cloned());
        let place = trigger_path(index);
        problems.extend(resolved.problems.into_iter().map(|problem| problem.under(&place)));
        if let (Some(known), Some((parsed, _))) = (known, resolved.parsed) {
            if parsed.specs == Some(Specs::FromSource) {
                described_by_source.insert(index);
            }
            triggers.push(definition(trigger, index, &known, &parsed));
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
            let behavior = review::behavior(object);
            if behavior.is_empty() {
                problems.push(Problem::error(rule::INVALID_METRICS, Path::root().key("spec").key("triggers"), message));
            }
            problems.extend(behavior);
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
        let with_source = triggers.filter(|(_, trigger)| !trigger.is_read_by_hpa());
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
    guarded(async { connect(object, index, &**references, sources).await?.scaler.describe().await }).await
}

async fn connect(
    object: &ScaledObject,
    index: usize,
    references: &dyn ReferenceSource,
    sources: &Sources,
) -> Result<Built, SourceError> {
    let trigger = object.spec.triggers.get(index).ok_or_else(|| SourceError::configuration("the trigger is gone"))?;
    let mut found = None;
    // What a trigger does not ask for need not be looked up.
    let asks = trigger.authentication_ref.is_some() || trigger.metadata.keys().any(|key| key.ends_with("FromEnv"));
    let mut step = |lookup: &dyn Lookup| {
        let mut problems = Vec::new();
        let surroundings = match asks {
            true => Surroundings::of_target(object, lookup, &mut problems),
            false => Surroundings::default(),
        };
        let resolved = resolve_trigger(object.into(), index, trigger, &surroundings, lookup);
        problems.extend(resolved.problems);
        found = Some((resolved.parsed, problems));
    };
    references.resolve(&mut step).await?;
    let (parsed, problems) = found.unwrap_or_default();
    let error = problems.into_iter().find(|problem| problem.severity == Severity::Error);
    match (error, parsed) {
        (None, Some((parsed, context))) => {
            Ok(Built { fingerprint: parsed.fingerprint, scaler: parsed.connect(&context, sources)? })
        }
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
        problems.push(Problem::error(rule::INCORRECT_REPLICAS, spec.key(field), message));
    }
    problems.extend(check_triggers(&object.spec.triggers));
    problems.extend(check_formula(object, rules));
    problems
}

/// Checks of the triggers of an object that need nothing but them.
fn check_triggers(triggers: &[Trigger]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for fault in admission::check_triggers(triggers) {
        let place = match fault {
            TriggerFault::None => continue, // The schema has said so.
            TriggerFault::CachedMetrics(index, _) => trigger_path(index).key("useCachedMetrics"),
            TriggerFault::DuplicateName(index, _) => trigger_path(index).key("name"),
        };
        problems.push(Problem::error(rule::INCORRECT_TRIGGERS, place, fault.message()));
    }
    problems
}

fn check_formula(object: &ScaledObject, rules: &Rules) -> Option<Problem> {
    let modifiers = rules.modifiers.as_ref().filter(|modifiers| modifiers.in_use())?;
    let message = formula::check(modifiers, &admission::formula_names(object)).err()?;
    let path = Path::root().key("spec").key("advanced").key("scalingModifiers");
    let field = if message.contains("target") { "target" } else { "formula" };
    Some(Problem::error(rule::SCALING_MODIFIERS, path.key(field), message.replace('\n', ": ")))
}

fn definition(trigger: &Trigger, index: usize, specs: &[MetricSpec], parsed: &ParsedTrigger) -> TriggerDefinition {
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
        is_described_by_source: parsed.specs == Some(Specs::FromSource),
        fingerprint: parsed.fingerprint,
    }
}
