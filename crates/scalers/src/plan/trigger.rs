//! One trigger of an object: what it is given, and what follows from that.

use keda_core::api::{ObjectMeta, PodSpec, ScaledJob, ScaledObject, Trigger};
use keda_core::metadata::{Context, Environment, Inputs};
use keda_core::metric::{MetricSpec, TargetType};
use keda_core::problem::{Path, Problem};
use keda_core::resolve::{self, Lookup};
use keda_core::rule;

use crate::registry::{self, ParsedTrigger};
use crate::trigger::Specs;

/// The object that triggers stand in, as they see it.
#[derive(Clone, Copy)]
pub(super) struct Owner<'a> {
    kind: &'static str,
    metadata: &'a ObjectMeta,
    as_metric_source: bool,
}

impl<'a> From<&'a ScaledObject> for Owner<'a> {
    fn from(object: &'a ScaledObject) -> Self {
        let as_metric_source = object.scaling_modifiers().is_some();
        Owner { kind: "ScaledObject", metadata: &object.metadata, as_metric_source }
    }
}

impl<'a> From<&'a ScaledJob> for Owner<'a> {
    fn from(object: &'a ScaledJob) -> Self {
        Owner { kind: "ScaledJob", metadata: &object.metadata, as_metric_source: false }
    }
}

/// What the triggers of an object share: the pod template of the target and its environment.
#[derive(Default)]
pub(super) struct Surroundings {
    pod_spec: Option<PodSpec>,
    environment: Environment,
}

impl Surroundings {
    /// Those of a ScaledObject: its target's.
    pub(super) fn of_target(object: &ScaledObject, lookup: &dyn Lookup, problems: &mut Vec<Problem>) -> Self {
        let target = &object.spec.scale_target_ref;
        let path = Path::root().key("spec").key("scaleTargetRef");
        match lookup.pod_spec(object.metadata.namespace(), target) {
            Ok(Some(pod_spec)) if !pod_spec.containers.is_empty() => {
                let place = Place { name: path.key("name"), container: path.key("envSourceContainerName") };
                Surroundings::of_pod(pod_spec, target.container(), &object.metadata, lookup, &place, problems)
            }
            Ok(_) => Surroundings::default(),
            // That it cannot be read was told where it stands.
            Err(_) if lookup.is_broken(target.kind(), object.metadata.namespace(), &target.name) => {
                Surroundings { environment: Environment::Unknown, pod_spec: None }
            }
            Err(message) => {
                problems.push(if lookup.lenience().targets {
                    Problem::warning(rule::MISSING_TARGET, path.key("name"), message)
                        .with_help("what depends on its environment is not checked")
                } else {
                    Problem::error(rule::MISSING_TARGET, path.key("name"), message)
                });
                Surroundings { environment: Environment::Unknown, pod_spec: None }
            }
        }
    }

    /// Those of a ScaledJob: its own template's.
    pub(super) fn of_job(object: &ScaledJob, lookup: &dyn Lookup, problems: &mut Vec<Problem>) -> Self {
        let spec = Path::root().key("spec");
        let place = Place { name: spec.key("jobTargetRef"), container: spec.key("envSourceContainerName") };
        let container = object.spec.env_source_container_name.as_deref().filter(|name| !name.is_empty());
        let pod_spec = object.spec.pod_template().spec;
        if pod_spec.containers.is_empty() {
            return Surroundings::default();
        }
        Surroundings::of_pod(pod_spec, container, &object.metadata, lookup, &place, problems)
    }

    fn of_pod(
        pod_spec: PodSpec,
        container: Option<&str>,
        metadata: &ObjectMeta,
        lookup: &dyn Lookup,
        place: &Place,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let Some(container) = pod_spec.container(container) else {
            let name = container.unwrap_or_default();
            let message = format!("couldn't find container with name {name} on Target object");
            problems.push(Problem::error(rule::MISSING_CONTAINER, place.container.clone(), message));
            return Surroundings { environment: Environment::Unknown, pod_spec: None };
        };
        let (variables, missing) = resolve::environment_in_part(lookup, metadata.namespace(), container);
        let environment = match missing.into_iter().next() {
            None => Environment::Known(variables),
            Some(_) if lookup.lenience().references => Environment::Partial(variables),
            Some(missing) => {
                let message =
                    format!("the environment of container {:?} cannot be resolved: {missing}", container.name);
                problems.push(Problem::error(rule::MISSING_REFERENCE, place.name.clone(), message));
                Environment::Unknown
            }
        };
        Surroundings { environment, pod_spec: Some(pod_spec) }
    }
}

/// Where an object says which container is meant.
struct Place {
    name: Path,
    container: Path,
}

/// A trigger with its references followed.
pub(super) struct ResolvedTrigger {
    pub(super) parsed: Option<(ParsedTrigger, Context)>,
    /// Paths are inside the trigger.
    pub(super) problems: Vec<Problem>,
}

impl ResolvedTrigger {
    /// The metrics that are known, with the target type that `metricType` means; `None` with a problem.
    pub(super) fn metrics(&mut self, description: Option<Vec<MetricSpec>>) -> Option<Vec<MetricSpec>> {
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
                self.problems.push(Problem::error(rule::METRIC_TYPE, Path::root().key("metricType"), message));
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

/// Follows the references of the trigger at `index` and parses it.
pub(super) fn resolve_trigger(
    owner: Owner<'_>,
    index: usize,
    trigger: &Trigger,
    surroundings: &Surroundings,
    lookup: &dyn Lookup,
) -> ResolvedTrigger {
    let Some(row) = registry::find(&trigger.r#type) else {
        return ResolvedTrigger { parsed: None, problems: vec![unknown_type(&trigger.r#type)] };
    };
    let namespace = owner.metadata.namespace();
    let reference = trigger.authentication_ref.as_ref();
    let pod_spec = surroundings.pod_spec.as_ref();
    let (authentication, mut problems) = resolve::authentication(lookup, namespace, reference, pod_spec);
    let context = Context {
        trigger_type: trigger.r#type.clone(),
        index,
        object_kind: owner.kind.to_string(),
        namespace: namespace.to_string(),
        name: owner.metadata.name.clone(),
        metric_type: trigger.metric_type.clone().unwrap_or_default(),
        as_metric_source: owner.as_metric_source,
        pod_identity: authentication.pod_identity,
    };
    let inputs = Inputs {
        metadata: trigger.metadata.clone(),
        environment: surroundings.environment.clone(),
        authentication: authentication.parameters,
        hidden: authentication.hidden,
        tokens: authentication.tokens,
    };
    let parsed = row.parse(&inputs, &context);
    problems.extend(parsed.problems.iter().cloned());
    ResolvedTrigger { parsed: Some((parsed, context)), problems }
}

fn unknown_type(name: &str) -> Problem {
    let problem = Problem::error(
        rule::UNKNOWN_TRIGGER_TYPE,
        Path::root().key("type"),
        format!("no scaler found for type: {name}"),
    );
    problem.with_suggestion(registry::similar(name))
}
