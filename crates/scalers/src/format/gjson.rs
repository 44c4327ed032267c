//! Paths into JSON, in the language of Go's gjson, which KEDA's users write (`a.b`, `#`, `#(x>1)#.y`, `@reverse`).
//!
//! The port of gjson to Rust has not been kept and answers other values for modifiers, literals, `{…}` queries and
//! numbers written with an exponent.

use serde_json::Value;

/// The value at a path; `None` where there is nothing.
pub fn get(root: &Value, path: &str) -> Option<Value> {
    let (head, rest) = match path.chars().next()? {
        '@' => return modifier(root, path),
        '!' => return literal(path),
        '[' | '{' => return multipath(root, path),
        _ => split(path),
    };
    let all = head.raw.starts_with("#(") && head.raw.ends_with('#') && rest.is_some_and(|rest| !rest.piped);
    let next = match head.raw.as_str() {
        "#" => array_hash(root, rest),
        // What follows a query for all is for each that fits.
        _ if all => array_hash(&step(root, &head)?, rest),
        _ => step(root, &head).map(Found::One),
    };
    match (next?, rest) {
        (Found::Done(value), _) => Some(value),
        (Found::One(value), None) => Some(value),
        (Found::One(value), Some(rest)) => get(&value, rest.path),
    }
}

enum Found {
    /// To be descended into.
    One(Value),
    /// The rest of the path was used up.
    Done(Value),
}

/// One component of a path.
struct Component {
    /// As written.
    raw: String,
    /// With its escapes resolved.
    key: String,
    wildcard: bool,
}

#[derive(Clone, Copy)]
struct Rest<'a> {
    path: &'a str,
    /// After `|`, the rest is for the list as a whole, not for each of its elements.
    piped: bool,
}

/// The first component, and the rest after `.` or `|`.
fn split(path: &str) -> (Component, Option<Rest<'_>>) {
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

fn step(value: &Value, component: &Component) -> Option<Value> {
    if component.raw.starts_with("#(") {
        return query(value, &component.raw);
    }
    match value {
        Value::Object(map) if component.wildcard => {
            map.iter().find(|(key, _)| matches(key, &component.key)).map(|(_, value)| value.clone())
        }
        Value::Object(map) => map.get(&component.key).cloned(),
        Value::Array(elements) => elements.get(component.key.parse::<usize>().ok()?).cloned(),
        _ => None,
    }
}

/// `#` alone counts; `#.x` collects `x` of each element.
fn array_hash(value: &Value, rest: Option<Rest<'_>>) -> Option<Found> {
    let Value::Array(elements) = value else {
        return rest.is_none().then(|| Found::Done(Value::from(0)));
    };
    match rest {
        None => Some(Found::Done(Value::from(elements.len()))),
        Some(Rest { path, piped: true }) => Some(Found::Done(get(&Value::from(elements.len()), path)?)),
        Some(Rest { path, piped: false }) => {
            // A pipe in the rest ends what is done for each element.
            let (each, whole) = split_at_pipe(path);
            let collected = Value::Array(elements.iter().filter_map(|element| get(element, each)).collect());
            match whole {
                Some(whole) => get(&collected, whole).map(Found::Done),
                None => Some(Found::Done(collected)),
            }
        }
    }
}

fn split_at_pipe(path: &str) -> (&str, Option<&str>) {
    match path.split_once('|') {
        Some((each, whole)) => (each, Some(whole)),
        None => (path, None),
    }
}

/// `#(query)` is the first element that fits, `#(query)#` the list of all.
fn query(value: &Value, raw: &str) -> Option<Value> {
    let Value::Array(elements) = value else { return None };
    let (inner, all) = match raw.strip_suffix('#') {
        Some(inner) => (inner, true),
        None => (raw, false),
    };
    let inner = inner.strip_prefix("#(")?.strip_suffix(')')?;
    let (path, operator, operand) = parse_query(inner);
    let fits = |element: &&Value| {
        let found = if path.is_empty() { Some((*element).clone()) } else { get(element, path) };
        match (found, operator) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(found), Some(operator)) => compare(&found, operator, operand),
        }
    };
    if all {
        return Some(Value::Array(elements.iter().filter(fits).cloned().collect()));
    }
    elements.iter().find(fits).cloned()
}

fn parse_query(inner: &str) -> (&str, Option<&'static str>, &str) {
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
                    return (path, Some(operator), here.get(operator.len()..).unwrap_or_default().trim());
                }
            }
            _ => {}
        }
    }
    (inner.trim(), None, "")
}

fn compare(value: &Value, operator: &str, operand: &str) -> bool {
    let text = operand.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match value {
        Value::String(string) => {
            let operand = text.unwrap_or(operand);
            match operator {
                "=" | "==" => string == operand,
                "!=" => string != operand,
                "<" => string.as_str() < operand,
                "<=" => string.as_str() <= operand,
                ">" => string.as_str() > operand,
                ">=" => string.as_str() >= operand,
                "%" => matches(string, operand),
                "!%" => !matches(string, operand),
                _ => false,
            }
        }
        Value::Number(number) => {
            let (Some(number), Ok(operand)) = (number.as_f64(), operand.parse::<f64>()) else { return false };
            match operator {
                "=" | "==" => number == operand,
                "!=" => number != operand,
                "<" => number < operand,
                "<=" => number <= operand,
                ">" => number > operand,
                ">=" => number >= operand,
                _ => false,
            }
        }
        Value::Bool(boolean) => match operator {
            "=" | "==" => boolean.to_string() == operand,
            "!=" => boolean.to_string() != operand,
            _ => false,
        },
        Value::Null => matches!((operator, operand), ("=" | "==", "null")),
        _ => false,
    }
}

/// Shell-like patterns: `*` is any text, `?` any character.
fn matches(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut at, mut in_pattern) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(in_pattern) {
            Some('*') => {
                star = Some((in_pattern, at));
                in_pattern += 1;
            }
            Some(wanted) if *wanted == '?' || Some(wanted) == text.get(at) => {
                at += 1;
                in_pattern += 1;
            }
            _ => match star {
                Some((position, from)) => {
                    star = Some((position, from + 1));
                    at = from + 1;
                    in_pattern = position + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(in_pattern).all(|left| *left == '*')
}

/// `@name`, `@name:argument`, then `.` or `|` and the rest.
fn modifier(value: &Value, path: &str) -> Option<Value> {
    let (component, rest) = split(path);
    let written = component.raw.strip_prefix('@')?;
    let (name, argument) = written.split_once(':').unwrap_or((written, ""));
    let modified = modify(value, name, argument)?;
    match rest {
        Some(rest) => get(&modified, rest.path),
        None => Some(modified),
    }
}

fn modify(value: &Value, name: &str, argument: &str) -> Option<Value> {
    Some(match (name, value) {
        ("this" | "pretty" | "ugly" | "valid", value) => value.clone(),
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
        ("dig", value) => {
            let mut found = Vec::new();
            dig(value, argument, &mut found, 0);
            Value::Array(found)
        }
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

fn dig(value: &Value, path: &str, found: &mut Vec<Value>, depth: usize) {
    if depth > 128 {
        return;
    }
    found.extend(get(value, path));
    match value {
        Value::Array(elements) => elements.iter().for_each(|element| dig(element, path, found, depth + 1)),
        Value::Object(map) => map.values().for_each(|element| dig(element, path, found, depth + 1)),
        _ => {}
    }
}

fn literal(path: &str) -> Option<Value> {
    serde_json::from_str(path.strip_prefix('!')?).ok()
}

/// `[a,b]` makes a list, `{a,"name":b}` an object.
fn multipath(value: &Value, path: &str) -> Option<Value> {
    let end = closing(path)?;
    let parts = split_list(path.get(1..end)?);
    let made = if path.starts_with('[') {
        Value::Array(parts.iter().filter_map(|part| get(value, part.trim())).collect())
    } else {
        let mut map = serde_json::Map::new();
        for part in parts {
            let part = part.trim();
            let (name, part) = match part.strip_prefix('"').and_then(|rest| rest.split_once("\":")) {
                Some((name, rest)) => (name.to_string(), rest),
                None => (part.rsplit(['.', '|']).next().unwrap_or(part).to_string(), part),
            };
            if let Some(found) = get(value, part) {
                map.insert(name, found);
            }
        }
        Value::Object(map)
    };
    match path.get(end + 1..).unwrap_or_default().strip_prefix(['.', '|']) {
        Some(rest) => get(&made, rest),
        None => Some(made),
    }
}

fn closing(path: &str) -> Option<usize> {
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

fn split_list(text: &str) -> Vec<&str> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str) -> String {
        let json = r#"{"count":2.43,"components":[{"id":"82328e93e","tasks":32,"str":"64","k":"1k"},
            {"id":"x","tasks":5,"on":true}],"a.b":{"c":7},"list":[1,[2,[3]]],"text":"{\"z\":1}","children":["Sara","Alex"]}"#;
        get(&serde_json::from_str(json).unwrap(), path).map_or("nothing".to_string(), |value| value.to_string())
    }

    #[test]
    fn plain_paths() {
        assert_eq!(at("count"), "2.43");
        assert_eq!(at("components.0.k"), "\"1k\"");
        assert_eq!(at("a\\.b.c"), "7");
        assert_eq!(at("comp*.1.tasks"), "5");
        assert_eq!(at("c?unt"), "2.43");
        for nothing in ["nosuch", "count.x", "components.9", "components.x"] {
            assert_eq!(at(nothing), "nothing", "{nothing}");
        }
    }

    #[test]
    fn lists_and_queries() {
        assert_eq!(at("components.#"), "2");
        assert_eq!(at("components.#.tasks"), "[32,5]");
        assert_eq!(at("components.#(tasks>10).id"), "\"82328e93e\"");
        assert_eq!(at("components.#(id==\"x\").tasks"), "5");
        assert_eq!(at("components.#(tasks>1)#.tasks"), "[32,5]");
        assert_eq!(at("components.#(on==true).tasks"), "5");
        assert_eq!(at("children.#(%\"S*\")"), "\"Sara\"");
        assert_eq!(at("components.#(tasks>1)#|#"), "2");
    }

    #[test]
    fn modifiers_literals_and_multipaths() {
        assert_eq!(at("children|@reverse.0"), "\"Alex\"");
        assert_eq!(at("list.@flatten:{\"deep\":true}"), "[1,2,3]");
        assert_eq!(at("components.0.@keys.#"), "4");
        assert_eq!(at("text.@fromstr.z"), "1");
        assert_eq!(at("!5"), "5");
        assert_eq!(at("[count,components.#].1"), "2");
        assert_eq!(at("{\"n\":components.#,count}"), "{\"n\":2,\"count\":2.43}");
    }
}
