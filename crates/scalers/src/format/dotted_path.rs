//! Paths of names and positions with dots between them (`COMMON.md`, "value-by-path").

use serde_json::Value;

/// The scalar at `path`, whose first scalar ends it.
///
/// # Errors
/// That the document is no map, or that the path leads nowhere or to a collection.
pub fn walk<'v>(document: &'v Value, path: &str) -> Result<&'v Value, String> {
    if !document.is_object() {
        return Err("the document is not a map at its top".to_string());
    }
    let mut here = document;
    for name in path.split('.') {
        let next = match here {
            Value::Object(map) => map.get(name),
            Value::Array(elements) => name.parse::<usize>().ok().and_then(|position| elements.get(position)),
            scalar => return Ok(scalar),
        };
        here = next.ok_or_else(|| format!("key '{name}' not found in path '{path}'"))?;
    }
    match here {
        Value::Object(_) | Value::Array(_) => Err(format!("path '{path}' does not lead to a value")),
        scalar => Ok(scalar),
    }
}
