//! What is legal and probably not meant.

use std::collections::BTreeSet;

use keda_core::admission;
use keda_core::api::{ScaledObject, Trigger};
use keda_core::formula;
use keda_core::metadata::{Kind, Parameter, Source};
use keda_core::problem::{Path, Problem};
use keda_core::quantity::Quantity;

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
    problems.extend(ignored_by_formula(object));
    for (index, trigger) in object.spec.triggers.iter().enumerate() {
        let place = Path::root().key("spec").key("triggers").index(index);
        problems.extend(secrets(trigger).into_iter().map(|problem| problem.under(&place)));
        let definition = plan.and_then(|plan| plan.definition.triggers.get(index));
        let zero = Quantity::from_integer(0);
        if object.scaling_modifiers().is_none()
            && definition.is_some_and(|definition| definition.metrics.iter().any(|metric| metric.target == zero))
        {
            problems.push(target_of_zero(trigger).under(&place));
        }
    }
    problems
}

/// KEDA's warnings at creation.
fn without_effect(message: &'static str) -> Problem {
    let field = if message.starts_with("PollingInterval") { "pollingInterval" } else { "cooldownPeriod" };
    let path = Path::root().key("spec").key(field);
    Problem::warning("without-effect", path, message).at_key()
}

fn ignored_by_formula(object: &ScaledObject) -> Vec<Problem> {
    let Some(modifiers) = object.scaling_modifiers() else { return Vec::new() };
    let names: BTreeSet<String> = admission::formula_names(object);
    let triggers = object.spec.triggers.iter().enumerate();
    let external = triggers.filter(|(_, trigger)| !matches!(trigger.r#type.as_str(), "cpu" | "memory"));
    let problem = |(index, trigger): (usize, &Trigger)| {
        let path = Path::root().key("spec").key("triggers").index(index);
        match trigger.name.as_deref().filter(|name| !name.is_empty()) {
            None => Some(
                Problem::warning("ignored-by-formula", path, "the formula cannot use this trigger, as it has no name")
                    .with_help(
                        "with scalingModifiers only the formula counts; give the trigger a name and use it there",
                    ),
            ),
            Some(name) if formula::ignores(modifiers.formula(), &names, name) => Some(Problem::warning(
                "ignored-by-formula",
                path.key("name"),
                format!("the formula does not use trigger {name:?}: it has no influence on the replicas"),
            )),
            Some(_) => None,
        }
    };
    external.filter_map(problem).collect()
}

/// Values in the manifest that belong into a Secret. The messages do not hold them.
fn secrets(trigger: &Trigger) -> Vec<Problem> {
    let Some(row) = registry::find(&trigger.r#type) else { return Vec::new() };
    let parameters = (row.parameters)();
    let metadata = Path::root().key("metadata");
    let is_plain = |(key, value): &(&String, &String)| {
        let value = value.trim();
        let parameter = parameters.iter().find(|parameter| parameter.names.contains(&key.as_str()));
        !value.is_empty() && (parameter.is_some_and(|one| is_secret(one, key)) || has_password(value))
    };
    let problem = |(key, _): (&String, &String)| {
        let parameter = parameters.iter().find(|parameter| parameter.names.contains(&key.as_str()));
        Problem::warning("plain-text-secret", metadata.key(key), format!("{key:?} stands here in plain text"))
            .with_help(elsewhere(parameter.copied(), key))
    };
    trigger.metadata.iter().filter(is_plain).map(problem).collect()
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
fn target_of_zero(trigger: &Trigger) -> Problem {
    let is_zero = |value: &str| value.trim().parse::<f64>().is_ok_and(|number| number == 0.0);
    let is_target = |key: &str| !key.to_lowercase().starts_with("activation");
    let key = trigger.metadata.iter().find(|(key, value)| is_zero(value) && is_target(key)).map(|(key, _)| key);
    let path = Path::root().key("metadata");
    let path = key.map_or(path.clone(), |key| path.key(key));
    Problem::warning("zero-threshold", path, "the target value is 0, which Kubernetes refuses in an HPA")
        .with_help("give the number that one replica is expected to handle")
}
