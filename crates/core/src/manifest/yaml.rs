//! Builds the tree of a YAML text from the scanner's events.
//!
//! The work is bounded: nesting has a limit, and so has what aliases may stand for.

use std::collections::{HashMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::node::{Entry, Node, Span, Value};
use super::offsets::Offsets;
use super::scalar;
use super::syntax::SyntaxError;
use crate::rule;

/// How deeply values may be nested.
pub(super) const MAX_DEPTH: usize = 200;

/// How much anchors and aliases may add to a text: values, and every 32 bytes of text.
const ALIAS_BUDGET: usize = 1_000_000;

/// Reads the documents of one text; those before a syntax error are kept in `documents`.
pub(super) fn read(text: &str, documents: &mut Vec<Node>) -> Result<(), SyntaxError> {
    let offsets = Offsets::new(text);
    let mut builder = Builder::new(documents);
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        match event {
            Ok((event, span)) => {
                let span = Span { start: offsets.byte(span.start.index()), end: offsets.byte(span.end.index()) };
                builder.event(event, span)?;
            }
            Err(error) => {
                let offset = offsets.byte(error.marker().index());
                return Err(SyntaxError::from_scanner(error.info(), text, offset));
            }
        }
    }
    Ok(())
}

/// A list or mapping whose end has not been read.
enum Frame {
    Sequence { start: usize, anchor: usize, items: Vec<Node> },
    Mapping { start: usize, anchor: usize, entries: Vec<Entry>, key: Option<Key>, merged: Vec<Node> },
}

/// A key whose value has not been read.
enum Key {
    Named(String, Span),
    Merge,
}

struct Builder<'a> {
    documents: &'a mut Vec<Node>,
    frames: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    budget: usize,
}

impl<'a> Builder<'a> {
    fn new(documents: &'a mut Vec<Node>) -> Self {
        Builder { documents, frames: Vec::new(), anchors: HashMap::new(), budget: ALIAS_BUDGET }
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), SyntaxError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => self.scalar(&text, style, anchor, tag.as_deref(), span),
            Event::SequenceStart(anchor, _) => {
                self.open(Frame::Sequence { start: span.start, anchor, items: Vec::new() }, span)
            }
            Event::MappingStart(anchor, _) => {
                let (entries, merged) = (Vec::new(), Vec::new());
                self.open(Frame::Mapping { start: span.start, anchor, entries, key: None, merged }, span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    return Err(SyntaxError::at(span.start, "this alias stands inside of what it stands for"));
                };
                let (node, cost) = (node.clone(), cost(node));
                self.spend(cost, span)?;
                self.push(node, span)
            }
            Event::DocumentEnd => {
                self.anchors.clear();
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<(), SyntaxError> {
        if let Some(Frame::Mapping { key: key @ None, .. }) = self.frames.last_mut()
            && anchor == 0
        {
            *key = Some(match (text, style) {
                ("<<", ScalarStyle::Plain) => Key::Merge,
                (_, ScalarStyle::Plain) => Key::Named(scalar::resolve_key(text), span),
                _ => Key::Named(text.to_owned(), span),
            });
            return Ok(());
        }
        let value = typed(text, style, tag, span)?;
        self.finish(Node { value, span }, anchor)
    }

    fn open(&mut self, frame: Frame, span: Span) -> Result<(), SyntaxError> {
        if matches!(self.frames.last(), Some(Frame::Mapping { key: None, .. })) {
            return Err(SyntaxError::at(span.start, "a key must be a plain text, not a list or a mapping"));
        }
        if self.frames.len() >= MAX_DEPTH {
            return Err(SyntaxError::at(
                span.start,
                format!("the values are nested more than {MAX_DEPTH} levels deep"),
            ));
        }
        self.frames.push(frame);
        Ok(())
    }

    fn close(&mut self, span: Span) -> Result<(), SyntaxError> {
        let (value, start, anchor, last) = match self.frames.pop() {
            Some(Frame::Sequence { start, anchor, items }) => {
                let last = items.last().map(|item| item.span.end);
                (Value::Sequence(items), start, anchor, last)
            }
            Some(Frame::Mapping { start, anchor, mut entries, merged, .. }) => {
                let last = entries.last().map(|entry| entry.value.span.end.max(entry.key_span.end));
                merge(&mut entries, merged);
                (Value::Mapping(entries), start, anchor, last)
            }
            None => return Ok(()),
        };
        // The end of a block is where the next thing starts; its last value is the better end.
        let end = if span.end > span.start { span.end } else { last.unwrap_or(span.end) };
        self.finish(Node { value, span: Span { start, end: end.max(start) } }, anchor)
    }

    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), SyntaxError> {
        if anchor > 0 {
            self.spend(cost(&node), node.span)?;
            self.anchors.insert(anchor, node.clone());
        }
        let span = node.span;
        self.push(node, span)
    }

    fn push(&mut self, node: Node, span: Span) -> Result<(), SyntaxError> {
        match self.frames.last_mut() {
            None => self.documents.push(node),
            Some(Frame::Sequence { items, .. }) => items.push(node),
            Some(Frame::Mapping { entries, key, merged, .. }) => match key.take() {
                Some(Key::Named(key, key_span)) => entries.push(Entry { key, key_span, value: node }),
                Some(Key::Merge) => sources(node, span, merged)?,
                None => match node.value {
                    Value::String(text) => *key = Some(Key::Named(text, span)),
                    _ => return Err(SyntaxError::at(span.start, "a key must be a plain text")),
                },
            },
        }
        Ok(())
    }

    fn spend(&mut self, cost: usize, span: Span) -> Result<(), SyntaxError> {
        self.budget = self.budget.checked_sub(cost).ok_or_else(|| {
            SyntaxError::at(span.start, "anchors and aliases stand for too much data").under(rule::ALIAS_LIMIT)
        })?;
        Ok(())
    }
}

/// The value of a scalar by its style and tag.
fn typed(text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Result<Value, SyntaxError> {
    let plain = match tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str()) {
        Some("str") => false,
        Some("binary") => {
            let packed: String = text.split_whitespace().collect();
            let decoded = STANDARD.decode(packed).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            return decoded
                .map(Value::String)
                .ok_or_else(|| SyntaxError::at(span.start, "!!binary data must be text in base64"));
        }
        Some("bool" | "int" | "float" | "null") => true,
        _ => style == ScalarStyle::Plain,
    };
    if !plain {
        return Ok(Value::String(text.to_owned()));
    }
    scalar::resolve(text).map_err(|scalar::NotFinite| {
        SyntaxError { span, ..SyntaxError::at(span.start, format!("the number {text} cannot be used in Kubernetes")) }
            .with_help("put it in quotes if text is meant")
    })
}

/// What a `<<` entry brings in: a mapping, or a list of mappings.
fn sources(node: Node, span: Span, merged: &mut Vec<Node>) -> Result<(), SyntaxError> {
    match node.value {
        Value::Mapping(_) => merged.push(node),
        Value::Sequence(items) if items.iter().all(|item| matches!(item.value, Value::Mapping(_))) => {
            merged.extend(items);
        }
        _ => return Err(SyntaxError::at(span.start, "'<<' can only merge mappings")),
    }
    Ok(())
}

/// Adds the merged entries whose keys are not there yet; the first source wins.
fn merge(entries: &mut Vec<Entry>, merged: Vec<Node>) {
    if merged.is_empty() {
        return;
    }
    let mut known: HashSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
    for source in merged {
        if let Value::Mapping(source) = source.value {
            entries.extend(source.into_iter().filter(|entry| known.insert(entry.key.clone())));
        }
    }
}

/// How much an aliased value weighs against the budget.
fn cost(node: &Node) -> usize {
    1 + match &node.value {
        Value::String(text) => text.len() / 32,
        Value::Sequence(items) => items.iter().map(cost).sum(),
        Value::Mapping(entries) => entries.iter().map(|entry| 1 + entry.key.len() / 32 + cost(&entry.value)).sum(),
        _ => 0,
    }
}
