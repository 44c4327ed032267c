//! What is legal and probably not meant.

use std::collections::BTreeSet;

use keda_core::admission;
use keda_core::api::{ScaledObject, Trigger};
use keda_core::cron::find_time_zone;
use keda_core::formula;
use keda_core::hpa::check_behavior;
use keda_core::metadata::{Kind, Parameter, Source};
use keda_core::problem::{Path, Problem, did_you_mean};
use keda_core::quantity::Quantity;
use keda_core::rule;

use crate::plan::Plan;
use crate::registry;

/// Endings of the names of parameters whose values nobody but their owner may know, in lower case.
const SECRETS: [&str; 10] = [
    "password",
    "token",
    "apikey",
    "secret",
    "secretkey",
    "accesskey",
    "secretaccesskey",
    "passphrase",
    "authvalue",
    "applicationkey",
];

/// Advice on a ScaledObject; `plan` is there when it can be used.
pub(super) fn of_scaled_object(object: &ScaledObject, plan: Option<&Plan>) -> Vec<Problem> {
    let mut problems: Vec<Problem> = admission::warnings(object).into_iter().map(without_effect).collect();
    problems.extend(super::annotations::of(&object.metadata));
    problems.extend(behavior(object));
    problems.extend(not_scalable(object));
    problems.extend(ignored_by_formula(object));
    for (index, trigger) in object.spec.triggers.iter().enumerate() {
        let place = Path::root().key("spec").key("triggers").index(index);
        problems.extend(secrets(trigger).into_iter().map(|problem| problem.under(&place)));
        problems.extend(time_zone(trigger).map(|problem| problem.under(&place)));
        problems.extend(metric_type(trigger).map(|problem| problem.under(&place)));
        let definition = plan.and_then(|plan| plan.definition.triggers.get(index));
        let zero = Quantity::from_integer(0);
        if object.scaling_modifiers().is_none()
            && definition.is_some_and(|definition| definition.metrics.iter().any(|metric| metric.target == zero))
        {
            problems.extend(target_of_zero(trigger).map(|problem| problem.under(&place)));
        }
    }
    problems
}

/// What the API server refuses when the HPA is written.
pub(crate) fn behavior(object: &ScaledObject) -> Vec<Problem> {
    let config = Path::root().key("spec").key("advanced").key("horizontalPodAutoscalerConfig");
    object.hpa_behavior().map(|behavior| check_behavior(behavior, &config.key("behavior"))).unwrap_or_default()
}

/// Kinds of Kubernetes without a scale subresource.
fn not_scalable(object: &ScaledObject) -> Option<Problem> {
    let target = &object.spec.scale_target_ref;
    let kind = target.kind();
    matches!(kind, "DaemonSet" | "Job" | "CronJob" | "Pod").then(|| {
        let path = Path::root().key("spec").key("scaleTargetRef").key("kind");
        let help = if kind.ends_with("Job") { "a ScaledJob starts Jobs" } else { "scale a Deployment or StatefulSet" };
        Problem::error(rule::NOT_SCALABLE, path, format!("a {kind} cannot be scaled")).with_help(help)
    })
}

/// KEDA takes any zone, and then fails at every look at the clock.
pub(super) fn time_zone(trigger: &Trigger) -> Option<Problem> {
    let zone = trigger.metadata.get("timezone").filter(|_| trigger.r#type == "cron")?.trim();
    let message = format!("there is no time zone {zone:?}");
    (!zone.is_empty() && find_time_zone(zone).is_err()).then(|| {
        Problem::warning(rule::UNKNOWN_TIME_ZONE, Path::root().key("metadata").key("timezone"), message)
            .with_help("name one of the IANA database, such as Europe/Berlin, Etc/GMT-2 or UTC")
    })
}

/// Types of external metrics that KEDA hands on and the API server refuses.
fn metric_type(trigger: &Trigger) -> Option<Problem> {
    let metric_type = trigger.metric_type.as_deref().filter(|word| !word.is_empty())?;
    let known = ["AverageValue", "Value", "Utilization"];
    let path = Path::root().key("metricType");
    (!known.contains(&metric_type)).then(|| {
        let problem = Problem::error(rule::METRIC_TYPE, path, format!("{metric_type:?} is no metric type"));
        problem.with_suggestion(did_you_mean(metric_type, known))
    })
}

/// KEDA's warnings at creation.
fn without_effect(message: &'static str) -> Problem {
    let field = if message.starts_with("PollingInterval") { "pollingInterval" } else { "cooldownPeriod" };
    let path = Path::root().key("spec").key(field);
    Problem::warning(rule::WITHOUT_EFFECT, path, message).at_key()
}

fn ignored_by_formula(object: &ScaledObject) -> Vec<Problem> {
    let Some(modifiers) = object.scaling_modifiers() else { return Vec::new() };
    let names: BTreeSet<String> = admission::formula_names(object);
    let triggers = object.spec.triggers.iter().enumerate();
    let external = triggers.filter(|(_, trigger)| !admission::is_resource(trigger));
    let problem = |(index, trigger): (usize, &Trigger)| {
        let path = Path::root().key("spec").key("triggers").index(index);
        match trigger.name.as_deref().filter(|name| !name.is_empty()) {
            None => Some(
                Problem::warning(
                    rule::IGNORED_BY_FORMULA,
                    path,
                    "the formula cannot use this trigger, as it has no name",
                )
                .with_help("with scalingModifiers only the formula counts; give the trigger a name and use it there"),
            ),
            Some(name) if formula::ignores(modifiers.formula(), &names, name) => Some(Problem::warning(
                rule::IGNORED_BY_FORMULA,
                path.key("name"),
                format!("the formula does not use trigger {name:?}: it has no influence on the replicas"),
            )),
            Some(_) => None,
        }
    };
    external.filter_map(problem).collect()
}

/// Values in the manifest that belong into a Secret. The messages do not hold them.
pub(super) fn secrets(trigger: &Trigger) -> Vec<Problem> {
    let Some(row) = registry::find(&trigger.r#type) else { return Vec::new() };
    let parameters = (row.parameters)();
    let metadata = Path::root().key("metadata");
    let is_plain = |(key, value): &(&String, &String)| is_secret_text(&parameters, key, value);
    let problem = |(key, _): (&String, &String)| {
        let parameter = parameters.iter().find(|parameter| parameter.names.contains(&key.as_str()));
        Problem::warning(rule::PLAIN_TEXT_SECRET, metadata.key(key), format!("{key:?} stands here in plain text"))
            .with_help(elsewhere(parameter.copied(), key))
    };
    trigger.metadata.iter().filter(is_plain).map(problem).collect()
}

/// Whether the text under a key of a trigger's metadata is for nobody to see.
pub fn is_secret_value(trigger_type: &str, key: &str, value: &str) -> bool {
    let parameters = registry::find(trigger_type).map(|row| (row.parameters)()).unwrap_or_default();
    is_secret_text(&parameters, key, value)
}

fn is_secret_text(parameters: &[&Parameter], key: &str, value: &str) -> bool {
    let value = value.trim();
    let parameter = parameters.iter().find(|parameter| parameter.names.contains(&key));
    !value.is_empty() && (parameter.is_some_and(|one| is_secret(one, key)) || has_password(value))
}

fn is_secret(parameter: &Parameter, key: &str) -> bool {
    let key = key.to_lowercase();
    parameter.kind == Kind::Secret && parameter.reads(Source::Trigger) && SECRETS.iter().any(|end| key.ends_with(end))
}

/// Whether a text is an address with a user and a password.
fn has_password(value: &str) -> bool {
    let Some((_, rest)) = value.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let login = authority.rsplit_once('@').map(|(login, _)| login);
    login.and_then(|login| login.split_once(':')).is_some_and(|(_, password)| !password.is_empty())
}

/// Where else a parameter may stand.
fn elsewhere(parameter: Option<&Parameter>, key: &str) -> String {
    let reads = |source| parameter.is_some_and(|parameter| parameter.reads(source));
    match (reads(Source::Authentication), reads(Source::Environment)) {
        (true, _) => format!("put it into a Secret, and name that in a TriggerAuthentication, as parameter {key}"),
        (false, true) => format!(
            "put it into a variable of the target's container that comes from a Secret, and name the variable in {key}FromEnv"
        ),
        (false, false) => "the manifest itself must then be kept like a password".to_string(),
    }
}

/// A target of 0, at the key that says so.
fn target_of_zero(trigger: &Trigger) -> Option<Problem> {
    let is_zero = |value: &str| value.trim().parse::<f64>().is_ok_and(|number| number == 0.0);
    let is_target = |key: &str| !key.to_lowercase().starts_with("activation");
    let (key, _) = trigger.metadata.iter().find(|(key, value)| is_zero(value) && is_target(key))?;
    let path = Path::root().key("metadata").key(key);
    let problem =
        Problem::warning(rule::ZERO_THRESHOLD, path, "the target value is 0, which Kubernetes refuses in an HPA");
    Some(problem.with_help("give the number that one replica is expected to handle"))
}
