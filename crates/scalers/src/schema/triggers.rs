//! The parameters of all trigger types, in the shape of KEDA's schema of scalers.

use keda_core::metadata::{Parameter, Source};
use serde::Serialize;

use crate::registry::{CATALOGUE, TriggerType};

/// The branch of KEDA whose trigger types these are.
const KEDA_VERSION: &str = "main";
/// The version of the shape.
const SCHEMA_VERSION: &str = "1";

/// The whole schema.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Schema {
    keda_version: &'static str,
    schema_version: &'static str,
    scalers: Vec<TypeSchema>,
}

#[derive(Debug, Serialize)]
struct TypeSchema {
    #[serde(rename = "type")]
    name: &'static str,
    parameters: Vec<ParameterSchema>,
}

/// A key; an alias is a parameter of its own. What does not hold is left out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ParameterSchema {
    name: &'static str,
    /// How it is written, which is as a text for all of them.
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "is_false")]
    optional: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    allowed_value: &'static [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    exclusive_set: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    separator: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    range_separator: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deprecated: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deprecated_announce: Option<&'static str>,
    #[serde(skip_serializing_if = "is_false")]
    metadata_variable_readable: bool,
    #[serde(skip_serializing_if = "is_false")]
    env_variable_readable: bool,
    #[serde(skip_serializing_if = "is_false")]
    trigger_authentication_variable_readable: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// The schema of all types, in the order of their names.
pub fn triggers() -> Schema {
    let mut scalers: Vec<TypeSchema> = CATALOGUE.iter().map(TypeSchema::of).collect();
    scalers.sort_by_key(|schema| schema.name);
    Schema { keda_version: KEDA_VERSION, schema_version: SCHEMA_VERSION, scalers }
}

impl TypeSchema {
    fn of(row: &TriggerType) -> Self {
        let parameters = (row.parameters)();
        let keys = parameters.iter().flat_map(|parameter| parameter.names.iter().map(|name| (*name, *parameter)));
        TypeSchema {
            name: row.name,
            parameters: keys.map(|(name, parameter)| ParameterSchema::of(name, parameter)).collect(),
        }
    }
}

impl ParameterSchema {
    fn of(name: &'static str, parameter: &'static Parameter) -> Self {
        ParameterSchema {
            name,
            kind: "string",
            optional: parameter.optional,
            default: parameter.default,
            allowed_value: parameter.one_of,
            exclusive_set: parameter.exclusive,
            separator: parameter.separator,
            range_separator: parameter.range,
            deprecated: parameter.deprecated,
            deprecated_announce: parameter.announce,
            metadata_variable_readable: parameter.reads(Source::Trigger),
            env_variable_readable: parameter.reads(Source::Environment),
            trigger_authentication_variable_readable: parameter.reads(Source::Authentication),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_a_parameter_of_its_own_and_what_does_not_hold_is_left_out() {
        let schema = serde_json::to_value(triggers()).unwrap();
        let cron = schema["scalers"].as_array().unwrap().iter().find(|row| row["type"] == "cron").unwrap();
        let timezone = cron["parameters"].as_array().unwrap().iter().find(|row| row["name"] == "timezone").unwrap();
        let expected = serde_json::json!({ "name": "timezone", "type": "string", "metadataVariableReadable": true });
        assert_eq!(*timezone, expected);
    }
}
