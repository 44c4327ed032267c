//! TriggerAuthentications: the same in KEDA 2, but for two parameters and the identities of pods.

use serde_json::{Map, Value as Json};

use super::draft::{Draft, given};
use crate::manifest::Node;
use crate::problem::{Path, Problem};
use crate::rule;

const KAFKA_LOGIN: &str = "authMode is no parameter any more: kafka takes sasl and tls, here or in its metadata \
    (sasl_plaintext is sasl: plaintext with tls: enable, sasl_ssl_plain the same with unsafeSsl: \"true\", sasl_ssl is \
    tls: enable, sasl_scram_sha256 is sasl: scram_sha256, sasl_scram_sha512 is sasl: scram_sha512)";

const AZURE_IDENTITY: &str = "Azure AD pod identities are gone: azure-workload stands in their place, so give the \
    operator a workload identity, and name it in identityId";

const KIAM_IDENTITY: &str = "kiam is gone: aws stands in its place, so name the role in roleArn, or set identityOwner: \
    workload and let the service account of the workload name it";

/// Converts an object.
pub(super) fn convert(node: &Node, draft: &mut Draft) -> Json {
    let path = Path::root().key("spec");
    let Some(given_spec) = draft.required(node, &Path::root(), "spec") else { return Json::Null };
    // RabbitMQ had an address for each protocol; one name must do where there is one address.
    let is_host_taken = has_parameter(given_spec, "host");
    let mut spec = Map::new();
    for entry in draft.fields(given_spec, &path) {
        let (key, value) = (entry.key.as_str(), &entry.value);
        let place = path.key(key);
        let converted = match key {
            "podIdentity" => identity(value, &place, draft),
            "secretTargetRef" => parameters(value, &place, &["name", "key"], is_host_taken, draft),
            "env" => parameters(value, &place, &["name"], is_host_taken, draft),
            "hashiCorpVault" => vault(value, &place, is_host_taken, draft),
            _ => Some(draft.unknown(key, value, place)),
        };
        if let Some(converted) = converted {
            spec.insert(key.into(), converted);
        }
    }
    super::object(node, "TriggerAuthentication", &Json::Object(spec), draft)
}

/// Whether the object gives a parameter.
fn has_parameter(spec: &Node, name: &str) -> bool {
    let vault = spec.get("hashiCorpVault").and_then(|vault| vault.get("secrets"));
    let lists = [spec.get("secretTargetRef"), spec.get("env"), vault];
    lists.into_iter().flatten().flat_map(Node::items).any(|item| item.text_at(&["parameter"]) == Some(name))
}

/// Entries that give one parameter each, with the fields that they need.
fn parameters(node: &Node, path: &Path, needed: &[&str], is_host_taken: bool, draft: &mut Draft) -> Option<Json> {
    let mut list = Vec::new();
    for (index, item) in draft.items(node, path).iter().enumerate() {
        let place = path.index(index);
        for key in ["parameter"].iter().chain(needed) {
            draft.required_text(item, &place, key);
        }
        let mut converted = Map::new();
        for entry in draft.fields(item, &place) {
            let value = match (entry.key.as_str(), entry.value.as_str()) {
                ("parameter", Some(name)) => parameter(name, &place.key("parameter"), is_host_taken, draft).into(),
                _ => entry.value.to_json_without_nulls(),
            };
            converted.insert(entry.key.clone(), value);
        }
        list.push(Json::Object(converted));
    }
    Some(Json::Array(list))
}

/// What a parameter is called now.
fn parameter<'a>(name: &'a str, place: &Path, is_host_taken: bool, draft: &mut Draft) -> &'a str {
    match name {
        "apiHost" if is_host_taken => {
            let text = "rabbitmq takes one address, as host: give the triggers over HTTP a TriggerAuthentication of \
                their own, with this one as host";
            draft.demand(place.clone(), text);
            name
        }
        "apiHost" => {
            draft.note(place.clone(), "apiHost is host now");
            "host"
        }
        "authMode" => {
            draft.demand(place.clone(), KAFKA_LOGIN);
            name
        }
        other => other,
    }
}

fn vault(node: &Node, path: &Path, is_host_taken: bool, draft: &mut Draft) -> Option<Json> {
    let mut vault = Map::new();
    for entry in draft.fields(node, path) {
        let converted = match entry.key.as_str() {
            "secrets" => parameters(&entry.value, &path.key("secrets"), &["path", "key"], is_host_taken, draft)?,
            _ => entry.value.to_json_without_nulls(),
        };
        vault.insert(entry.key.clone(), converted);
    }
    // KEDA 1 asked the vault only where there was something to ask for.
    given(node, "secrets").is_some().then_some(Json::Object(vault))
}

fn identity(node: &Node, path: &Path, draft: &mut Draft) -> Option<Json> {
    let mut identity = Map::new();
    for entry in draft.fields(node, path) {
        let value = match entry.key.as_str() {
            "provider" => provider(&entry.value, path.key("provider"), draft)?.into(),
            other => draft.unknown(other, &entry.value, path.key(other)),
        };
        identity.insert(entry.key.clone(), value);
    }
    draft.required(node, path, "provider")?;
    Some(Json::Object(identity))
}

/// What a provider is called now; `None` for one that KEDA 1 took for none.
fn provider<'a>(node: &'a Node, path: Path, draft: &mut Draft) -> Option<&'a str> {
    match draft.text(node, &path)? {
        "" => None,
        provider @ ("none" | "gcp" | "aws-eks") => Some(provider),
        "azure" => {
            draft.demand(path, AZURE_IDENTITY);
            Some("azure-workload")
        }
        "aws-kiam" => {
            draft.demand(path, KIAM_IDENTITY);
            Some("aws")
        }
        other => {
            let problem = Problem::error(rule::NOT_ALLOWED_VALUE, path, format!("{other:?} is not allowed here"));
            draft.problems.push(problem.with_help("allowed are none, azure, gcp, aws-eks, aws-kiam"));
            None
        }
    }
}
