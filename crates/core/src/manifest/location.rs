//! From a path in a document to a file, line and column.

use super::node::{Node, Span, Value};
use crate::problem::{Path, Step, Target};

/// A text to load, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// How messages call it: a file name, or `standard input`.
    pub name: String,
    /// Its bytes.
    pub text: Vec<u8>,
}

impl Source {
    /// A source with a name.
    pub fn new(name: impl Into<String>, text: impl Into<Vec<u8>>) -> Self {
        Source { name: name.into(), text: text.into() }
    }
}

/// A place in a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// Index of the source among those that were loaded.
    pub source: usize,
    /// Offset of the first byte.
    pub start: usize,
    /// Offset of the byte after the last one.
    pub end: usize,
    /// Line of the first byte, counted from 1.
    pub line: usize,
    /// Column of the first byte in characters, counted from 1.
    pub column: usize,
}

/// A decoded source that knows its lines.
#[derive(Debug, Clone)]
pub struct Text {
    name: String,
    text: String,
    line_starts: Vec<usize>,
}

impl Text {
    /// Finds the lines of a text.
    pub fn new(name: impl Into<String>, text: String) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Text { name: name.into(), text, line_starts }
    }

    /// How messages call the source.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text; of a source that is not text, its readable beginning.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A line without its line break, counted from 1; empty beyond the end.
    pub fn line(&self, number: usize) -> &str {
        let start = number.checked_sub(1).and_then(|index| self.line_starts.get(index));
        start.and_then(|start| self.text.get(*start..)).and_then(|rest| rest.lines().next()).unwrap_or_default()
    }

    /// The place of a span; a span beyond the text is cut off.
    pub fn location(&self, source: usize, span: Span) -> Location {
        let start = self.floor(span.start);
        let end = self.floor(span.end.max(start));
        let line = self.line_starts.partition_point(|line_start| *line_start <= start).max(1);
        let line_start = self.line_starts.get(line - 1).copied().unwrap_or_default();
        let column = self.text.get(line_start..start).map_or(0, |text| text.chars().count()) + 1;
        Location { source, start, end: end.max(start), line, column }
    }

    fn floor(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

/// The span that a path stands for in a document.
///
/// A path that does not exist stands for its nearest existing parent. A list or mapping is pointed at by its key, since
/// a span over many lines helps nobody.
pub fn span_of(document: &Node, path: &Path, target: Target) -> Span {
    let mut node = document;
    let mut key = None;
    for step in &path.0 {
        match step {
            Step::Key(name) => match node.entry(name) {
                Some(entry) => (node, key) = (&entry.value, Some(entry.key_span)),
                None => return pointer(node, key),
            },
            Step::Index(index) => match node.items().get(*index) {
                Some(item) => (node, key) = (item, None),
                None => return pointer(node, key),
            },
        }
    }
    match (target, key) {
        (Target::Key, Some(key)) => key,
        _ => pointer(node, key),
    }
}

/// The most telling short span of a value.
fn pointer(node: &Node, key: Option<Span>) -> Span {
    match (&node.value, key) {
        (Value::Mapping(_) | Value::Sequence(_), Some(key)) => key,
        (Value::Mapping(entries), None) => entries.first().map_or(node.span, |entry| entry.key_span),
        (Value::Sequence(items), None) => items.first().map_or(node.span, |item| pointer(item, None)),
        // Nothing was written: the key is all there is to see.
        (Value::Null, Some(key)) if node.span.start == node.span.end => key,
        _ => node.span,
    }
}
