//! What a TriggerAuthentication gives, against what there is and what its triggers read.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use keda_core::api::{AuthTargetRef, Trigger, TriggerAuthenticationSpec};
use keda_core::manifest::{Document, Loaded, Object};
use keda_core::metadata::Source;
use keda_core::problem::{Path, Problem, did_you_mean, did_you_mean_part};
use keda_core::resolve::Lookup;
use keda_core::rule;

use crate::registry;

/// Problems of all TriggerAuthentications, each with the index of its document.
pub(super) fn problems(loaded: &Loaded, lookup: &dyn Lookup) -> Vec<(usize, Problem)> {
    let (readers, given) = (readers(loaded), Given::of(loaded));
    let mut problems = Vec::new();
    for (index, document) in loaded.documents.iter().enumerate() {
        let (spec, namespace, home) = match &document.object {
            Object::TriggerAuthentication(object) => (&object.spec, document.namespace(), document.namespace()),
            Object::ClusterTriggerAuthentication(object) => (&object.spec, "", lookup.cluster_namespace()),
            _ => continue,
        };
        let types = readers.get(&(document.kind.as_str(), namespace, document.name.as_str()));
        let found = [missing(spec, home, &given, lookup), types.map(|types| unread(spec, types)).unwrap_or_default()];
        problems.extend(found.concat().into_iter().map(|problem| (index, problem)));
    }
    problems
}

/// Types that use a login only as far as `authModes` asks for it.
const WITH_MODES: [&str; 3] = ["loki", "metrics-api", "prometheus"];
/// Parameters of such logins.
const LOGIN: [&str; 7] = ["apiKey", "bearerToken", "ca", "cert", "customAuthValue", "password", "username"];

/// Triggers whose TriggerAuthentication gives a login that nothing asks for, each with the index of its document.
pub(super) fn unused(loaded: &Loaded, lookup: &dyn Lookup) -> Vec<(usize, Problem)> {
    let mut problems = Vec::new();
    for (index, document) in loaded.documents.iter().enumerate() {
        for (position, trigger) in triggers(document).iter().enumerate() {
            if is_unused(trigger, document.namespace(), lookup) {
                let place = Path::root().key("spec").key("triggers").index(position);
                let message = "the login of the TriggerAuthentication is not used without authModes";
                let problem = Problem::warning(rule::WITHOUT_EFFECT, place.key("authenticationRef"), message);
                problems.push((index, problem.with_help("say in authModes how to log in, such as basic or bearer")));
            }
        }
    }
    problems
}

fn is_unused(trigger: &Trigger, namespace: &str, lookup: &dyn Lookup) -> bool {
    let is_mode = |key: &str| key.starts_with("authMode");
    if !WITH_MODES.contains(&trigger.r#type.as_str()) || trigger.metadata.keys().any(|key| is_mode(key)) {
        return false;
    }
    let reference = trigger.authentication_ref.as_ref();
    let spec = reference.and_then(|reference| match reference.is_cluster() {
        true => lookup.cluster_trigger_authentication(&reference.name),
        false => lookup.trigger_authentication(namespace, &reference.name),
    });
    let Some(spec) = spec.filter(|spec| spec.pod_identity.is_none()) else { return false };
    let references = references(&spec).into_iter().flat_map(|(.., references)| references);
    let parameters =
        references.map(|one| one.parameter.as_str()).chain(spec.env.iter().map(|one| one.parameter.as_str()));
    let parameters: Vec<&str> = parameters.chain(spec.stored_parameters()).collect();
    parameters.iter().any(|one| LOGIN.contains(one)) && !parameters.iter().any(|one| is_mode(one))
}

/// The triggers of a ScaledObject or ScaledJob.
fn triggers(document: &Document) -> &[Trigger] {
    match &document.object {
        Object::ScaledObject(object) => &object.spec.triggers,
        Object::ScaledJob(object) => &object.spec.triggers,
        _ => &[],
    }
}

/// The types of the triggers that refer to each TriggerAuthentication, by its kind, namespace and name.
fn readers(loaded: &Loaded) -> BTreeMap<(&str, &str, &str), BTreeSet<&str>> {
    let mut readers: BTreeMap<(&str, &str, &str), BTreeSet<&str>> = BTreeMap::new();
    for document in &loaded.documents {
        for trigger in triggers(document) {
            let Some(reference) = &trigger.authentication_ref else { continue };
            let (kind, namespace) = match reference.is_cluster() {
                true => ("ClusterTriggerAuthentication", ""),
                false => ("TriggerAuthentication", document.namespace()),
            };
            readers.entry((kind, namespace, &reference.name)).or_default().insert(&trigger.r#type);
        }
    }
    readers
}

/// The lists of references, each with its field and the kind it refers to.
fn references(spec: &TriggerAuthenticationSpec) -> [(&'static str, &'static str, &[AuthTargetRef]); 2] {
    [
        ("secretTargetRef", "Secret", &spec.secret_target_ref),
        ("configMapTargetRef", "ConfigMap", &spec.config_map_target_ref),
    ]
}

/// References to Secrets and ConfigMaps, or keys of them, that are not there.
fn missing(spec: &TriggerAuthenticationSpec, home: &str, given: &Given<'_>, lookup: &dyn Lookup) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (field, kind, references) in references(spec) {
        for (index, reference) in references.iter().enumerate() {
            let place = Path::root().key("spec").key(field).index(index);
            let data = match kind {
                "Secret" => lookup.secret(home, &reference.name),
                _ => lookup.config_map(home, &reference.name),
            };
            // Where none is given at all they are kept elsewhere.
            let is_made = given.made.contains(&(home, reference.name.as_str()));
            let is_excused = data.is_none() && (is_made || given.names(kind, home).is_empty());
            if is_excused || lookup.is_broken(kind, home, &reference.name) {
                continue;
            }
            let (path, message, meant) = match &data {
                None => (
                    place.key("name"),
                    format!("there is no {kind} {:?} in namespace {home:?} among the manifests", reference.name),
                    did_you_mean(&reference.name, given.names(kind, home).iter().copied()),
                ),
                Some(data) if !data.contains_key(&reference.key) => (
                    place.key("key"),
                    format!("{kind} {:?} has no key {:?}", reference.name, reference.key),
                    did_you_mean_part(&reference.key, data.keys().map(String::as_str)),
                ),
                Some(_) => continue,
            };
            let problem = Problem::warning(rule::MISSING_AUTHENTICATION_VALUE, path, message);
            problems.push(problem.with_suggestion(meant));
        }
    }
    problems
}

/// The objects that a TriggerAuthentication may refer to.
#[derive(Default)]
struct Given<'a> {
    /// Their names, by kind and namespace.
    names: HashMap<(&'a str, &'a str), Vec<&'a str>>,
    /// Namespace and name of Secrets that a controller makes of another object.
    made: HashSet<(&'a str, &'a str)>,
}

impl<'a> Given<'a> {
    fn of(loaded: &'a Loaded) -> Self {
        let mut given = Given::default();
        for document in &loaded.documents {
            let (namespace, name) = (document.namespace(), document.name.as_str());
            let made = match document.kind.as_str() {
                kind @ ("Secret" | "ConfigMap") => {
                    given.names.entry((kind, namespace)).or_default().push(name);
                    continue;
                }
                "SealedSecret" => name,
                "ExternalSecret" => document.node.text_at(&["spec", "target", "name"]).unwrap_or(name),
                _ => continue,
            };
            given.made.insert((namespace, made));
        }
        given
    }

    fn names<'b>(&'b self, kind: &'b str, namespace: &'b str) -> &'b [&'b str] {
        self.names.get(&(kind, namespace)).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Parameters that none of the triggers knows.
fn unread(spec: &TriggerAuthenticationSpec, types: &BTreeSet<&str>) -> Vec<Problem> {
    let mut known = BTreeSet::new();
    for name in types {
        // What an unknown type reads nobody knows.
        let Some(row) = registry::find(name) else { return Vec::new() };
        let parameters = [(row.parameters)(), (row.unlisted)()].concat();
        let read = parameters.iter().filter(|parameter| parameter.reads(Source::Authentication));
        known.extend(read.flat_map(|parameter| parameter.names));
    }
    let variables = spec.env.iter().enumerate().map(|(index, one)| ("env", index, &one.parameter));
    let references = references(spec).into_iter().flat_map(|(field, _, references)| {
        references.iter().enumerate().map(move |(index, one)| (field, index, &one.parameter))
    });
    let triggers: Vec<&str> = types.iter().copied().collect();
    let given: Vec<(&str, usize, &String)> = variables.chain(references).collect();
    let is_given = |name: &str| given.iter().any(|(.., parameter)| *parameter == name);
    // Others may refer to it and read more; only what looks misspelt is told.
    let problem = |(field, index, parameter): &(&str, usize, &String)| {
        let meant = did_you_mean_part(parameter, known.iter().copied()).filter(|meant| !is_given(meant))?;
        let path = Path::root().key("spec").key(*field).index(*index).key("parameter");
        let message = format!("a {} trigger reads no parameter {parameter:?}", triggers.join(" or "));
        Some(Problem::warning(rule::UNREAD_PARAMETER, path, message).with_help(format!("did you mean {meant:?}?")))
    };
    given.iter().filter(|(.., parameter)| !known.contains(parameter.as_str())).filter_map(problem).collect()
}
