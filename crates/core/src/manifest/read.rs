//! From the bytes of a source to the trees of its documents.

use super::location::Text;
use super::node::{Node, Span, Value};
use super::syntax::SyntaxError;
use super::{json, yaml};
use crate::rule;

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// What was read from one source.
#[derive(Debug)]
pub(super) struct Trees {
    /// The documents that are not empty.
    pub(super) documents: Vec<Node>,
    /// One error for each part of the source that could not be read.
    pub(super) errors: Vec<SyntaxError>,
}

/// Decodes a source; of a source that is not text only the readable beginning is kept.
pub(super) fn decode(bytes: &[u8]) -> (String, Option<SyntaxError>) {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let error =
            SyntaxError::at(0, "the text is encoded in UTF-16").under(rule::ENCODING).with_help("save it as UTF-8");
        return (String::new(), Some(error));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), control_character(text)),
        Err(error) => {
            let valid = error.valid_up_to();
            let text = String::from_utf8_lossy(bytes.get(..valid).unwrap_or_default()).into_owned();
            let byte = bytes.get(valid).copied().unwrap_or_default();
            let message = format!("this is not a text in UTF-8: byte {valid} is 0x{byte:02x}");
            (text, Some(SyntaxError::at(valid, message).under(rule::ENCODING)))
        }
    }
}

/// The first character that YAML and JSON forbid.
fn control_character(text: &str) -> Option<SyntaxError> {
    let at = text.bytes().position(|byte| (byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r')) || byte == 0x7f)?;
    let byte = text.as_bytes().get(at).copied().unwrap_or_default();
    let message = format!("the control character U+{byte:04X} is not allowed in a manifest");
    Some(SyntaxError::at(at, message).under(rule::ENCODING).with_help("is this a text file?"))
}

/// Reads all the documents of a source.
///
/// Documents are cut at `---` lines first, as Kubernetes does, so that a mistake in one does not hide the others.
pub(super) fn read(text: &Text) -> Trees {
    let mut trees = Trees { documents: Vec::new(), errors: Vec::new() };
    for (start, part) in parts(text.text()) {
        let (start, part) = match part.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) => (start + BYTE_ORDER_MARK.len(), rest),
            None => (start, part),
        };
        let first = trees.documents.len();
        if let Err(error) = read_part(part, &mut trees.documents) {
            trees.errors.push(SyntaxError { span: shift(error.span, start), ..error });
        }
        for document in trees.documents.iter_mut().skip(first) {
            move_by(document, start);
        }
    }
    trees.documents.retain(|document| document.value != Value::Null);
    trees
}

/// The parts of a text between `---` lines; a separator stays with the part it opens.
fn parts(text: &str) -> Vec<(usize, &str)> {
    let ends_marker = |after: usize| matches!(text.as_bytes().get(after), None | Some(b' ' | b'\t' | b'\r' | b'\n'));
    let mut parts = Vec::new();
    let mut start = 0;
    for (newline, marker) in text.match_indices("\n---") {
        if ends_marker(newline + marker.len()) {
            parts.push((start, text.get(start..=newline).unwrap_or_default()));
            start = newline + 1;
        }
    }
    parts.push((start, text.get(start..).unwrap_or_default()));
    parts.retain(|(_, part)| !is_empty(part));
    parts
}

/// Whether a part holds only comments, directives and blank lines.
fn is_empty(part: &str) -> bool {
    part.lines().all(|line| {
        let line = line.trim_start_matches(BYTE_ORDER_MARK);
        let content = line.strip_prefix("---").unwrap_or(line).trim_start();
        content.is_empty() || content.starts_with('#') || line.starts_with('%')
    })
}

fn read_part(part: &str, documents: &mut Vec<Node>) -> Result<(), SyntaxError> {
    let content = part.strip_prefix("---").unwrap_or(part).trim_start();
    if !content.starts_with(['{', '[']) {
        return yaml::read(part, documents);
    }
    let Err(json_error) = json::read(part, part.len() - content.len(), documents) else {
        return Ok(());
    };
    // A flow mapping such as `{kind: Pod}` is YAML without being JSON.
    let looks_like_json = content.get(1..).is_some_and(|rest| rest.trim_start().starts_with(['"', '{', '[']));
    let mut found = Vec::new();
    match yaml::read(part, &mut found) {
        Ok(()) => {
            documents.append(&mut found);
            Ok(())
        }
        Err(_) if looks_like_json => Err(json_error),
        Err(error) => Err(error),
    }
}

fn shift(span: Span, by: usize) -> Span {
    Span { start: span.start + by, end: span.end + by }
}

/// Moves all the places of a tree.
fn move_by(node: &mut Node, by: usize) {
    if by == 0 {
        return;
    }
    node.span = shift(node.span, by);
    match &mut node.value {
        Value::Sequence(items) => items.iter_mut().for_each(|item| move_by(item, by)),
        Value::Mapping(entries) => {
            for entry in entries {
                entry.key_span = shift(entry.key_span, by);
                move_by(&mut entry.value, by);
            }
        }
        _ => {}
    }
}
