//! The `scalingModifiers` formula: one metric made of all triggers (`behaviour.md` §4).
//!
//! The language is Go's expr, which `expr-lang` implements. Two things are added here: names are checked even in
//! branches that are not reached, as Go's compiler does it; and the result becomes a number as KEDA makes it one.

use std::collections::{BTreeMap, BTreeSet};

use expr::{Context, Value};

use crate::engine::Modifiers;
use crate::quantity::Quantity;

/// What a formula gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The composite value.
    Number(f64),
    /// Nothing: every operand of a `??` was nil.
    Nil,
}

/// Checks `scalingModifiers` at admission, against the names of the triggers that may stand in the formula.
///
/// # Errors
/// KEDA's first line, a line break, and the cause.
pub fn check(modifiers: &Modifiers, names: &BTreeSet<String>) -> Result<(), String> {
    if modifiers.formula.is_empty() {
        return Err("error ScalingModifiers.Formula is mandatory".to_string());
    }
    let invalid = |cause: String| format!("error validating formula in ScalingModifiers\n{cause}");
    check_names(&modifiers.formula, names).map_err(invalid)?;
    let dummies = names.iter().map(|name| (name.clone(), Some(-1.0))).collect();
    evaluate(&modifiers.formula, &dummies).map_err(invalid)?;
    if modifiers.target.is_empty() {
        return Err(invalid("formula is given but target is empty".to_string()));
    }
    let invalid = |cause: &str| format!("error validating target in ScalingModifiers\n{cause}");
    match modifiers.target.parse::<f64>() {
        Err(_) => Err(invalid(&format!(
            "error converting target for scalingModifiers (string->float) to valid target: {:?} is not a number",
            modifiers.target
        ))),
        Ok(target) if target <= 0.0 => Err(invalid(&format!(
            "error converting target for scalingModifiers (string->float) to valid target: {target} is not above 0"
        ))),
        Ok(_) if modifiers.metric_type == "Utilization" => {
            Err("error trigger type is Utilization, but it needs to be AverageValue or Value for external metrics"
                .into())
        }
        Ok(_) => Ok(()),
    }
}

/// Evaluates a formula. A trigger without a value is nil in it.
///
/// # Errors
/// Why it has no numeric value, in one sentence.
pub fn evaluate(formula: &str, values: &BTreeMap<String, Option<f64>>) -> Result<Outcome, String> {
    let mut context = Context::default();
    for (name, value) in values {
        context.insert(name.clone(), value.map_or(Value::Nil, Value::Float));
    }
    let may_be_nil = formula.contains("??");
    let source =
        if may_be_nil || formula.starts_with("float(") { formula.to_string() } else { format!("float({formula})") };
    let value = expr::eval(&source, &context).map_err(|error| single_line(&error.to_string()))?;
    match value {
        Value::Nil if may_be_nil => Ok(Outcome::Nil),
        Value::Float(number) => Ok(Outcome::Number(number)),
        other if may_be_nil => to_float(&other),
        _ => Err("formula returned non-float result".to_string()),
    }
}

/// The composite value as the HPA is told: thousandths, truncated toward zero, negative ones included. What does not
/// fit becomes the smallest number, as in Go.
pub fn composite_quantity(number: f64) -> Quantity {
    let scaled = (number * 1000.0).trunc();
    let fits = scaled >= -9_223_372_036_854_775_808.0 && scaled < 9_223_372_036_854_775_808.0;
    #[allow(clippy::cast_possible_truncation)] // Checked on the line above.
    Quantity::from_milli(if fits { scaled as i64 } else { i64::MIN })
}

/// `float(…)` of the language, applied to a value that was not wrapped in it.
fn to_float(value: &Value) -> Result<Outcome, String> {
    let mut context = Context::default();
    context.insert("value".to_string(), value.clone());
    match expr::eval("float(value)", &context) {
        Ok(Value::Float(number)) => Ok(Outcome::Number(number)),
        Ok(_) => Err("formula returned non-float result".to_string()),
        Err(error) => Err(single_line(&error.to_string())),
    }
}

fn single_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Words of the language that are no names.
const KEYWORDS: &[&str] = &[
    "let",
    "in",
    "not",
    "and",
    "or",
    "true",
    "false",
    "nil",
    "if",
    "else",
    "matches",
    "contains",
    "startsWith",
    "endsWith",
];

/// Functions of the language.
const FUNCTIONS: &[&str] = &[
    "all",
    "none",
    "any",
    "one",
    "filter",
    "map",
    "find",
    "findIndex",
    "findLast",
    "findLastIndex",
    "count",
    "sum",
    "groupBy",
    "sortBy",
    "reduce",
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
    "trimPrefix",
    "trimSuffix",
    "upper",
    "lower",
    "split",
    "splitAfter",
    "replace",
    "repeat",
    "join",
    "indexOf",
    "lastIndexOf",
    "hasPrefix",
    "hasSuffix",
    "max",
    "min",
    "mean",
    "median",
    "toJSON",
    "fromJSON",
    "toBase64",
    "fromBase64",
    "now",
    "duration",
    "date",
    "timezone",
    "first",
    "last",
    "get",
    "take",
    "keys",
    "values",
    "toPairs",
    "fromPairs",
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

/// Refuses names that are neither triggers nor bound in the formula, wherever they stand.
fn check_names(formula: &str, names: &BTreeSet<String>) -> Result<(), String> {
    let mut bound: BTreeSet<&str> = BTreeSet::new();
    let mut binding = false;
    for word in words(formula) {
        if std::mem::take(&mut binding) {
            bound.insert(word.text);
            continue;
        }
        if word.text == "let" {
            binding = true;
            continue;
        }
        if word.is_member || word.is_key || KEYWORDS.contains(&word.text) {
            continue;
        }
        let known = names.contains(word.text) || bound.contains(word.text);
        if word.is_call && !known && !FUNCTIONS.contains(&word.text) {
            return Err(format!("unknown function {}", word.text));
        }
        if !word.is_call && !known && !FUNCTIONS.contains(&word.text) {
            return Err(unknown_name(word.text, names));
        }
        if !word.is_call && !known {
            return Err(unknown_name(word.text, names));
        }
    }
    Ok(())
}

fn unknown_name(name: &str, names: &BTreeSet<String>) -> String {
    match crate::problem::did_you_mean(name, names.iter().map(String::as_str)) {
        Some(meant) => format!("unknown name {name}; did you mean {meant}?"),
        None => format!("unknown name {name}: only named triggers (not cpu or memory) can stand in a formula"),
    }
}

/// An identifier of a formula, and how it is used.
struct Word<'a> {
    text: &'a str,
    /// `x.word`
    is_member: bool,
    /// `word(`
    is_call: bool,
    /// `{word: x}`
    is_key: bool,
}

/// The identifiers outside of texts and comments.
fn words(formula: &str) -> Vec<Word<'_>> {
    let bytes = formula.as_bytes();
    let mut words = Vec::new();
    let mut position = 0;
    let mut previous = b' ';
    let mut before_previous = b' ';
    while let Some(&byte) = bytes.get(position) {
        let rest = formula.get(position..).unwrap_or_default();
        let length = match byte {
            b'"' | b'\'' | b'`' => quoted_length(rest, byte),
            b'/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            b'/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            b'0'..=b'9' => rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()),
            _ if byte.is_ascii_alphabetic() || byte == b'_' || byte == b'$' || !byte.is_ascii() => {
                let end =
                    rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').unwrap_or(rest.len()).max(1);
                let text = rest.get(..end).unwrap_or_default();
                let after = rest.get(end..).unwrap_or_default().trim_start();
                let opens = matches!(previous, b'{' | b',') && after.starts_with(':');
                if previous != b'#' && !text.is_empty() {
                    words.push(Word {
                        text,
                        is_member: previous == b'.' && before_previous != b'.',
                        is_call: after.starts_with('('),
                        is_key: opens,
                    });
                }
                end
            }
            _ => 1,
        };
        if !byte.is_ascii_whitespace() {
            before_previous = previous;
            previous = byte;
        }
        position += length.max(1);
    }
    words
}

fn quoted_length(text: &str, quote: u8) -> usize {
    let mut escaped = false;
    for (position, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quote != b'`' => escaped = true,
            _ if byte == quote => return position + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> BTreeSet<String> {
        ["a", "b"].map(String::from).into()
    }

    fn result(formula: &str, a: Option<f64>, b: Option<f64>) -> Result<Outcome, String> {
        evaluate(formula, &BTreeMap::from([("a".to_string(), a), ("b".to_string(), b)]))
    }

    fn accepted(formula: &str) -> bool {
        let modifiers = Modifiers { formula: formula.into(), target: "2".into(), ..Modifiers::default() };
        check(&modifiers, &names()).is_ok()
    }

    #[test]
    fn names_are_checked_in_branches_that_are_not_reached() {
        assert!(!accepted("a < 0 ? a : nosuch"));
        assert!(!accepted("a < 0 ? a : nosuch(b)"));
        assert!(!accepted("a + abs"));
        assert!(accepted("let x = a; x > 0 ? {y: x}.y : {'z': 'nosuch'} == nil ? 1 : 2"));
        assert!(accepted("a in 1..5 ? 1 : 2"));
        assert!(accepted("reduce([a, b], #acc + #, 0) /* nosuch */"));
    }

    #[test]
    fn nil_survives_only_beside_the_coalescing_operator() {
        assert_eq!(result("a ?? b", None, None), Ok(Outcome::Nil));
        assert_eq!(result("a ?? 5", None, None), Ok(Outcome::Number(5.0)));
        assert!(result("a + b", None, Some(1.0)).is_err());
    }

    #[test]
    fn what_does_not_fit_becomes_the_smallest_number() {
        assert_eq!(composite_quantity(f64::INFINITY), Quantity::from_milli(i64::MIN));
        assert_eq!(composite_quantity(-1.2345), Quantity::from_milli(-1234));
    }
}
