//! Loads sources: reads, takes lists apart, identifies, validates and types the documents.

use std::collections::HashMap;

use super::kind::{self, Kind};
use super::location::{Location, Source, Text, span_of};
use super::node::{Entry, Node, Span, Value};
use super::object::Object;
use super::place::Place;
use super::syntax::SyntaxError;
use super::{read, secret};
use crate::problem::{Path, Problem, Severity, Target, did_you_mean, did_you_mean_part};
use crate::rule;
use crate::schema;

/// One object of a source.
#[derive(Debug, Clone)]
pub struct Document {
    /// Where it comes from.
    pub origin: Origin,
    /// `apiVersion` as written.
    pub api_version: String,
    /// `kind` as written.
    pub kind: String,
    /// Which of the known kinds it is.
    pub known: Kind,
    /// The namespace, `default` when left out; none for cluster-scoped objects.
    pub namespace: Option<String>,
    /// `metadata.name`.
    pub name: String,
    /// What was written, with places.
    pub node: Node,
    /// What it means.
    pub object: Object,
}

impl Document {
    /// The namespace; empty for cluster-scoped objects.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }
}

/// Where a document comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// Index of the source.
    pub source: usize,
    /// Number of the object within the source, counted from 1.
    pub number: usize,
}

/// A problem with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub problem: Problem,
    /// Where.
    pub location: Location,
    /// The object concerned, as an index of the documents, if there is one.
    pub document: Option<usize>,
}

/// What was loaded.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The sources' texts, for excerpts.
    pub sources: Vec<Text>,
    /// The objects, in the order of the sources.
    pub documents: Vec<Document>,
    /// What is wrong, in the order of the sources.
    pub findings: Vec<Finding>,
}

/// Loads manifests. Every mistake becomes a finding; nothing here fails.
pub fn load(sources: &[Source]) -> Loaded {
    let mut loaded = Loaded::default();
    for (index, source) in sources.iter().enumerate() {
        loaded.add(index, source);
    }
    loaded.report_duplicates();
    loaded.findings.sort_by_key(|finding| (finding.location.source, finding.location.start));
    loaded
}

impl Loaded {
    /// Whether any finding is an error.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.problem.severity == Severity::Error)
    }

    /// The place that a path stands for in a document; its nearest existing parent if it does not exist.
    pub fn locate(&self, document: &Document, path: &Path, target: Target) -> Option<Location> {
        let source = document.origin.source;
        Some(self.sources.get(source)?.location(source, span_of(&document.node, path, target)))
    }

    /// A problem of a document (by its index), with its place.
    pub fn finding(&self, document: usize, problem: Problem) -> Option<Finding> {
        let location = self.locate(self.documents.get(document)?, &problem.path, problem.target)?;
        Some(Finding { problem, location, document: Some(document) })
    }

    /// Adds problems that were found later, for example by a trigger's own checks.
    pub fn report(&mut self, document: usize, problems: impl IntoIterator<Item = Problem>) {
        let findings: Vec<Finding> =
            problems.into_iter().filter_map(|problem| self.finding(document, problem)).collect();
        self.findings.extend(findings);
    }

    fn add(&mut self, index: usize, source: &Source) {
        let (text, error) = read::decode(&source.text);
        self.sources.push(Text::new(&source.name, text));
        let Some(text) = self.sources.last() else { return };
        if let Some(error) = error {
            let finding = syntax_finding(text, index, error);
            self.findings.push(finding);
            return;
        }
        let trees = read::read(text);
        let errors = trees.errors.into_iter().map(|error| syntax_finding(text, index, error));
        self.findings.extend(errors);
        let mut number = 0;
        for document in trees.documents {
            for (inherited, node) in flatten(document) {
                number += 1;
                self.add_document(Origin { source: index, number }, inherited, node);
            }
        }
    }

    fn add_document(&mut self, origin: Origin, inherited: Option<TypeMeta>, node: Node) {
        let inherited = inherited.unwrap_or_default();
        let field = |path: &[&str]| node.text_at(path).map(str::to_owned);
        let kind = field(&["kind"]).unwrap_or(inherited.kind);
        let api_version = field(&["apiVersion"]).unwrap_or(inherited.api_version);
        let namespace = (!kind::is_cluster_scoped(&kind)).then(|| {
            field(&["metadata", "namespace"]).filter(|text| !text.is_empty()).unwrap_or_else(|| "default".to_owned())
        });
        let known = Kind::of(kind::group_of(&api_version), &kind);
        let name = field(&["metadata", "name"]).unwrap_or_default();
        let mut document =
            Document { origin, api_version, kind, known, namespace, name, node, object: Object::Invalid };
        let mut problems = Vec::new();
        let duplicates = duplicate_keys(&document.node);
        check_identity(&document, &mut problems);
        check_schema(&document, &mut problems);
        if known == Kind::Secret {
            problems.extend(secret::check(&document.node));
        }
        match Object::typed(known, &document.node) {
            Ok(object) => document.object = object,
            Err(reason) => report_unreadable(&mut problems, &reason),
        }
        let index = self.documents.len();
        self.documents.push(document);
        self.report(index, problems);
        self.report_duplicate_keys(index, duplicates);
    }

    fn report_duplicate_keys(&mut self, document: usize, duplicates: Vec<(Path, Span, Span)>) {
        let Some(source) = self.documents.get(document).map(|document| document.origin.source) else { return };
        let Some(text) = self.sources.get(source) else { return };
        for (path, first, again) in duplicates.into_iter().take(100) {
            let line = text.location(source, first).line;
            let message = format!("the key is already given on line {line}");
            let problem = Problem::error(rule::DUPLICATE_KEY, path, message).at_key();
            let location = text.location(source, again);
            self.findings.push(Finding { problem, location, document: Some(document) });
        }
    }

    fn report_duplicates(&mut self) {
        let mut first: HashMap<(String, String, Option<String>, String), usize> = HashMap::new();
        let mut again = Vec::new();
        for (index, document) in self.documents.iter().enumerate() {
            if document.name.is_empty() || document.kind.is_empty() {
                continue;
            }
            let group = kind::group_of(&document.api_version).to_owned();
            let key = (group, document.kind.clone(), document.namespace.clone(), document.name.clone());
            match first.get(&key) {
                Some(original) => again.push((*original, index)),
                None => {
                    first.insert(key, index);
                }
            }
        }
        for (original, index) in again {
            if let Some(problem) = self.duplicate(original, index) {
                self.report(index, [problem]);
            }
        }
    }

    fn duplicate(&self, original: usize, index: usize) -> Option<Problem> {
        let (original, document) = (self.documents.get(original)?, self.documents.get(index)?);
        let path = Path::root().key("metadata").key("name");
        let place = self.locate(original, &path, Target::Value)?;
        let file = self.sources.get(place.source)?.name();
        let message = format!(
            "{} {:?} is already defined at {file}:{}:{}",
            document.kind, document.name, place.line, place.column
        );
        Some(Problem::error(rule::DUPLICATE_OBJECT, path, message).with_help("only one of them can exist in a cluster"))
    }
}

/// An object that cannot be read has an error: one that was found, a warning that now is one, or the reason.
fn report_unreadable(problems: &mut Vec<Problem>, reason: &str) {
    let is_error = |problem: &Problem| problem.severity == Severity::Error;
    if problems.iter().any(is_error) {
        return;
    }
    let cause = problems.iter_mut().filter(|problem| problem.rule != rule::UNKNOWN_FIELD);
    let promoted = cause.map(|problem| problem.severity = Severity::Error).count();
    if promoted == 0 {
        let message = format!("the object cannot be read: {reason}");
        problems.push(Problem::error(rule::WRONG_TYPE, Path::root(), message));
    }
}

fn syntax_finding(text: &Text, source: usize, error: SyntaxError) -> Finding {
    let problem =
        Problem { help: error.help.map(str::to_owned), ..Problem::error(error.rule, Path::root(), error.message) };
    Finding { problem, location: text.location(source, error.span), document: None }
}

/// `apiVersion` and `kind` that the items of a typed list inherit.
#[derive(Debug, Clone, Default)]
struct TypeMeta {
    api_version: String,
    kind: String,
}

/// Takes a `List`, or a typed list such as `DeploymentList`, apart; anything else stays whole.
fn flatten(mut document: Node) -> Vec<(Option<TypeMeta>, Node)> {
    let kind = document.text_at(&["kind"]).unwrap_or_default();
    let Some(item_kind) = kind.strip_suffix("List").map(str::to_owned) else {
        return vec![(None, document)];
    };
    let api_version = document.text_at(&["apiVersion"]).unwrap_or_default().to_owned();
    let Some(items) = take_items(&mut document) else {
        return vec![(None, document)];
    };
    let inherited = (!item_kind.is_empty()).then_some(TypeMeta { api_version, kind: item_kind });
    let inner = items.into_iter().filter(|item| item.value != Value::Null).flat_map(flatten);
    inner.map(|(own, node)| (own.or_else(|| inherited.clone()), node)).collect()
}

fn take_items(document: &mut Node) -> Option<Vec<Node>> {
    let Value::Mapping(entries) = &mut document.value else { return None };
    let items = entries.iter_mut().rev().find(|entry| entry.key == "items")?;
    match &mut items.value.value {
        Value::Sequence(items) => Some(std::mem::take(items)),
        _ => None,
    }
}

/// What an object needs before its kind matters.
fn check_identity(document: &Document, problems: &mut Vec<Problem>) {
    let node = &document.node;
    if !matches!(node.value, Value::Mapping(_)) {
        let message = format!("an object is expected here, found {}", node.describe());
        problems.push(Problem::error(rule::WRONG_TYPE, Path::root(), message));
        return;
    }
    for (field, value) in [("apiVersion", &document.api_version), ("kind", &document.kind)] {
        if value.is_empty() {
            problems.push(missing(node, &Path::root(), field));
        }
    }
    check_name(document, problems);
    check_group(document, problems);
}

fn check_name(document: &Document, problems: &mut Vec<Problem>) {
    let path = Path::root().key("metadata");
    match document.node.get("metadata") {
        None => problems.push(missing(&document.node, &Path::root(), "metadata")),
        Some(metadata) => match metadata.get("name") {
            Some(Node { value: Value::String(name), .. }) if !name.is_empty() => {
                problems.extend(malformed_name(document, name, "name", 253));
                problems.extend(
                    metadata
                        .text_at(&["namespace"])
                        .filter(|text| !text.is_empty())
                        .and_then(|namespace| malformed_name(document, namespace, "namespace", 63)),
                );
            }
            None if metadata.get("generateName").is_some() => {}
            None | Some(Node { value: Value::Null | Value::String(_), .. }) => {
                problems.push(missing(metadata, &path, "name"));
            }
            Some(name) => {
                let message = format!("expected a string, found {}", name.describe());
                let problem = Problem::error(rule::WRONG_TYPE, path.key("name"), message);
                problems.push(problem.with_help("put it in quotes"));
            }
        },
    }
}

/// A name that Kubernetes refuses; of the kinds that are known here, all have names of the same form.
fn malformed_name(document: &Document, name: &str, field: &str, longest: usize) -> Option<Problem> {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    let is_legal = name.len() <= longest
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'));
    if is_legal || document.known == Kind::Other {
        return None;
    }
    let message = format!("{field} must consist of lower case letters, digits, '-' or '.', at most {longest} of them");
    Some(Problem::error(rule::MALFORMED_NAME, Path::root().key("metadata").key(field), message))
}

/// KEDA's kinds under an API version that KEDA does not serve.
fn check_group(document: &Document, problems: &mut Vec<Problem>) {
    let path = Path::root().key("apiVersion");
    let written = document.api_version.as_str();
    let Some(expected) = Kind::keda_api_version(&document.kind) else {
        problems.extend(kind::is_keda_group(kind::group_of(written)).then(|| unknown_kind(document)));
        return;
    };
    if written.is_empty() || written == expected {
        return;
    }
    let message = if kind::group_of(written) == kind::KEDA_1_GROUP {
        Problem::error(rule::KEDA_1_MANIFEST, path, "this is a manifest of KEDA 1, which must be converted")
            .with_help("`keda convert -f FILE` writes it for keda.sh/v1alpha1")
    } else {
        Problem::error(rule::UNKNOWN_API_VERSION, path, format!("{} is not served as {written:?}", document.kind))
            .with_help(format!("use {expected}"))
    };
    problems.push(message);
}

fn unknown_kind(document: &Document) -> Problem {
    let message = format!("there is no kind {:?} in {}", document.kind, document.api_version);
    let problem = Problem::error(rule::UNKNOWN_KIND, Path::root().key("kind"), message);
    problem.with_suggestion(did_you_mean_part(&document.kind, Kind::keda_kinds()))
}

fn missing(node: &Node, path: &Path, field: &str) -> Problem {
    let problem = Problem::error(rule::MISSING_FIELD, path.key(field), format!("the field {field} is missing"));
    let keys = node.entries().iter().map(|entry| entry.key.as_str()).filter(|key| *key != "kind" && *key != "spec");
    match did_you_mean(field, keys) {
        Some(key) => problem.with_help(format!("'{key}' looks like it")),
        None => problem,
    }
}

/// Checks the document against the tables; what was already said about a place is not said again.
fn check_schema(document: &Document, problems: &mut Vec<Problem>) {
    if !matches!(document.node.value, Value::Mapping(_)) {
        return;
    }
    let found = match document.known {
        Kind::Other => return,
        kind if kind.is_keda() => schema::validate(kind.name(), &document.node),
        kind => schema::validate_leniently(kind.name(), &document.node),
    };
    for problem in found {
        if !problems.iter().any(|known| known.rule == problem.rule && known.path == problem.path) {
            problems.push(problem);
        }
    }
}

/// The keys that a mapping holds twice: path, place of the first and place of the other.
fn duplicate_keys(document: &Node) -> Vec<(Path, Span, Span)> {
    let mut found = Vec::new();
    collect_duplicates(document, &Place::Root, &mut found);
    found
}

fn collect_duplicates(node: &Node, place: &Place<'_>, found: &mut Vec<(Path, Span, Span)>) {
    match &node.value {
        Value::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                collect_duplicates(item, &place.index(index), found);
            }
        }
        Value::Mapping(entries) => {
            let mut seen: HashMap<&str, &Entry> = HashMap::with_capacity(entries.len());
            for entry in entries {
                let first = *seen.entry(&entry.key).or_insert(entry);
                if !std::ptr::eq(first, entry) {
                    found.push((place.key(&entry.key).path(), first.key_span, entry.key_span));
                }
                collect_duplicates(&entry.value, &place.key(&entry.key), found);
            }
        }
        _ => {}
    }
}
