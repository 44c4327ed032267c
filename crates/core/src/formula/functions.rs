//! The functions of a formula: those of expr that make sense of numbers, lists and texts.

use std::collections::BTreeMap;

use super::evaluate::{Pointer, Scope};
use super::parser::{Node, PREDICATES};
use super::value::Value;

/// Functions that take values only.
const PLAIN: &[&str] = &[
    "len",
    "type",
    "abs",
    "ceil",
    "floor",
    "round",
    "int",
    "float",
    "string",
    "trim",
    "upper",
    "lower",
    "split",
    "join",
    "replace",
    "repeat",
    "hasPrefix",
    "hasSuffix",
    "indexOf",
    "lastIndexOf",
    "trimPrefix",
    "trimSuffix",
    "max",
    "min",
    "mean",
    "median",
    "toJSON",
    "fromJSON",
    "first",
    "last",
    "get",
    "take",
    "keys",
    "values",
    "reverse",
    "uniq",
    "concat",
    "flatten",
    "sort",
    "bitand",
    "bitor",
    "bitxor",
    "bitnand",
    "bitshl",
    "bitshr",
    "bitushr",
    "bitnot",
];

/// Whether there is such a function.
pub(super) fn exists(name: &str) -> bool {
    PREDICATES.contains(&name) || PLAIN.contains(&name)
}

pub(super) fn call(scope: &mut Scope<'_>, function: &str, arguments: &[Node]) -> Result<Value, String> {
    if PREDICATES.contains(&function) {
        return predicate(scope, function, arguments);
    }
    let arguments = arguments.iter().map(|argument| scope.evaluate(argument)).collect::<Result<Vec<_>, _>>()?;
    scope.spend(extra_cost(function, &arguments))?;
    let types: Vec<&str> = arguments.iter().map(Value::type_name).collect();
    let wrong = || format!("invalid argument for {function}({})", types.join(", "));
    match function {
        "max" => extreme(&arguments, std::cmp::Ordering::Greater).ok_or_else(wrong),
        "min" => extreme(&arguments, std::cmp::Ordering::Less).ok_or_else(wrong),
        "mean" | "median" => statistic(function, &arguments).ok_or_else(wrong),
        "concat" => concat(&arguments).ok_or_else(wrong),
        _ => match arguments.as_slice() {
            [one] => of_one(function, one),
            [one, two] => of_two(function, one, two),
            _ => None,
        }
        .ok_or_else(wrong),
    }
}

/// What a call costs beside its arguments and its result: where it works longer than these are, or makes more than its
/// arguments weigh.
fn extra_cost(function: &str, arguments: &[Value]) -> usize {
    match (function, arguments) {
        ("join", [Value::Array(elements), Value::Text(glue)]) => elements.len().saturating_mul(glue.len()),
        // Each is compared with each, which takes far less than a step.
        ("uniq", [list @ Value::Array(elements)]) => elements.len().saturating_mul(list.weight().unwrap_or(0)) / 100,
        _ => 0,
    }
}

fn of_one(function: &str, value: &Value) -> Option<Value> {
    match (function, value) {
        ("len", Value::Text(text)) => Some(count(text.chars().count())),
        ("len", Value::Array(elements)) => Some(count(elements.len())),
        ("len", Value::Map(map)) => Some(count(map.len())),
        ("type", value) => Some(Value::Text(value.type_name().replace("float64", "float"))),
        ("abs", Value::Integer(number)) => Some(Value::Integer(number.wrapping_abs())),
        ("abs", Value::Float(number)) => Some(Value::Float(number.abs())),
        ("ceil" | "floor" | "round", number) => {
            let number = number.number()?;
            Some(Value::Float(match function {
                "ceil" => number.ceil(),
                "floor" => number.floor(),
                _ => number.round(),
            }))
        }
        ("int", value) => to_integer(value),
        ("float", value) => to_float(value),
        ("string", value) => Some(Value::Text(value.text())),
        ("trim", Value::Text(text)) => Some(Value::Text(text.trim().to_string())),
        ("upper", Value::Text(text)) => Some(Value::Text(text.to_uppercase())),
        ("lower", Value::Text(text)) => Some(Value::Text(text.to_lowercase())),
        ("toJSON", value) => Some(Value::Text(json(value))),
        ("fromJSON", Value::Text(text)) => serde_json::from_str(text).ok().map(from_json),
        ("first", Value::Array(elements)) => Some(elements.first().cloned().unwrap_or(Value::Nil)),
        ("last", Value::Array(elements)) => Some(elements.last().cloned().unwrap_or(Value::Nil)),
        ("keys", Value::Map(map)) => Some(Value::Array(map.keys().cloned().map(Value::Text).collect())),
        ("values", Value::Map(map)) => Some(Value::Array(map.values().cloned().collect())),
        ("reverse", Value::Array(elements)) => Some(Value::Array(elements.iter().rev().cloned().collect())),
        ("uniq", Value::Array(elements)) => Some(Value::Array(unique(elements))),
        ("flatten", Value::Array(elements)) => Some(Value::Array(flatten(elements))),
        ("sort", Value::Array(elements)) => sorted(elements, Value::clone, false),
        ("join", Value::Array(_)) => of_two("join", value, &Value::Text(String::new())),
        ("bitnot", Value::Integer(number)) => Some(Value::Integer(!number)),
        _ => None,
    }
}

fn of_two(function: &str, left: &Value, right: &Value) -> Option<Value> {
    match (function, left, right) {
        ("get", Value::Map(map), Value::Text(key)) => Some(map.get(key).cloned().unwrap_or(Value::Nil)),
        ("get", Value::Array(elements), Value::Integer(position)) => {
            Some(usize::try_from(*position).ok().and_then(|at| elements.get(at)).cloned().unwrap_or(Value::Nil))
        }
        ("take", Value::Array(elements), Value::Integer(number)) => {
            Some(Value::Array(elements.iter().take(usize::try_from(*number).ok()?).cloned().collect()))
        }
        ("sort", Value::Array(elements), Value::Text(order)) => sorted(elements, Value::clone, order == "desc"),
        ("join", Value::Array(elements), Value::Text(glue)) => {
            let texts: Option<Vec<_>> = elements
                .iter()
                .map(|element| match element {
                    Value::Text(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect();
            texts.map(|texts| Value::Text(texts.join(glue)))
        }
        (_, Value::Text(text), Value::Text(other)) => of_texts(function, text, other),
        ("repeat", Value::Text(text), Value::Integer(times)) => {
            let times = usize::try_from(*times).ok().filter(|times| times.saturating_mul(text.len()) <= 100_000)?;
            Some(Value::Text(text.repeat(times)))
        }
        (_, Value::Integer(left), Value::Integer(right)) => bits(function, *left, *right).map(Value::Integer),
        _ => None,
    }
}

fn of_texts(function: &str, text: &str, other: &str) -> Option<Value> {
    let position = |found: Option<usize>| Value::Integer(found.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1));
    Some(match function {
        "split" => Value::Array(text.split(other).map(|piece| Value::Text(piece.to_string())).collect()),
        "hasPrefix" => Value::Boolean(text.starts_with(other)),
        "hasSuffix" => Value::Boolean(text.ends_with(other)),
        "indexOf" => position(text.find(other)),
        "lastIndexOf" => position(text.rfind(other)),
        "trimPrefix" => Value::Text(text.strip_prefix(other).unwrap_or(text).to_string()),
        "trimSuffix" => Value::Text(text.strip_suffix(other).unwrap_or(text).to_string()),
        "trim" => Value::Text(text.trim_matches(|c| other.contains(c)).to_string()),
        _ => return None,
    })
}

fn bits(function: &str, left: i64, right: i64) -> Option<i64> {
    let shift = u32::try_from(right);
    match function {
        "bitand" => Some(left & right),
        "bitor" => Some(left | right),
        "bitxor" => Some(left ^ right),
        "bitnand" => Some(left & !right),
        "bitshl" => Some(left.checked_shl(shift.ok()?).unwrap_or(0)),
        "bitshr" => Some(left.checked_shr(shift.ok()?).unwrap_or(if left < 0 { -1 } else { 0 })),
        "bitushr" => Some(left.cast_unsigned().checked_shr(shift.ok()?).unwrap_or(0).cast_signed()),
        _ => None,
    }
}

fn to_integer(value: &Value) -> Option<Value> {
    match value {
        Value::Integer(number) => Some(Value::Integer(*number)),
        #[allow(clippy::cast_possible_truncation)] // As Go converts float64 to int, but without its undefined cases.
        Value::Float(number) => Some(Value::Integer(*number as i64)),
        Value::Text(text) => text.parse().ok().map(Value::Integer),
        _ => None,
    }
}

/// `float(…)`.
pub(super) fn to_float(value: &Value) -> Option<Value> {
    match value {
        Value::Text(text) => text.parse().ok().map(Value::Float),
        other => other.number().map(Value::Float),
    }
}

fn count(number: usize) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

/// All numbers among values and lists of them.
fn numbers(values: &[Value], into: &mut Vec<Value>) -> Option<()> {
    for value in values {
        match value {
            Value::Array(elements) => numbers(elements, into)?,
            Value::Integer(_) | Value::Float(_) => into.push(value.clone()),
            _ => return None,
        }
    }
    Some(())
}

fn extreme(values: &[Value], wanted: std::cmp::Ordering) -> Option<Value> {
    let mut all = Vec::new();
    numbers(values, &mut all)?;
    if values.is_empty() {
        return None;
    }
    let best = all.into_iter().reduce(|best, value| if value.order(&best) == Some(wanted) { value } else { best });
    Some(best.unwrap_or(Value::Nil))
}

#[allow(clippy::cast_precision_loss)] // Far fewer elements than 2^53.
fn statistic(function: &str, values: &[Value]) -> Option<Value> {
    let mut all = Vec::new();
    numbers(values, &mut all)?;
    let mut floats: Vec<f64> = all.iter().filter_map(Value::number).collect();
    if floats.is_empty() {
        return Some(Value::Float(0.0));
    }
    let length = floats.len();
    if function == "mean" {
        return Some(Value::Float(floats.iter().sum::<f64>() / length as f64));
    }
    floats.sort_by(f64::total_cmp);
    let upper = floats.get(length / 2).copied()?;
    if length % 2 == 1 {
        return Some(Value::Float(upper));
    }
    Some(Value::Float((floats.get(length / 2 - 1).copied()? + upper) / 2.0))
}

fn concat(values: &[Value]) -> Option<Value> {
    let mut joined = Vec::new();
    for value in values {
        let Value::Array(elements) = value else { return None };
        joined.extend(elements.iter().cloned());
    }
    Some(Value::Array(joined))
}

fn unique(elements: &[Value]) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for element in elements {
        if !kept.iter().any(|known| known.equals(element)) {
            kept.push(element.clone());
        }
    }
    kept
}

fn flatten(elements: &[Value]) -> Vec<Value> {
    elements
        .iter()
        .flat_map(|element| match element {
            Value::Array(inner) => flatten(inner),
            other => vec![other.clone()],
        })
        .collect()
}

fn sorted<T: Clone>(elements: &[T], key: impl Fn(&T) -> Value, descending: bool) -> Option<Value>
where
    Value: From<T>,
{
    let mut keyed: Vec<(Value, T)> = elements.iter().map(|element| (key(element), element.clone())).collect();
    let comparable = keyed.windows(2).all(|pair| match pair {
        [(a, _), (b, _)] => a.order(b).is_some(),
        _ => true,
    });
    if !comparable {
        return None;
    }
    keyed.sort_by(|(a, _), (b, _)| a.order(b).unwrap_or(std::cmp::Ordering::Equal));
    if descending {
        keyed.reverse();
    }
    Some(Value::Array(keyed.into_iter().map(|(_, element)| Value::from(element)).collect()))
}

fn json(value: &Value) -> String {
    match value {
        Value::Nil => "null".to_string(),
        Value::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
        Value::Array(elements) => format!("[{}]", elements.iter().map(json).collect::<Vec<_>>().join(",")),
        Value::Map(map) => {
            let pairs: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{}:{}", serde_json::Value::from(key.as_str()), json(value)))
                .collect();
            format!("{{{}}}", pairs.join(","))
        }
        other => other.text(),
    }
}

/// Numbers of JSON are floats, as in Go.
fn from_json(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(boolean) => Value::Boolean(boolean),
        serde_json::Value::Number(number) => number.as_f64().map_or(Value::Nil, Value::Float),
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Array(elements) => Value::Array(elements.into_iter().map(from_json).collect()),
        serde_json::Value::Object(map) => {
            Value::Map(map.into_iter().map(|(key, value)| (key, from_json(value))).collect())
        }
    }
}

/// Functions that apply a closure to the elements of a list.
fn predicate(scope: &mut Scope<'_>, function: &str, arguments: &[Node]) -> Result<Value, String> {
    let Some(list) = arguments.first() else { return Err(format!("not enough arguments to call {function}")) };
    let elements = match scope.evaluate(list)? {
        Value::Array(elements) => elements,
        other => return Err(format!("invalid argument for {function}: expected an array, not {}", other.type_name())),
    };
    let body = match arguments.get(1) {
        Some(Node::Closure(body)) => Some(&**body),
        _ => None,
    };
    if body.is_none() && !matches!(function, "count" | "sum") {
        return Err(format!("not enough arguments to call {function}"));
    }
    if function == "reduce" {
        return reduce(scope, elements, body, arguments.get(2));
    }
    let mut results = Vec::with_capacity(elements.len());
    for (index, element) in elements.iter().enumerate() {
        let result = match body {
            Some(body) => {
                let index = i64::try_from(index).unwrap_or(i64::MAX);
                scope.apply(body, Pointer { element: element.clone(), index, accumulator: None })?
            }
            None => element.clone(),
        };
        results.push(result);
    }
    combine(function, elements, results)
}

fn reduce(
    scope: &mut Scope<'_>,
    elements: Vec<Value>,
    body: Option<&Node>,
    initial: Option<&Node>,
) -> Result<Value, String> {
    let mut elements = elements.into_iter().enumerate();
    let mut accumulator = match initial {
        Some(initial) => scope.evaluate(initial)?,
        None => elements.next().map(|(_, first)| first).ok_or("reduce of an empty array with no initial value")?,
    };
    for (index, element) in elements {
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        let pointer = Pointer { element, index, accumulator: Some(accumulator) };
        accumulator = scope.apply(body.unwrap_or(&Node::Nil), pointer)?;
    }
    Ok(accumulator)
}

fn combine(function: &str, elements: Vec<Value>, results: Vec<Value>) -> Result<Value, String> {
    let holds = || -> Result<Vec<bool>, String> {
        results
            .iter()
            .map(|result| match result {
                Value::Boolean(boolean) => Ok(*boolean),
                other => Err(format!("the closure of {function} must give a bool, not {}", other.type_name())),
            })
            .collect()
    };
    let chosen = |position: Option<usize>| position.and_then(|at| elements.get(at)).cloned().unwrap_or(Value::Nil);
    Ok(match function {
        "map" => Value::Array(results),
        "all" => Value::Boolean(holds()?.iter().all(|held| *held)),
        "none" => Value::Boolean(!holds()?.iter().any(|held| *held)),
        "any" => Value::Boolean(holds()?.iter().any(|held| *held)),
        "one" => Value::Boolean(holds()?.iter().filter(|held| **held).count() == 1),
        "count" => count(holds()?.iter().filter(|held| **held).count()),
        "filter" => {
            let held = holds()?;
            Value::Array(elements.into_iter().zip(held).filter(|(_, held)| *held).map(|(value, _)| value).collect())
        }
        "find" => chosen(holds()?.iter().position(|held| *held)),
        "findLast" => chosen(holds()?.iter().rposition(|held| *held)),
        "findIndex" => holds()?.iter().position(|held| *held).map_or(Value::Nil, count),
        "findLastIndex" => holds()?.iter().rposition(|held| *held).map_or(Value::Nil, count),
        "sum" => sum(&results)?,
        "groupBy" => {
            let mut groups: BTreeMap<String, Value> = BTreeMap::new();
            for (element, key) in elements.into_iter().zip(&results) {
                if let Value::Array(group) = groups.entry(key.text()).or_insert(Value::Array(Vec::new())) {
                    group.push(element);
                }
            }
            Value::Map(groups)
        }
        _ => {
            let pairs: Vec<Pair> =
                elements.into_iter().zip(results).map(|(element, key)| Pair { element, key }).collect();
            sorted(&pairs, |pair| pair.key.clone(), false).ok_or("sortBy needs keys that can be compared")?
        }
    })
}

/// An element and what it is sorted by.
#[derive(Clone)]
struct Pair {
    element: Value,
    key: Value,
}

impl From<Pair> for Value {
    fn from(pair: Pair) -> Self {
        pair.element
    }
}

fn sum(values: &[Value]) -> Result<Value, String> {
    let mut total = Value::Integer(0);
    for value in values {
        total = match (&total, value) {
            (Value::Integer(total), Value::Integer(value)) => Value::Integer(total.wrapping_add(*value)),
            (total, value) => match (total.number(), value.number()) {
                (Some(total), Some(value)) => Value::Float(total + value),
                _ => return Err(format!("cannot sum {}", value.type_name())),
            },
        };
    }
    Ok(total)
}
