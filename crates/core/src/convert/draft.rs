//! What is found while one object is converted: notes, mistakes, and fields read with their types.

use serde_json::Value as Json;

use crate::manifest::{Entry, Node, Value};
use crate::problem::{Path, Problem};
use crate::rule::{self, Rule};

/// The notes and mistakes of one object.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) remarks: Vec<Remark>,
    pub(super) problems: Vec<Problem>,
}

/// A note whose place in a file is not known yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Remark {
    pub(super) path: Path,
    pub(super) text: String,
    /// Whether the user has to do something.
    pub(super) is_to_do: bool,
}

impl Draft {
    /// Tells what has changed.
    pub(super) fn note(&mut self, path: Path, text: impl Into<String>) {
        self.remarks.push(Remark { path, text: text.into(), is_to_do: false });
    }

    /// Tells what the user has to do.
    pub(super) fn demand(&mut self, path: Path, text: impl Into<String>) {
        self.remarks.push(Remark { path, text: text.into(), is_to_do: true });
    }

    /// Tells of a mistake.
    pub(super) fn error(&mut self, rule: Rule, path: Path, message: impl Into<String>) {
        self.problems.push(Problem::error(rule, path, message));
    }

    /// The value of a key that must be there.
    pub(super) fn required<'a>(&mut self, node: &'a Node, path: &Path, key: &str) -> Option<&'a Node> {
        let found = given(node, key);
        // What is no mapping is told where it is read.
        if found.is_none() && matches!(node.value, Value::Mapping(_)) {
            self.error(rule::MISSING_FIELD, path.key(key), format!("the field {key} is missing"));
        }
        found
    }

    /// Tells of a value that is no mapping.
    pub(super) fn mapping(&mut self, node: &Node, path: &Path) {
        if !matches!(node.value, Value::Mapping(_)) {
            self.wrong_type("a mapping", node, path);
        }
    }

    /// The fields of a mapping.
    pub(super) fn fields<'a>(&mut self, node: &'a Node, path: &Path) -> impl Iterator<Item = &'a Entry> + use<'a> {
        self.mapping(node, path);
        node.entries().iter().filter(|entry| entry.value.value != Value::Null)
    }

    /// The elements of a list.
    pub(super) fn items<'a>(&mut self, node: &'a Node, path: &Path) -> &'a [Node] {
        if !matches!(node.value, Value::Sequence(_)) {
            self.wrong_type("a list", node, path);
        }
        node.items()
    }

    /// A text.
    pub(super) fn text<'a>(&mut self, node: &'a Node, path: &Path) -> Option<&'a str> {
        if node.as_str().is_none() {
            self.wrong_type("a string", node, path);
        }
        node.as_str()
    }

    /// A text that must be there and not be empty.
    pub(super) fn required_text<'a>(&mut self, node: &'a Node, path: &Path, key: &str) -> Option<&'a str> {
        let found = self.required(node, path, key)?;
        let text = self.text(found, &path.key(key));
        if text == Some("") {
            self.error(rule::TOO_SHORT, path.key(key), "the text must not be empty");
        }
        text
    }

    /// A whole number.
    pub(super) fn number(&mut self, node: &Node, path: &Path) -> Json {
        if !matches!(node.value, Value::Integer(_)) {
            self.wrong_type("a whole number", node, path);
        }
        node.to_json()
    }

    /// Keeps a field that KEDA 1 would have dropped.
    pub(super) fn unknown(&mut self, key: &str, node: &Node, path: Path) -> Json {
        self.demand(path, format!("KEDA 1 had no field {key}, and it is passed on: check whether it is meant"));
        node.to_json_without_nulls()
    }

    fn wrong_type(&mut self, expected: &str, node: &Node, path: &Path) {
        let message = format!("expected {expected}, found {}", node.describe());
        let problem = Problem::error(rule::WRONG_TYPE, path.clone(), message);
        let is_unquoted = matches!(node.value, Value::Bool(_) | Value::Integer(_) | Value::Float(_));
        self.problems.push(match expected {
            "a string" if is_unquoted => problem.with_help("put it in quotes"),
            _ => problem,
        });
    }
}

/// The value of a key; `null` is none.
pub(super) fn given<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    node.get(key).filter(|value| value.value != Value::Null)
}
