//! Values of a formula.

use std::cmp::Ordering;

/// Depth above which a value is refused; what walks a value needs stack for all of it.
const MAXIMUM_DEPTH: usize = 200;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Nil,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Array(Vec<Value>),
    /// In the order of the keys.
    Map(std::collections::BTreeMap<String, Value>),
}

impl Value {
    /// The name of its type in messages.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Boolean(_) => "bool",
            Value::Integer(_) => "int",
            Value::Float(_) => "float64",
            Value::Text(_) => "string",
            Value::Array(_) => "array",
            Value::Map(_) => "map",
        }
    }

    /// What a value takes: 1, and as much again for each element and each byte of a text. `None` for one that is nested
    /// too deeply.
    pub(super) fn weight(&self) -> Option<usize> {
        self.weight_below(MAXIMUM_DEPTH)
    }

    fn weight_below(&self, depth: usize) -> Option<usize> {
        let depth = depth.checked_sub(1)?;
        let mut weight = 1;
        match self {
            Value::Text(text) => weight += text.len(),
            Value::Array(elements) => {
                for element in elements {
                    weight += element.weight_below(depth)?;
                }
            }
            Value::Map(map) => {
                for (key, value) in map {
                    weight += key.len() + value.weight_below(depth)?;
                }
            }
            Value::Nil | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) => {}
        }
        Some(weight)
    }

    /// A number as a float.
    #[allow(clippy::cast_precision_loss)] // As Go converts int to float64.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Value::Integer(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// Numbers are equal by value, whatever their type; everything else only to its own type.
    pub(super) fn equals(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Integer(a), Value::Integer(b)) => a == b,
            (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.equals(b)),
            _ => match (self.number(), other.number()) {
                (Some(a), Some(b)) => a == b,
                _ => self == other,
            },
        }
    }

    /// The order of numbers or texts; `None` when they cannot be compared, or one is NaN.
    pub(super) fn order(&self, other: &Value) -> Option<Ordering> {
        match (self, other) {
            (Value::Integer(a), Value::Integer(b)) => Some(a.cmp(b)),
            (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
            _ => self.number()?.partial_cmp(&other.number()?),
        }
    }

    /// The text that `string(…)` gives, as Go's `%v` does.
    pub(super) fn text(&self) -> String {
        match self {
            Value::Nil => "<nil>".to_string(),
            Value::Boolean(boolean) => boolean.to_string(),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => float_text(*number),
            Value::Text(text) => text.clone(),
            Value::Array(elements) => {
                format!("[{}]", elements.iter().map(Value::text).collect::<Vec<_>>().join(" "))
            }
            Value::Map(map) => {
                let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{}", value.text())).collect();
                format!("map[{}]", pairs.join(" "))
            }
        }
    }
}

/// Shortest digits that give the number back, with an exponent below 1e-4 and from 1e21 on.
fn float_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_string();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_string();
    }
    let magnitude = number.abs();
    if magnitude != 0.0 && !(1e-4..1e21).contains(&magnitude) {
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = match exponent.strip_prefix('-') {
            Some(digits) => ('-', digits),
            None => ('+', exponent),
        };
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    number.to_string()
}
