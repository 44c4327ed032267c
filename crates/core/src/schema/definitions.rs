//! The structures of KEDA's kinds as definitions of a JSON Schema (draft-07), as editors read it.
//!
//! What a structure does not know is refused: the API server would drop it, and it is nearly always a slip.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::QUANTITY_PATTERN;
use super::crd::DEFINITIONS;
use super::table::{Field, ListType, Schema, Shape, Structure, tables};

/// The structure that an object's `metadata` has. It may hold more, as it belongs to Kubernetes.
const METADATA: &str = "ObjectMeta";

/// The kinds and all structures inside of them, by name and in the order of the names.
pub fn definitions() -> Map<String, Json> {
    let mut waiting: Vec<&str> = DEFINITIONS.iter().map(|definition| definition.kind).collect();
    waiting.push(METADATA);
    let mut definitions = BTreeMap::new();
    while let Some(name) = waiting.pop() {
        let Some(structure) = tables().get(name).filter(|_| !definitions.contains_key(name)) else { continue };
        structure.fields.iter().for_each(|field| waiting.extend(mentioned(&field.schema)));
        let mut map = structure_schema(structure, name == METADATA);
        if DEFINITIONS.iter().any(|definition| definition.kind == name) {
            complete_kind(&mut map);
        }
        definitions.insert(name.to_owned(), Json::Object(map));
    }
    definitions.into_iter().collect()
}

/// What stands in place of a definition.
pub fn reference(name: &str) -> Json {
    json!({ "$ref": format!("#/definitions/{name}") })
}

/// The structure that a value consists of.
fn mentioned(schema: &Schema) -> Option<&'static str> {
    match &schema.shape {
        Shape::Structure(name) => Some(name),
        Shape::List(inner) | Shape::Map(inner) => mentioned(inner),
        _ => None,
    }
}

/// Kubernetes itself asks for version and kind, and knows what the metadata are.
fn complete_kind(kind: &mut Map<String, Json>) {
    if let Some(Json::Object(fields)) = kind.get_mut("properties") {
        fields.insert("metadata".to_owned(), reference(METADATA));
    }
    if let Json::Array(required) = kind.entry("required").or_insert_with(|| json!([])) {
        required.extend([json!("apiVersion"), json!("kind")]);
    }
}

fn structure_schema(structure: &Structure, open: bool) -> Map<String, Json> {
    let mut map = Map::new();
    map.insert("type".to_owned(), json!("object"));
    describe(&mut map, structure.description);
    let fields = structure.fields.iter().map(|field| (field.name.to_owned(), Json::Object(field_schema(field))));
    map.insert("properties".to_owned(), fields.collect());
    // What has a default is filled in before the API server looks whether it is there.
    let required = structure.fields.iter().filter(|field| field.required && field.schema.default.is_none());
    let required: Vec<&str> = required.map(|field| field.name).collect();
    if !required.is_empty() {
        map.insert("required".to_owned(), json!(required));
    }
    if !open {
        map.insert("additionalProperties".to_owned(), json!(false));
    }
    map
}

fn field_schema(field: &Field) -> Map<String, Json> {
    let mut map = value_schema(&field.schema);
    describe(&mut map, field.description);
    if field.description.starts_with("Deprecated") {
        map.insert("deprecationMessage".to_owned(), json!(field.description));
    }
    map
}

fn describe(map: &mut Map<String, Json>, description: &str) {
    if !description.is_empty() {
        map.insert("description".to_owned(), json!(description));
    }
}

fn value_schema(schema: &Schema) -> Map<String, Json> {
    let mut map = match shape_schema(&schema.shape, schema.preserve_unknown_fields) {
        Json::Object(map) => map,
        _ => Map::new(),
    };
    let constraints = [
        ("minimum", schema.minimum.map(Json::from)),
        ("maximum", schema.maximum.map(Json::from)),
        ("minLength", schema.min_length.map(Json::from)),
        ("minItems", schema.min_items.map(Json::from)),
        ("uniqueItems", (schema.list_type == Some(ListType::Set)).then_some(Json::Bool(true))),
        ("enum", (!schema.one_of.is_empty()).then(|| json!(schema.one_of))),
        ("default", schema.default.clone()),
    ];
    map.extend(constraints.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    map
}

fn shape_schema(shape: &Shape, preserve_unknown_fields: bool) -> Json {
    match shape {
        Shape::String => json!({ "type": "string" }),
        // Go writes a time that is not set as null.
        Shape::DateTime => json!({ "type": ["string", "null"], "format": "date-time" }),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Int32 | Shape::Int64 => json!({ "type": "integer" }),
        Shape::IntOrString => json!({ "anyOf": [{ "type": "integer" }, { "type": "string" }] }),
        Shape::Quantity => {
            json!({ "anyOf": [{ "type": "integer" }, { "type": "string", "pattern": QUANTITY_PATTERN }] })
        }
        Shape::Object => json!({ "type": "object" }),
        Shape::List(items) => json!({ "type": "array", "items": value_schema(items) }),
        Shape::Map(values) => json!({ "type": "object", "additionalProperties": value_schema(values) }),
        Shape::Structure(name) => match tables().get(name).filter(|_| preserve_unknown_fields) {
            Some(structure) => Json::Object(structure_schema(structure, true)),
            None => reference(name),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_are_shared_and_closed() {
        let definitions = definitions();
        let spec = &definitions["ScaledObjectSpec"];
        assert_eq!(spec["properties"]["triggers"]["items"], json!({ "$ref": "#/definitions/Trigger" }));
        assert_eq!(spec["required"], json!(["scaleTargetRef", "triggers"]));
        assert_eq!(spec["additionalProperties"], false);
        assert_eq!(spec["properties"]["maxReplicaCount"]["minimum"], 1);
        assert!(definitions.contains_key("PodSpec") && !definitions.contains_key("DeploymentSpec"));
    }

    #[test]
    fn metadata_are_open() {
        let definitions = definitions();
        assert_eq!(definitions["ObjectMeta"].get("additionalProperties"), None);
        let template = &definitions["PodTemplateSpec"]["properties"]["metadata"];
        assert_eq!(template.get("additionalProperties"), None);
        assert_eq!(template["properties"]["labels"]["type"], "object");
    }

    #[test]
    fn only_keywords_of_json_schema_are_used_and_every_reference_leads_somewhere() {
        let definitions = definitions();
        let text = serde_json::to_string(&definitions).unwrap();
        assert!(!text.contains("x-kubernetes"));
        for reference in text.split("#/definitions/").skip(1) {
            let name = reference.split('"').next().unwrap_or_default();
            assert!(definitions.contains_key(name), "{name}");
        }
    }

    #[test]
    fn what_has_a_default_may_be_left_out() {
        assert_eq!(definitions()["OAuth2"]["required"], json!(["clientId", "tokenUrl"]));
    }
}
