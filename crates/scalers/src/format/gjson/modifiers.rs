//! What modifiers such as `@reverse` make of a value.

use serde_json::Value;

/// `None` for a modifier that does not exist, or not for such a value.
pub(super) fn modify(value: &Value, name: &str, argument: &str) -> Option<Value> {
    Some(match (name, value) {
        ("reverse", Value::Array(elements)) => Value::Array(elements.iter().rev().cloned().collect()),
        ("reverse", Value::Object(map)) => {
            Value::Object(map.iter().rev().map(|(key, value)| (key.clone(), value.clone())).collect())
        }
        ("reverse" | "flatten" | "join", scalar) if !scalar.is_array() && !scalar.is_object() => scalar.clone(),
        ("flatten", Value::Array(elements)) => Value::Array(flatten(elements, argument.contains("\"deep\":true"))),
        ("join", Value::Array(elements)) => {
            let maps = elements.iter().filter_map(Value::as_object);
            Value::Object(maps.flat_map(|map| map.iter().map(|(k, v)| (k.clone(), v.clone()))).collect())
        }
        ("keys", Value::Object(map)) => Value::Array(map.keys().cloned().map(Value::String).collect()),
        ("keys", Value::Array(elements)) => Value::Array(vec![Value::Null; elements.len()]),
        ("values", Value::Object(map)) => Value::Array(map.values().cloned().collect()),
        ("values", Value::Array(elements)) => Value::Array(elements.clone()),
        ("keys" | "values", _) => Value::Array(Vec::new()),
        ("tostr", value) => Value::String(value.to_string()),
        ("fromstr", Value::String(text)) => serde_json::from_str(text).ok()?,
        ("group", Value::Object(map)) => group(map),
        _ => return None,
    })
}

fn flatten(elements: &[Value], deep: bool) -> Vec<Value> {
    elements
        .iter()
        .flat_map(|element| match element {
            Value::Array(inner) if deep => flatten(inner, true),
            Value::Array(inner) => inner.clone(),
            other => vec![other.clone()],
        })
        .collect()
}

/// `{"a":[1,2],"b":[3,4]}` becomes `[{"a":1,"b":3},{"a":2,"b":4}]`.
fn group(map: &serde_json::Map<String, Value>) -> Value {
    let mut rows: Vec<serde_json::Map<String, Value>> = Vec::new();
    for (key, value) in map {
        for (position, element) in value.as_array().into_iter().flatten().enumerate() {
            if rows.len() <= position {
                rows.push(serde_json::Map::new());
            }
            if let Some(row) = rows.get_mut(position) {
                row.insert(key.clone(), element.clone());
            }
        }
    }
    Value::Array(rows.into_iter().map(Value::Object).collect())
}
