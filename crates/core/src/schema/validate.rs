//! Checks a document against its structure, as the API server would, and finds all the mistakes.

use std::collections::{HashMap, HashSet};

use super::homes;
use super::table::{ListType, Rule, Schema, Shape, Structure, Tables, tables};
use crate::manifest::{Entry, Node, Place, Value};
use crate::problem::{Path, Problem, Severity, did_you_mean, did_you_mean_part};
use crate::rule;

/// The structure that an object's `metadata` has, which CustomResourceDefinitions leave to Kubernetes.
const METADATA: Schema = Schema::of(Shape::Structure("ObjectMeta"));

/// Checks a document against the structure of its kind. An unknown structure accepts everything.
///
/// Unknown fields are warnings, since the API server drops them; everything else is an error.
pub fn validate(structure: &'static str, document: &Node) -> Vec<Problem> {
    let mut check =
        Check { tables: tables(), root: structure, problems: Vec::new(), dropped: 0, worst: Severity::Warning };
    if let Some(structure) = check.tables.get(structure) {
        check.structure(structure, document, &Place::Root, false);
    }
    check.finish()
}

/// The same for objects that are only looked at: of the errors only wrong types stay errors.
pub fn validate_leniently(structure: &'static str, document: &Node) -> Vec<Problem> {
    let mut problems = validate(structure, document);
    for problem in problems.iter_mut().filter(|problem| problem.rule != rule::WRONG_TYPE) {
        problem.severity = Severity::Warning;
    }
    problems
}

struct Check {
    tables: &'static Tables,
    /// The structure of the document.
    root: &'static str,
    problems: Vec<Problem>,
    /// How many problems were found beyond the limit, and how bad they are.
    dropped: usize,
    worst: Severity,
}

/// Problems of one document that are told one by one: nobody reads more, and a hostile text could hold millions.
const LIMIT: usize = 100;

impl Check {
    fn report(&mut self, problem: Problem) {
        if self.problems.len() < LIMIT {
            self.problems.push(problem);
        } else {
            self.dropped += 1;
            self.worst = self.worst.max(problem.severity);
        }
    }

    fn finish(mut self) -> Vec<Problem> {
        if self.dropped > 0 {
            let message = format!("{} further problems of this object are not shown", self.dropped);
            let problem = Problem::error(rule::TOO_MANY_PROBLEMS, Path::root(), message);
            self.problems.push(Problem { severity: self.worst, ..problem });
        }
        self.problems
    }

    fn structure(&mut self, structure: &Structure, node: &Node, place: &Place<'_>, preserve: bool) {
        let Value::Mapping(entries) = &node.value else {
            self.wrong_type("a mapping", node, place);
            return;
        };
        let mut unknown = Vec::new();
        for entry in last_of_each(entries) {
            match structure.field(&entry.key) {
                Some(_) if entry.value.value == Value::Null => {}
                Some(field) if place.is_root() && field.name == "metadata" => {
                    self.value(&METADATA, &entry.value, &place.key(&entry.key));
                }
                Some(field) => self.value(&field.schema, &entry.value, &place.key(&entry.key)),
                None => unknown.push(entry.key.as_str()),
            }
        }
        self.missing_fields(structure, node, place, &unknown);
        if !preserve {
            self.unknown_fields(structure, node, place, &unknown);
        }
        for rule in structure.rules.iter().filter(|rule| is_broken(rule, node)) {
            self.report(Problem::error(rule::INCORRECT_REPLICAS, place.key("minReplicaCount").path(), rule.message));
        }
    }

    fn missing_fields(&mut self, structure: &Structure, node: &Node, place: &Place<'_>, unknown: &[&str]) {
        let required = structure.fields.iter().filter(|field| field.required && field.schema.default.is_none());
        for field in required.filter(|field| is_absent(node, field.name)) {
            let message = match node.entry(field.name) {
                Some(_) => format!("the field {} is required and empty", field.name),
                None => format!("the field {} is missing", field.name),
            };
            let problem = Problem::error(rule::MISSING_FIELD, place.key(field.name).path(), message);
            let help = did_you_mean(field.name, unknown.iter().copied());
            self.report(match help {
                Some(key) => problem.with_help(format!("'{key}' looks like it")),
                None => problem,
            });
        }
    }

    fn unknown_fields(&mut self, structure: &Structure, node: &Node, place: &Place<'_>, unknown: &[&str]) {
        let absent: Vec<&str> =
            structure.fields.iter().map(|field| field.name).filter(|name| is_absent(node, name)).collect();
        for key in unknown {
            let problem =
                Problem::warning(rule::UNKNOWN_FIELD, place.key(key).path(), format!("the field {key} is unknown"));
            let home = || homes::of(self.root, key).filter(|home| *home != place.path().to_string());
            self.report(match did_you_mean(key, absent.iter().copied()).map(str::to_owned) {
                Some(name) => problem.at_key().with_help(format!("did you mean '{name}'?")),
                None => match (home(), did_you_mean_part(key, absent.iter().copied())) {
                    (Some(home), _) => problem.at_key().with_help(format!("it belongs below {home}")),
                    (None, Some(name)) => problem.at_key().with_help(format!("did you mean '{name}'?")),
                    (None, None) => problem.at_key(),
                },
            });
        }
    }

    fn value(&mut self, schema: &Schema, node: &Node, place: &Place<'_>) {
        match (&schema.shape, &node.value) {
            (Shape::Structure(name), _) => {
                if let Some(structure) = self.tables.get(name) {
                    self.structure(structure, node, place, schema.preserve_unknown_fields);
                }
            }
            (Shape::List(items), Value::Sequence(nodes)) => self.list(schema, items, nodes, place),
            (Shape::Map(values), Value::Mapping(entries)) => {
                for entry in last_of_each(entries).filter(|entry| entry.value.value != Value::Null) {
                    self.value(values, &entry.value, &place.key(&entry.key));
                }
            }
            (Shape::String, Value::String(text)) => self.text(schema, text, place),
            (Shape::DateTime, Value::String(text)) if text.parse::<jiff::Timestamp>().is_err() => {
                let message = format!("expected a time such as 2025-01-31T12:00:00Z, found {}", node.describe());
                self.report(Problem::error(rule::INVALID_TIME, place.path(), message));
            }
            (Shape::Quantity, Value::String(text)) if !is_quantity(text) => {
                let message = format!("expected a quantity such as 500m or 1Gi, found {}", node.describe());
                self.report(Problem::error(rule::INVALID_QUANTITY, place.path(), message));
            }
            (Shape::Int32 | Shape::Int64, Value::Integer(number)) => self.number(schema, *number, place),
            (Shape::IntOrString | Shape::Quantity, Value::Integer(_) | Value::String(_))
            | (Shape::DateTime, Value::String(_))
            | (Shape::Boolean, Value::Bool(_))
            | (Shape::Object, Value::Mapping(_)) => {}
            (shape, _) => self.wrong_type(expected(shape), node, place),
        }
    }

    fn list(&mut self, schema: &Schema, items: &Schema, nodes: &[Node], place: &Place<'_>) {
        if schema.min_items.is_some_and(|fewest| nodes.len() < fewest) {
            let message = "the list is empty and needs at least one element";
            self.report(Problem::error(rule::TOO_FEW_ITEMS, place.path(), message));
        }
        for (index, node) in nodes.iter().enumerate() {
            self.value(items, node, &place.index(index));
        }
        let keys: &[&str] = match &schema.list_type {
            Some(ListType::KeyedBy(keys)) => keys,
            Some(ListType::Set) => &[],
            _ => return,
        };
        let mut seen = HashSet::new();
        for (index, node) in nodes.iter().enumerate() {
            let identity = identity(self.tables, items, node, keys);
            if identity.as_ref().is_some_and(|identity| !seen.insert(identity.clone())) {
                let what = if keys.is_empty() { "value".to_owned() } else { keys.join(" and ") };
                let message = format!("an element with the same {what} is already in the list");
                self.report(Problem::error(rule::DUPLICATE_ITEM, place.index(index).path(), message));
            }
        }
    }

    fn text(&mut self, schema: &Schema, text: &str, place: &Place<'_>) {
        if schema.min_length.is_some_and(|fewest| text.chars().count() < fewest) {
            self.report(Problem::error(rule::TOO_SHORT, place.path(), "the text must not be empty"));
        }
        if !schema.one_of.is_empty() && !schema.one_of.contains(&text) {
            let allowed: Vec<String> = schema.one_of.iter().map(|value| format!("{value:?}")).collect();
            let problem =
                Problem::error(rule::NOT_ALLOWED_VALUE, place.path(), format!("{text:?} is not allowed here"));
            self.report(match did_you_mean(text, schema.one_of.iter().copied()) {
                Some(value) => problem.with_help(format!("did you mean '{value}'?")),
                None => problem.with_help(format!("allowed are {}", allowed.join(", "))),
            });
        }
    }

    fn number(&mut self, schema: &Schema, number: i64, place: &Place<'_>) {
        let (lowest, highest) = match schema.shape {
            Shape::Int32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
            _ => (i64::MIN, i64::MAX),
        };
        let lowest = schema.minimum.unwrap_or(lowest);
        let highest = schema.maximum.unwrap_or(highest);
        let message = if number < lowest {
            format!("must be at least {lowest}, found {number}")
        } else if number > highest {
            format!("must be at most {highest}, found {number}")
        } else {
            return;
        };
        self.report(Problem::error(rule::OUT_OF_RANGE, place.path(), message));
    }

    fn wrong_type(&mut self, expected: &str, node: &Node, place: &Place<'_>) {
        let message = format!("expected {expected}, found {}", node.describe());
        let problem = Problem::error(rule::WRONG_TYPE, place.path(), message);
        let help = match &node.value {
            Value::Bool(_) | Value::Integer(_) | Value::Float(_) if expected == "a string" => Some("put it in quotes"),
            Value::String(text) if expected == "an integer" && text.parse::<i64>().is_ok() => Some("remove the quotes"),
            Value::String(text) if expected == "a boolean" && text.parse::<bool>().is_ok() => Some("remove the quotes"),
            _ => None,
        };
        self.report(match help {
            Some(help) => problem.with_help(help),
            None => problem,
        });
    }
}

/// The entries that count: of a repeated key only the last one.
fn last_of_each(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    // Keys of large mappings, which are data, are told apart by hashing; structures are small.
    let mut last = HashMap::new();
    if entries.len() > SMALL {
        last.extend(entries.iter().enumerate().map(|(index, entry)| (entry.key.as_str(), index)));
    }
    let is_last = move |index: usize, entry: &Entry| match last.get(entry.key.as_str()) {
        Some(last) => *last == index,
        None => !entries.iter().skip(index + 1).any(|later| later.key == entry.key),
    };
    entries.iter().enumerate().filter(move |(index, entry)| is_last(*index, entry)).map(|(_, entry)| entry)
}

/// Entries up to which comparing each key with each other is faster than hashing.
const SMALL: usize = 24;

/// Whether a field is left out, or `null`, which the API server drops.
fn is_absent(node: &Node, field: &str) -> bool {
    node.get(field).is_none_or(|value| value.value == Value::Null)
}

fn expected(shape: &Shape) -> &'static str {
    match shape {
        Shape::String | Shape::DateTime => "a string",
        Shape::Boolean => "a boolean",
        Shape::Int32 | Shape::Int64 => "an integer",
        Shape::IntOrString | Shape::Quantity => "an integer or a string",
        Shape::Object | Shape::Map(_) | Shape::Structure(_) => "a mapping",
        Shape::List(_) => "a list",
    }
}

/// What tells a list's element from the others; `None` when part of it is missing.
fn identity(tables: &Tables, items: &Schema, node: &Node, keys: &[&str]) -> Option<Vec<String>> {
    if keys.is_empty() {
        return Some(vec![node.to_json().to_string()]);
    }
    let Shape::Structure(name) = items.shape else { return None };
    let structure = tables.get(name)?;
    let key = |key: &&str| match node.get(key) {
        Some(value) => Some(value.to_json().to_string()),
        None => structure.field(key)?.schema.default.as_ref().map(ToString::to_string),
    };
    keys.iter().map(key).collect()
}

/// Whether a document breaks a rule. The one rule of KEDA's kinds is written out; a test holds the two together.
fn is_broken(rule: &Rule, node: &Node) -> bool {
    let number = |field: &str| match node.get(field).map(|value| &value.value) {
        Some(Value::Integer(number)) => Some(*number),
        _ => None,
    };
    rule.expression == MIN_BELOW_MAX
        && number("minReplicaCount").is_some_and(|min| min > number("maxReplicaCount").unwrap_or(100))
}

const MIN_BELOW_MAX: &str = "!has(self.minReplicaCount) || self.minReplicaCount <= \
                             (has(self.maxReplicaCount) ? self.maxReplicaCount : 100)";

/// Whether a text matches [`super::QUANTITY_PATTERN`].
fn is_quantity(text: &str) -> bool {
    let Some(rest) = strip_decimal(text) else { return false };
    match rest.as_bytes() {
        [] | [b'n' | b'u' | b'm' | b'k' | b'M' | b'G' | b'T' | b'P' | b'E'] => true,
        [b'K' | b'M' | b'G' | b'T' | b'P' | b'E', b'i'] => true,
        [b'e' | b'E', ..] => rest.get(1..).and_then(strip_decimal) == Some(""),
        _ => false,
    }
}

/// What follows a signed decimal number.
fn strip_decimal(text: &str) -> Option<&str> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let whole = unsigned.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let Some(fraction) = whole.strip_prefix('.') else {
        return (whole.len() < unsigned.len()).then_some(whole);
    };
    let rest = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
    (whole.len() < unsigned.len() || rest.len() < fraction.len()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn found(kind: &'static str, object: &Json) -> Vec<String> {
        let problems = validate(kind, &Node::from_json(object));
        problems.iter().map(|problem| format!("{}: {problem}", problem.rule)).collect()
    }

    fn scaled_object(spec: &Json) -> Json {
        json!({ "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": { "name": "a" }, "spec": spec })
    }

    #[test]
    fn a_valid_object_has_no_problem() {
        let trigger = json!({ "type": "cron", "metadata": { "timezone": "UTC" } });
        let object = scaled_object(&json!({ "scaleTargetRef": { "name": "web" }, "triggers": [trigger] }));
        assert!(found("ScaledObject", &object).is_empty());
    }

    #[test]
    fn all_mistakes_are_found_at_once() {
        let object = scaled_object(&json!({
            "scaleTargetRf": { "name": "web" },
            "pollingInterval": "30",
            "cooldownPeriod": -1,
            "maxReplicaCount": 3_000_000_000_i64,
            "fallback": { "failureThreshold": 1, "replicas": 2.5, "behavior": "statik" },
            "triggers": [{ "type": "", "metadata": { "value": 5, "unset": null } }, 7],
        }));
        assert_eq!(
            found("ScaledObject", &object),
            [
                "wrong-type: spec.pollingInterval: expected an integer, found the string \"30\"",
                "out-of-range: spec.cooldownPeriod: must be at least 0, found -1",
                "out-of-range: spec.maxReplicaCount: must be at most 2147483647, found 3000000000",
                "wrong-type: spec.fallback.replicas: expected an integer, found the number 2.5",
                "not-allowed-value: spec.fallback.behavior: \"statik\" is not allowed here",
                "too-short: spec.triggers[0].type: the text must not be empty",
                "wrong-type: spec.triggers[0].metadata.value: expected a string, found the number 5",
                "wrong-type: spec.triggers[1]: expected a mapping, found the number 7",
                "missing-field: spec.scaleTargetRef: the field scaleTargetRef is missing",
                "unknown-field: spec.scaleTargetRf: the field scaleTargetRf is unknown",
            ]
        );
    }

    #[test]
    fn the_minimum_may_not_exceed_the_maximum() {
        let spec = json!({ "scaleTargetRef": { "name": "a" }, "triggers": [{ "type": "a", "metadata": {} }], "minReplicaCount": 101 });
        let message = "minReplicaCount must be less than or equal to maxReplicaCount";
        let expected = [format!("incorrect-replicas: spec.minReplicaCount: {message}")];
        assert_eq!(found("ScaledObject", &scaled_object(&spec)), expected);
    }

    #[test]
    fn every_rule_of_the_tables_is_known() {
        for rule in tables().structures().flat_map(|structure| &structure.rules) {
            assert_eq!(rule.expression, MIN_BELOW_MAX);
        }
    }

    #[test]
    fn quantities_are_recognised() {
        for text in ["1", "1.5", ".5", "5.", "+1Gi", "-500m", "1e3", "1E-3", "1k", "2E"] {
            assert!(is_quantity(text), "{text}");
        }
        for text in ["", "m", ".", "1 Gi", "1gi", "1K", "1e", "1.2.3", "--1"] {
            assert!(!is_quantity(text), "{text}");
        }
    }

    #[test]
    fn lists_with_keys_hold_each_key_once() {
        let pod = json!({ "containers": [
            { "name": "a", "ports": [{ "containerPort": 80 }, { "containerPort": 80, "protocol": "TCP" }] },
            { "name": "a" },
        ] });
        let problems = found("PodSpec", &pod);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("containers[0].ports[1]") && problems[1].contains("containers[1]"));
    }
}
