//! The JSON Schema (draft-07) of KEDA's manifests, as editors read it.
//!
//! It holds for every document of a file: one that is not KEDA's is accepted as it is. Beside the standard's keywords are
//! some of editors (`enumDescriptions`, `deprecationMessage`, `patternErrorMessage`, `doNotSuggest`), which others ignore.

use keda_core::schema::crd::{DEFINITIONS, VERSION};
use keda_core::schema::{definitions, reference};
use serde_json::{Map, Value as Json, json};

use super::metadata;
use crate::registry::{CATALOGUE, TriggerType};

/// The structures that are a trigger.
const TRIGGERS: [&str; 2] = ["ScaledJobTrigger", "Trigger"];
/// The definition that has the metadata of every trigger type.
const BY_TYPE: &str = "metadata";

/// The whole schema.
pub fn manifests() -> Json {
    let mut definitions = definitions();
    for name in TRIGGERS {
        if let Some(Json::Object(trigger)) = definitions.get_mut(name) {
            complete_trigger(trigger);
        }
    }
    definitions.extend(metadata_by_type());
    definitions.extend(metadata::kinds());
    let versions: Vec<String> = groups().map(version).collect();
    let kinds: Vec<&str> = DEFINITIONS.iter().map(|definition| definition.kind).collect();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "urn:keda:manifests",
        "title": "KEDA",
        "type": "object",
        "properties": { "apiVersion": suggestion(&json!(versions)), "kind": suggestion(&json!(kinds)) },
        "allOf": groups().map(group_rule).chain(kind_rules()).collect::<Vec<_>>(),
        "definitions": definitions,
    })
}

/// A text that may be any, and is most likely one of these.
fn suggestion(texts: &Json) -> Json {
    json!({ "anyOf": [{ "type": "string", "enum": texts }, { "type": "string" }] })
}

fn groups() -> impl Iterator<Item = &'static str> {
    let mut groups: Vec<&str> = DEFINITIONS.iter().map(|definition| definition.group).collect();
    groups.dedup();
    groups.into_iter()
}

fn version(group: &str) -> String {
    format!("{group}/{VERSION}")
}

/// What is of a group of KEDA's has a version and a kind that exist.
fn group_rule(group: &str) -> Json {
    let kinds = DEFINITIONS.iter().filter(|definition| definition.group == group);
    let kinds: Vec<&str> = kinds.map(|definition| definition.kind).collect();
    json!({
        "if": {
            "properties": { "apiVersion": { "type": "string", "pattern": format!("^{}/", regex::escape(group)) } },
            "required": ["apiVersion"],
        },
        "then": { "properties": { "apiVersion": { "const": version(group) }, "kind": { "enum": kinds } } },
    })
}

fn kind_rules() -> impl Iterator<Item = Json> {
    DEFINITIONS.iter().map(|definition| {
        let api_version = version(definition.group);
        json!({
            "if": {
                "properties": { "apiVersion": { "const": api_version }, "kind": { "const": definition.kind } },
                "required": ["kind"],
            },
            "then": reference(definition.kind),
        })
    })
}

fn complete_trigger(trigger: &mut Map<String, Json>) {
    trigger.insert("allOf".to_owned(), json!([reference(BY_TYPE)]));
    let Some(Json::Object(fields)) = trigger.get_mut("properties") else { return };
    let types = by_name();
    if let Some(Json::Object(name)) = fields.get_mut("type") {
        name.insert("enum".to_owned(), types.iter().map(|row| json!(row.name)).collect());
        name.insert("enumDescriptions".to_owned(), types.iter().map(|row| json!((row.summary)())).collect());
    }
    if let Some(Json::Object(metadata)) = fields.get_mut("metadata") {
        // The types say it, each for its own keys.
        metadata.remove("additionalProperties");
    }
    if let Some(Json::Object(metric_type)) = fields.get_mut("metricType") {
        metric_type.insert("enum".to_owned(), json!(["AverageValue", "Value", "Utilization"]));
    }
}

/// The types in the order of their names.
fn by_name() -> Vec<&'static TriggerType> {
    let mut types: Vec<&TriggerType> = CATALOGUE.iter().collect();
    types.sort_by_key(|row| row.name);
    types
}

/// A definition for the metadata of each type, shared by types that have the same, and one that chooses among them.
fn metadata_by_type() -> Vec<(String, Json)> {
    let mut definitions: Vec<(String, Json)> = Vec::new();
    let mut rules = Vec::new();
    for row in by_name() {
        let metadata = metadata::of(row);
        let same = definitions.iter().find(|(_, other)| *other == metadata).map(|(name, _)| name.clone());
        let name = same.unwrap_or_else(|| {
            let name = format!("metadata.{}", row.name);
            definitions.push((name.clone(), metadata));
            name
        });
        // The language server takes the beginning of a constant for the constant while it completes: `redis` would be
        // given the keys of `redis-streams`.
        let this_type = json!({ "type": "string", "pattern": format!("^{}$", row.name) });
        rules.push(json!({
            "if": { "properties": { "type": this_type }, "required": ["type"] },
            "then": { "properties": { "metadata": reference(&name) } },
        }));
    }
    let choice = json!({ "type": "object", "allOf": rules });
    std::iter::once((BY_TYPE.to_owned(), choice)).chain(definitions).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_is_told_by_its_type() {
        let schema = manifests();
        let types = schema["definitions"]["Trigger"]["properties"]["type"]["enum"].as_array().unwrap();
        assert_eq!(types.len(), CATALOGUE.len());
        let rules = schema["definitions"]["metadata"]["allOf"].as_array().unwrap();
        let rule = rules.iter().find(|rule| rule["if"]["properties"]["type"]["pattern"] == "^redis-sentinel$").unwrap();
        // All types of one struct share their keys.
        assert_eq!(rule["then"]["properties"]["metadata"]["$ref"], "#/definitions/metadata.redis");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let schema = manifests();
        let text = schema.to_string();
        for reference in text.split("#/definitions/").skip(1) {
            let name = reference.split('"').next().unwrap_or_default();
            assert!(schema["definitions"].get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_kind_is_told_by_its_group_and_name() {
        let schema = manifests();
        let rules = schema["allOf"].as_array().unwrap();
        assert_eq!(rules.len(), 2 + DEFINITIONS.len());
        assert_eq!(rules[1]["if"]["properties"]["apiVersion"]["pattern"], r"^eventing\.keda\.sh/");
        assert_eq!(rules[7]["then"]["$ref"], "#/definitions/ClusterCloudEventSource");
    }
}
