//! How a path is written: its components, queries and lists.

use serde_json::Value;

/// One component of a path.
pub(super) struct Component {
    /// As written.
    pub(super) raw: String,
    /// With its escapes resolved.
    pub(super) key: String,
    pub(super) wildcard: bool,
}

#[derive(Clone, Copy)]
pub(super) struct Rest<'a> {
    pub(super) path: &'a str,
    /// After `|`, the rest is for the list as a whole, not for each of its elements.
    pub(super) piped: bool,
}

/// The first component, and the rest after `.` or `|`.
pub(super) fn split(path: &str) -> (Component, Option<Rest<'_>>) {
    let mut key = String::new();
    let mut wildcard = false;
    let mut depth = 0usize;
    let mut quoted = false;
    let mut characters = path.char_indices();
    let component = |end: usize, key: String, wildcard| {
        let raw = path.get(..end).unwrap_or_default().to_string();
        Component { key: if raw.starts_with("#(") { raw.clone() } else { key }, raw, wildcard }
    };
    while let Some((position, character)) = characters.next() {
        match character {
            '\\' => {
                if let Some((_, escaped)) = characters.next() {
                    key.push(escaped);
                }
            }
            '"' if depth > 0 => quoted = !quoted,
            '(' if !quoted && (depth > 0 || path.starts_with('#')) => depth += 1,
            ')' if !quoted && depth > 0 => depth -= 1,
            '.' | '|' if depth == 0 => {
                let rest = Rest { path: path.get(position + 1..).unwrap_or_default(), piped: character == '|' };
                return (component(position, key, wildcard), Some(rest));
            }
            '*' | '?' => {
                wildcard = true;
                key.push(character);
            }
            _ => key.push(character),
        }
    }
    (component(path.len(), key, wildcard), None)
}

/// What stands in the parentheses of `#(…)`.
pub(super) struct Query<'p> {
    pub(super) path: &'p str,
    /// Operator and operand; without them the path must lead somewhere.
    pub(super) condition: Option<(&'static str, &'p str)>,
}

impl<'p> Query<'p> {
    pub(super) fn parse(inner: &'p str) -> Self {
        const OPERATORS: &[&str] = &["==", "!=", "<=", ">=", "!%", "=", "<", ">", "%"];
        let mut depth = 0usize;
        for (position, character) in inner.char_indices() {
            match character {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ if depth == 0 => {
                    let here = inner.get(position..).unwrap_or_default();
                    if let Some(operator) = OPERATORS.iter().find(|operator| here.starts_with(**operator)) {
                        let path = inner.get(..position).unwrap_or_default().trim();
                        let operand = here.get(operator.len()..).unwrap_or_default().trim();
                        return Query { path, condition: Some((operator, operand)) };
                    }
                }
                _ => {}
            }
        }
        Query { path: inner.trim(), condition: None }
    }
}

pub(super) fn unquoted(operand: &str) -> &str {
    operand.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(operand)
}

pub(super) fn literal(path: &str) -> Option<Value> {
    serde_json::from_str(path.strip_prefix('!')?).ok()
}

/// The name of a part of `{…}` and its path: what is written before a colon, otherwise the last of its components.
pub(super) fn named(part: &str) -> (&str, &str) {
    match part.strip_prefix('"').and_then(|rest| rest.split_once("\":")) {
        Some((name, path)) => (name, path),
        None => (part.rsplit(['.', '|']).next().unwrap_or(part), part),
    }
}

pub(super) fn closing(path: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (position, byte) in path.bytes().enumerate() {
        match byte {
            b'[' | b'{' | b'(' => depth += 1,
            b']' | b'}' | b')' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(position);
                }
            }
            _ => {}
        }
    }
    None
}

pub(super) fn split_list(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0usize, 0);
    for (position, byte) in text.bytes().enumerate() {
        match byte {
            b'[' | b'{' | b'(' => depth += 1,
            b']' | b'}' | b')' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(text.get(start..position).unwrap_or_default());
                start = position + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}
