//! The metadata of one trigger type as a JSON Schema. All values are texts: the API server takes nothing else.

use keda_core::metadata::{Kind, Parameter, Source};
use keda_core::schema::reference;
use serde_json::{Map, Value as Json, json};

use crate::registry::TriggerType;

/// Ends the key that names a variable in place of giving the value.
const FROM_ENV: &str = "FromEnv";

/// Texts that a parameter must look like, and what to say of others. Blanks around do not count, and a blank text is none.
const KINDS: [(Kind, &str, &str, &str); 4] = [
    (
        Kind::Boolean,
        "boolean",
        r"^\s*(1|t|T|TRUE|true|True|0|f|F|FALSE|false|False)?\s*$",
        r#"Expected "true" or "false"."#,
    ),
    (Kind::Integer, "integer", r"^\s*(-?(0|[1-9][0-9]*)|null)?\s*$", r#"Expected an integer such as "5"."#),
    (
        Kind::Number,
        "number",
        r"^\s*(-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?|null)?\s*$",
        r#"Expected a number such as "5" or "0.5"."#,
    ),
    (
        Kind::Duration,
        "duration",
        r"^\s*([+-]?[0-9]+|[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)?\s*$",
        r#"Expected a duration such as "30s", "1m30s" or "500ms"."#,
    ),
];

/// The definitions that those of the types refer to.
pub(super) fn kinds() -> impl Iterator<Item = (String, Json)> {
    KINDS.into_iter().map(|(kind, name, pattern, message)| {
        let mut schema = json!({ "type": "string", "pattern": pattern, "patternErrorMessage": message });
        if kind == Kind::Boolean {
            schema["examples"] = json!(["true", "false"]);
        }
        (name.to_owned(), schema)
    })
}

/// The metadata of a type.
pub(super) fn of(row: &TriggerType) -> Json {
    let mut keys = Keys::default();
    for parameter in (row.parameters)().into_iter().chain((row.unlisted)()) {
        keys.add(parameter);
    }
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("description".to_owned(), json!((row.summary)()));
    schema.insert("properties".to_owned(), Json::Object(keys.properties));
    if !keys.patterns.is_empty() {
        schema.insert("patternProperties".to_owned(), Json::Object(keys.patterns));
    }
    schema.insert("additionalProperties".to_owned(), keys.others);
    if !keys.required.is_empty() {
        schema.insert("required".to_owned(), json!(keys.required));
    }
    if !keys.alternatives.is_empty() {
        schema.insert("allOf".to_owned(), Json::Array(keys.alternatives));
    }
    Json::Object(schema)
}

/// What a type's metadata may hold and must hold.
#[derive(Debug)]
struct Keys {
    properties: Map<String, Json>,
    /// Keys with a star in their names.
    patterns: Map<String, Json>,
    /// What keys may hold that no parameter has.
    others: Json,
    required: Vec<String>,
    /// Sets of keys of which one must be there.
    alternatives: Vec<Json>,
}

impl Default for Keys {
    fn default() -> Self {
        let (properties, patterns) = (Map::new(), Map::new());
        Keys { properties, patterns, others: json!(false), required: Vec::new(), alternatives: Vec::new() }
    }
}

impl Keys {
    fn add(&mut self, parameter: &Parameter) {
        let mut keys = Vec::new();
        for name in parameter.names {
            if parameter.reads(Source::Trigger) {
                keys.push((*name).to_owned());
                self.describe(name, value_schema(parameter, name));
            }
            if parameter.reads(Source::Environment) && parameter.deprecated.is_none() {
                keys.push(format!("{name}{FROM_ENV}"));
                let description = format!("A variable of the target's container. {}", parameter.doc);
                self.describe(&format!("{name}{FROM_ENV}"), json!({ "type": "string", "description": description }));
            }
        }
        if parameter.required() && !parameter.reads(Source::Authentication) {
            self.require(keys);
        }
    }

    /// A key that two parameters have is the first one's.
    fn describe(&mut self, name: &str, schema: Json) {
        match name.split_once('*') {
            None => _ = self.properties.entry(name).or_insert(schema),
            Some(("", "")) => self.others = schema,
            Some((start, end)) => {
                let pattern = format!("^{}.*{}$", regex::escape(start), regex::escape(end));
                self.patterns.insert(pattern, schema);
            }
        }
    }

    fn require(&mut self, keys: Vec<String>) {
        if keys.len() == 1 {
            self.required.extend(keys);
        } else {
            let choices: Vec<Json> = keys.iter().map(|key| json!({ "required": [key] })).collect();
            self.alternatives.push(json!({ "anyOf": choices }));
        }
    }
}

/// What the value of a key may be.
fn value_schema(parameter: &Parameter, name: &str) -> Json {
    let description = description(parameter, name);
    if let Some(message) = parameter.deprecated {
        return json!({
            "type": "string",
            "description": description,
            "pattern": r"^\s*$",
            "patternErrorMessage": message,
            "doNotSuggest": true,
        });
    }
    let is_list = parameter.kind == Kind::List || parameter.separator.is_some();
    // Beside a reference only words about a key are read: nothing that is to be said of its use.
    let is_plain = parameter.one_of.is_empty() && parameter.announce.is_none();
    let mut schema = match KINDS.iter().find(|(kind, ..)| *kind == parameter.kind && is_plain) {
        Some((_, definition, ..)) => reference(definition),
        None => json!({ "type": "string" }),
    };
    let mut set = |key: &str, value: Option<Json>| {
        if let (Some(value), Some(schema)) = (value, schema.as_object_mut()) {
            schema.insert(key.to_owned(), value);
        }
    };
    set("description", Some(json!(description)));
    set("deprecationMessage", parameter.announce.map(Json::from));
    set("default", parameter.default.filter(|text| !text.is_empty()).map(Json::from));
    let words = (!parameter.one_of.is_empty()).then(|| json!(parameter.one_of));
    // A list may hold several of the words.
    set(if is_list { "examples" } else { "enum" }, words);
    schema
}

/// What a key is for, what counts without it, and where else its value may be.
fn description(parameter: &Parameter, name: &str) -> String {
    let mut text = match parameter.name() {
        first if first == name => parameter.doc.to_owned(),
        first => format!("The same as `{first}`. {}", parameter.doc),
    };
    if parameter.kind == Kind::List && !parameter.one_of.is_empty() {
        text += &format!(" Any of: {}.", parameter.one_of.join(", "));
    }
    if let Some(default) = parameter.default.filter(|default| !default.is_empty()) {
        text += &format!(" Default: `{default}`.");
    }
    let environment = format!("`{name}{FROM_ENV}`");
    match (parameter.reads(Source::Environment), parameter.reads(Source::Authentication)) {
        (true, true) => text += &format!(" Also from {environment} or a TriggerAuthentication."),
        (true, false) => text += &format!(" Also from {environment}."),
        (false, true) => text += " Also from a TriggerAuthentication.",
        (false, false) => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::find;

    fn schema(name: &str) -> Json {
        of(find(name).unwrap())
    }

    #[test]
    fn a_key_says_what_it_is_and_where_else_its_value_may_be() {
        let redis = schema("redis");
        let keys = &redis["properties"];
        assert_eq!(keys["listLength"]["$ref"], "#/definitions/integer");
        assert_eq!(keys["listLength"]["default"], "5");
        assert_eq!(keys["addressFromEnv"]["type"], "string");
        let text = keys["address"]["description"].as_str().unwrap();
        assert!(text.ends_with("Also from `addressFromEnv` or a TriggerAuthentication."), "{text}");
        assert_eq!(redis["required"], json!(["listName"]));
        assert_eq!(redis["additionalProperties"], false);
    }

    #[test]
    fn what_only_a_trigger_authentication_gives_is_no_key() {
        let redis = schema("kafka");
        assert_eq!(redis["properties"].get("password"), None);
    }

    #[test]
    fn one_of_several_keys_is_asked_for() {
        let kafka = schema("kafka");
        let servers = json!({ "anyOf": [
            { "required": ["bootstrapServers"] },
            { "required": ["bootstrapServersFromEnv"] },
        ] });
        assert!(kafka["allOf"].as_array().unwrap().contains(&servers), "{}", kafka["allOf"]);
        assert_eq!(kafka.get("required"), None);
    }

    #[test]
    fn words_are_an_enum_but_in_lists() {
        assert_eq!(schema("kafka")["properties"]["offsetResetPolicy"]["enum"], json!(["latest", "earliest"]));
        let modes = &schema("prometheus")["properties"]["authModes"];
        assert_eq!(modes.get("enum"), None);
        assert!(modes["examples"].as_array().unwrap().contains(&json!("basic")));
    }

    #[test]
    fn keys_that_no_table_has_are_known() {
        let queue = schema("aws-sqs-queue");
        let keys = &queue["properties"];
        assert!(keys.get("awsAccessKeyID").is_some() && keys.get("awsSecretAccessKeyFromEnv").is_some());
        assert_eq!(keys.get("awsSecretAccessKey"), None);
        assert_eq!(schema("external")["additionalProperties"]["type"], "string");
        assert_eq!(schema("sumologic")["patternProperties"][r"^query\..*$"]["type"], "string");
    }

    #[test]
    fn what_may_not_be_used_is_not_suggested() {
        let cpu = schema("cpu");
        assert_eq!(cpu["properties"]["type"]["doNotSuggest"], true);
        assert_eq!(schema("datadog")["properties"]["type"].get("pattern"), None);
        assert!(schema("datadog")["properties"]["type"]["deprecationMessage"].is_string());
    }

    #[test]
    fn kinds_take_what_the_reader_takes() {
        let matches = |name: &str, text: &str| {
            let pattern = KINDS.iter().find(|(_, other, ..)| *other == name).map(|(_, _, pattern, _)| *pattern);
            regex::Regex::new(pattern.unwrap()).unwrap().is_match(text)
        };
        for (name, good, bad) in [
            ("boolean", ["true", "F", " 1 ", ""], ["yes", "on", "tRUE", "2"]),
            ("integer", ["5", "-5", "0", " 12 "], ["5.0", "05", "1e3", "5m"]),
            ("number", ["0.5", "-1e3", "7", ""], [".5", "5.", "NaN", "0,5"]),
            ("duration", ["30s", "1m30s", "1.5h", "500"], ["30 s", "1 day", "s", "1d"]),
        ] {
            good.iter().for_each(|text| assert!(matches(name, text), "{name}: {text:?}"));
            bad.iter().for_each(|text| assert!(!matches(name, text), "{name}: {text:?}"));
        }
    }
}
