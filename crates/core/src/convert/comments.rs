//! Comments, which no object has: that they are lost is all that can be said.

use super::Note;
use crate::manifest::{Loaded, Node, Span, Value};
use crate::problem::Path;

/// A note for each source with a comment, at the first one.
pub(super) fn lost(loaded: &Loaded) -> Vec<Note> {
    let notes = loaded.sources.iter().enumerate().filter_map(|(source, text)| {
        let mut scalars = Vec::new();
        for document in loaded.documents.iter().filter(|document| document.origin.source == source) {
            collect(&document.node, &mut scalars);
        }
        scalars.sort_by_key(|span| (span.start, span.end));
        let start = first(text.text(), &scalars)?;
        let location = text.location(source, Span { start, end: start + 1 });
        let text = "comments are lost".to_string();
        Some(Note { location, path: Path::root(), text, is_to_do: false })
    });
    notes.collect()
}

/// The first `#` after a blank and outside of keys and values.
fn first(text: &str, scalars: &[Span]) -> Option<usize> {
    let places = text.match_indices('#').map(|(at, _)| at);
    let mut comments = places.filter(|at| {
        let follows_blank =
            text.get(..*at).is_none_or(|before| before.is_empty() || before.ends_with([' ', '\t', '\n']));
        // Scalars do not overlap, but aliases repeat them.
        let last = scalars.partition_point(|span| span.start <= *at).checked_sub(1);
        let is_inside = last.and_then(|last| scalars.get(last)).is_some_and(|span| *at < span.end);
        follows_blank && !is_inside
    });
    comments.next()
}

fn collect(node: &Node, scalars: &mut Vec<Span>) {
    match &node.value {
        Value::Sequence(items) => items.iter().for_each(|item| collect(item, scalars)),
        Value::Mapping(entries) => {
            for entry in entries {
                scalars.push(entry.key_span);
                collect(&entry.value, scalars);
            }
        }
        _ => scalars.push(node.span),
    }
}
