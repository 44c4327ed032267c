//! Evaluates the tree of a formula. The work is bounded, so that no formula can hang its object.

use std::collections::BTreeMap;

use super::functions;
use super::parser::Node;
use super::value::Value;

/// Values that may be made, the elements of lists and maps and the bytes of texts included.
const BUDGET: usize = 1_000_000;

/// Steps that a regular expression costs, as it is compiled at each use.
const PATTERN: usize = 10_000;

/// Bytes that a compiled regular expression may take.
const PATTERN_SIZE: usize = 1 << 20;

const TOO_MANY_STEPS: &str = "the formula takes too many steps";

/// The name that stands for all variables together.
pub(super) const ENVIRONMENT: &str = "$env";

/// What names mean while a tree is evaluated.
pub(super) struct Scope<'a> {
    variables: &'a BTreeMap<String, Option<f64>>,
    bindings: Vec<(String, Value)>,
    pointers: Vec<Pointer>,
    budget: usize,
}

/// What `#`, `#index` and `#acc` mean inside a closure.
#[derive(Clone)]
pub(super) struct Pointer {
    pub(super) element: Value,
    pub(super) index: i64,
    pub(super) accumulator: Option<Value>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(variables: &'a BTreeMap<String, Option<f64>>) -> Self {
        Scope { variables, bindings: Vec::new(), pointers: Vec::new(), budget: BUDGET }
    }

    /// Refuses work before it is done; whoever does it spends its cost afterwards.
    pub(super) fn afford(&self, amount: usize) -> Result<(), String> {
        if amount > self.budget { Err(TOO_MANY_STEPS.to_string()) } else { Ok(()) }
    }

    pub(super) fn spend(&mut self, amount: usize) -> Result<(), String> {
        self.budget = self.budget.checked_sub(amount).ok_or(TOO_MANY_STEPS)?;
        Ok(())
    }

    /// Evaluates a closure for one element.
    pub(super) fn apply(&mut self, body: &Node, pointer: Pointer) -> Result<Value, String> {
        self.pointers.push(pointer);
        let result = self.evaluate(body);
        self.pointers.pop();
        result
    }

    /// The value of a node. It costs what it weighs, also where it is a copy.
    pub(super) fn evaluate(&mut self, node: &Node) -> Result<Value, String> {
        let value = self.value(node)?;
        self.spend(value.weight().ok_or("the formula nests its values too deeply")?)?;
        Ok(value)
    }

    fn value(&mut self, node: &Node) -> Result<Value, String> {
        match node {
            Node::Nil => Ok(Value::Nil),
            Node::Boolean(boolean) => Ok(Value::Boolean(*boolean)),
            Node::Integer(number) => Ok(Value::Integer(*number)),
            Node::Float(number) => Ok(Value::Float(*number)),
            Node::Text(text) => Ok(Value::Text(text.clone())),
            Node::Name(name) => self.name(name),
            Node::Pointer(name) => self.pointer(name),
            Node::Unary(operator, operand) => unary(operator, self.evaluate(operand)?),
            Node::Binary(operator, left, right) => self.binary(operator, left, right),
            Node::Comparison(first, rest) => self.comparison(first, rest),
            Node::Condition(condition, then, otherwise) => match self.evaluate(condition)? {
                Value::Boolean(true) => self.evaluate(then),
                Value::Boolean(false) => self.evaluate(otherwise),
                other => Err(format!("a condition must be a bool, not {}", other.type_name())),
            },
            Node::Let(name, value, body) => {
                let value = self.evaluate(value)?;
                self.bindings.push((name.clone(), value));
                let result = self.evaluate(body);
                self.bindings.pop();
                result
            }
            Node::Sequence(first, second) => {
                self.evaluate(first)?;
                self.evaluate(second)
            }
            Node::Array(elements) => {
                elements.iter().map(|element| self.evaluate(element)).collect::<Result<_, _>>().map(Value::Array)
            }
            Node::Map(pairs) => self.map(pairs),
            Node::Member { of, key, optional } => {
                let of = self.evaluate(of)?;
                if *optional && of == Value::Nil {
                    return Ok(Value::Nil);
                }
                member(&of, &self.evaluate(key)?)
            }
            Node::Slice { of, from, to } => self.slice(of, from.as_deref(), to.as_deref()),
            Node::Call(function, arguments) => functions::call(self, function, arguments),
            Node::Closure(_) => Err("a closure can only be given to a function that takes one".to_string()),
        }
    }

    fn name(&self, name: &str) -> Result<Value, String> {
        if let Some((_, value)) = self.bindings.iter().rev().find(|(bound, _)| bound == name) {
            return Ok(value.clone());
        }
        if name == ENVIRONMENT {
            let values = self.variables.iter();
            let values = values.map(|(name, value)| (name.clone(), value.map_or(Value::Nil, Value::Float)));
            return Ok(Value::Map(values.collect()));
        }
        match self.variables.get(name) {
            Some(value) => Ok(value.map_or(Value::Nil, Value::Float)),
            None => Err(format!("unknown name {name}")),
        }
    }

    fn pointer(&self, name: &str) -> Result<Value, String> {
        let pointer = self.pointers.last().ok_or_else(|| format!("#{name} only has a meaning inside a closure"))?;
        match name {
            "" => Ok(pointer.element.clone()),
            "index" => Ok(Value::Integer(pointer.index)),
            "acc" => pointer.accumulator.clone().ok_or_else(|| "#acc only has a meaning inside reduce".to_string()),
            _ => Err(format!("unknown pointer #{name}")),
        }
    }

    fn map(&mut self, pairs: &[(Node, Node)]) -> Result<Value, String> {
        let mut map = BTreeMap::new();
        for (key, value) in pairs {
            let key = self.evaluate(key)?.text();
            map.insert(key, self.evaluate(value)?);
        }
        Ok(Value::Map(map))
    }

    fn slice(&mut self, of: &Node, from: Option<&Node>, to: Option<&Node>) -> Result<Value, String> {
        let of = self.evaluate(of)?;
        let length = match &of {
            Value::Array(elements) => elements.len(),
            Value::Text(text) => text.len(),
            other => return Err(format!("cannot slice {}", other.type_name())),
        };
        let mut bound = |node: Option<&Node>, default: usize| match node {
            None => Ok(default),
            Some(node) => match self.evaluate(node)? {
                Value::Integer(position) => Ok(clamp(position, length)),
                other => Err(format!("a slice needs integers, not {}", other.type_name())),
            },
        };
        let (from, to) = (bound(from, 0)?, bound(to, length)?);
        let range = from.min(to)..to;
        Ok(match of {
            Value::Array(elements) => Value::Array(elements.get(range).unwrap_or_default().to_vec()),
            Value::Text(text) => Value::Text(text.get(range).unwrap_or_default().to_string()),
            other => other,
        })
    }

    fn binary(&mut self, operator: &str, left: &Node, right: &Node) -> Result<Value, String> {
        let left = self.evaluate(left)?;
        match operator {
            "&&" | "and" | "||" | "or" => {
                let decided_by = matches!(operator, "||" | "or");
                return match left {
                    Value::Boolean(left) if left == decided_by => Ok(Value::Boolean(left)),
                    Value::Boolean(_) => match self.evaluate(right)? {
                        Value::Boolean(right) => Ok(Value::Boolean(right)),
                        other => Err(mismatch(operator, "bool", other.type_name())),
                    },
                    other => Err(mismatch(operator, other.type_name(), "bool")),
                };
            }
            "??" => return if left == Value::Nil { self.evaluate(right) } else { Ok(left) },
            _ => {}
        }
        let right = self.evaluate(right)?;
        if operator == ".." {
            return self.range(&left, &right);
        }
        if operator == "matches" {
            self.spend(PATTERN)?;
        }
        operate(operator, &left, &right)
    }

    /// Stops at the first pair that does not hold.
    fn comparison(&mut self, first: &Node, rest: &[(&'static str, Node)]) -> Result<Value, String> {
        let mut left = self.evaluate(first)?;
        for (operator, right) in rest {
            let right = self.evaluate(right)?;
            match compare(operator, &left, &right) {
                Some(true) => left = right,
                Some(false) => return Ok(Value::Boolean(false)),
                None => return Err(mismatch(operator, left.type_name(), right.type_name())),
            }
        }
        Ok(Value::Boolean(true))
    }

    fn range(&mut self, left: &Value, right: &Value) -> Result<Value, String> {
        let (Value::Integer(first), Value::Integer(last)) = (left, right) else {
            return Err(mismatch("..", left.type_name(), right.type_name()));
        };
        let length = last.checked_sub(*first).ok_or("the range is too long")?;
        self.afford(usize::try_from(length.max(0)).map_err(|_| "the range is too long")?)?;
        Ok(Value::Array((*first..=*last).map(Value::Integer).collect()))
    }
}

/// A position counted from the end when negative, within `0..=length`.
fn clamp(position: i64, length: usize) -> usize {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let position = if position < 0 { position.saturating_add(length) } else { position };
    usize::try_from(position.clamp(0, length)).unwrap_or(0)
}

fn unary(operator: &str, operand: Value) -> Result<Value, String> {
    match (operator, operand) {
        ("not", Value::Boolean(boolean)) => Ok(Value::Boolean(!boolean)),
        ("-", Value::Integer(number)) => Ok(Value::Integer(number.wrapping_neg())),
        ("-", Value::Float(number)) => Ok(Value::Float(-number)),
        ("+", number @ (Value::Integer(_) | Value::Float(_))) => Ok(number),
        (_, other) => Err(format!("invalid operation: {operator} {}", other.type_name())),
    }
}

fn member(of: &Value, key: &Value) -> Result<Value, String> {
    match (of, key) {
        (Value::Map(map), key) => Ok(map.get(&key.text()).cloned().unwrap_or(Value::Nil)),
        (Value::Array(elements), Value::Integer(position)) => {
            let length = i64::try_from(elements.len()).unwrap_or(i64::MAX);
            let from_start = if *position < 0 { position.saturating_add(length) } else { *position };
            let element = usize::try_from(from_start).ok().and_then(|position| elements.get(position));
            element.cloned().ok_or_else(|| format!("index out of range: {position} (array length is {length})"))
        }
        (of, key) => Err(format!("cannot fetch {} from {}", key.text(), of.type_name())),
    }
}

fn operate(operator: &str, left: &Value, right: &Value) -> Result<Value, String> {
    let wrong = || mismatch(operator, left.type_name(), right.type_name());
    match operator {
        "==" | "!=" if !comparable(left, right) => Err(wrong()),
        "==" => Ok(Value::Boolean(left.equals(right))),
        "!=" => Ok(Value::Boolean(!left.equals(right))),
        "in" => contains(left, right).ok_or_else(wrong),
        "contains" | "startsWith" | "endsWith" => match (left, right) {
            (Value::Text(left), Value::Text(right)) => Ok(Value::Boolean(match operator {
                "contains" => left.contains(right.as_str()),
                "startsWith" => left.starts_with(right.as_str()),
                _ => left.ends_with(right.as_str()),
            })),
            _ => Err(wrong()),
        },
        "matches" => match (left, right) {
            (Value::Text(text), Value::Text(pattern)) => {
                let pattern = regex::RegexBuilder::new(pattern)
                    .size_limit(PATTERN_SIZE)
                    .build()
                    .map_err(|_| format!("{pattern:?} is not a regular expression, or too large a one"))?;
                Ok(Value::Boolean(pattern.is_match(text)))
            }
            _ => Err(wrong()),
        },
        _ => arithmetic(operator, left, right).ok_or_else(wrong),
    }
}

/// Whether Go's compiler would let two values be compared for equality.
fn comparable(left: &Value, right: &Value) -> bool {
    let scalar = |value: &Value| matches!(value, Value::Boolean(_) | Value::Text(_)) || value.number().is_some();
    let both_numbers = left.number().is_some() && right.number().is_some();
    both_numbers || left.type_name() == right.type_name() || !(scalar(left) && scalar(right))
}

/// `None` for values that have no order.
fn compare(operator: &str, left: &Value, right: &Value) -> Option<bool> {
    let comparable = (left.number().is_some() && right.number().is_some())
        || matches!((left, right), (Value::Text(_), Value::Text(_)));
    let order = left.order(right);
    comparable.then(|| {
        order.is_some_and(|order| match operator {
            "<" => order.is_lt(),
            ">" => order.is_gt(),
            "<=" => order.is_le(),
            _ => order.is_ge(),
        })
    })
}

fn contains(needle: &Value, haystack: &Value) -> Option<Value> {
    match haystack {
        Value::Array(elements) => Some(Value::Boolean(elements.iter().any(|element| element.equals(needle)))),
        Value::Map(map) => Some(Value::Boolean(map.contains_key(&needle.text()))),
        Value::Nil => Some(Value::Boolean(false)),
        _ => None,
    }
}

fn arithmetic(operator: &str, left: &Value, right: &Value) -> Option<Value> {
    match (operator, left, right) {
        ("+", Value::Text(left), Value::Text(right)) => return Some(Value::Text(format!("{left}{right}"))),
        ("+", Value::Integer(left), Value::Integer(right)) => return Some(Value::Integer(left.wrapping_add(*right))),
        ("-", Value::Integer(left), Value::Integer(right)) => return Some(Value::Integer(left.wrapping_sub(*right))),
        ("*", Value::Integer(left), Value::Integer(right)) => return Some(Value::Integer(left.wrapping_mul(*right))),
        ("%", Value::Integer(left), Value::Integer(right)) => return left.checked_rem(*right).map(Value::Integer),
        _ => {}
    }
    let (left, right) = (left.number()?, right.number()?);
    match operator {
        "+" => Some(Value::Float(left + right)),
        "-" => Some(Value::Float(left - right)),
        "*" => Some(Value::Float(left * right)),
        "/" => Some(Value::Float(left / right)),
        "^" | "**" => Some(Value::Float(left.powf(right))),
        _ => None,
    }
}

fn mismatch(operator: &str, left: &str, right: &str) -> String {
    format!("invalid operation: {operator} (mismatched types {left} and {right})")
}
