//! The `scalingModifiers` formula: one metric made of all triggers (`behaviour.md` §4).
//!
//! The language is Go's expr. Its port to Rust, `expr-lang` 2.1, panics on `{x: a}`, refuses `let` inside a call (KEDA
//! puts every formula into one), sequences and chained comparisons, and hides its tree, so that names in branches that
//! are not reached cannot be checked: hence a parser and an evaluator of our own, with the tests below.

use std::collections::{BTreeMap, BTreeSet};

mod evaluate;
mod functions;
mod lexer;
mod parser;
mod value;

use evaluate::Scope;
use parser::Node;
use value::Value;

use crate::engine::Modifiers;
use crate::quantity::Quantity;

/// Bytes above which a formula is refused.
const MAXIMUM_LENGTH: usize = 10_000;

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
    let tree = parse(&modifiers.formula).map_err(invalid)?;
    check_names(&tree, names, &mut Vec::new()).map_err(invalid)?;
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

/// Whether a formula, which must be valid with these names, does without the trigger `name`.
pub fn ignores(formula: &str, names: &BTreeSet<String>, name: &str) -> bool {
    let others = names.iter().filter(|known| *known != name).cloned().collect();
    parse(formula).is_ok_and(|tree| check_names(&tree, &others, &mut Vec::new()).is_ok())
}

/// Evaluates a formula. A trigger without a value is nil in it.
///
/// # Errors
/// Why it has no numeric value, in one sentence.
pub fn evaluate(formula: &str, values: &BTreeMap<String, Option<f64>>) -> Result<Outcome, String> {
    let value = Scope::new(values).evaluate(&parse(formula)?)?;
    match functions::to_float(&value) {
        Some(Value::Float(number)) => Ok(Outcome::Number(number)),
        _ if value == Value::Nil && formula.contains("??") => Ok(Outcome::Nil),
        _ => Err(format!("the formula gives no number but {}", value.type_name())),
    }
}

/// KEDA puts a formula without `??` into `float(…)`, which a comment up to the end of the line would swallow.
fn parse(formula: &str) -> Result<Node, String> {
    if formula.len() > MAXIMUM_LENGTH {
        return Err(format!("the formula is longer than {MAXIMUM_LENGTH} bytes"));
    }
    if formula.contains("??") || formula.starts_with("float(") {
        return parser::parse(formula);
    }
    match parser::parse(&format!("float({formula})"))? {
        Node::Call(_, arguments) if arguments.len() == 1 => arguments.into_iter().next().ok_or_else(String::new),
        _ => Err("the formula must be a single expression".to_string()),
    }
}

/// The composite value as the HPA is told: thousandths, truncated toward zero, negative ones included. What does not
/// fit becomes the smallest number, as in Go.
pub fn composite_quantity(number: f64) -> Quantity {
    let scaled = (number * 1000.0).trunc();
    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&scaled);
    #[allow(clippy::cast_possible_truncation)] // Checked on the line above.
    Quantity::from_milli(if fits { scaled as i64 } else { i64::MIN })
}

/// Refuses names that are neither triggers nor bound in the formula, and unknown functions, wherever they stand.
fn check_names(node: &Node, names: &BTreeSet<String>, bound: &mut Vec<String>) -> Result<(), String> {
    let known = |name: &String| names.contains(name) || bound.contains(name) || name == evaluate::ENVIRONMENT;
    match node {
        Node::Name(name) if !known(name) => return Err(unknown_name(name, names)),
        Node::Call(name, _) if !functions::exists(name) => return Err(format!("unknown function {name}")),
        Node::Let(name, value, body) => {
            check_names(value, names, bound)?;
            bound.push(name.clone());
            let result = check_names(body, names, bound);
            bound.pop();
            return result;
        }
        _ => {}
    }
    node.children().into_iter().try_for_each(|child| check_names(child, names, bound))
}

fn unknown_name(name: &str, names: &BTreeSet<String>) -> String {
    match crate::problem::did_you_mean(name, names.iter().map(String::as_str)) {
        Some(meant) => format!("unknown name {name}; did you mean {meant}?"),
        None => format!("unknown name {name}: only named triggers (not cpu or memory) can stand in a formula"),
    }
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
    fn what_the_ported_library_gets_wrong() {
        for formula in ["{x: a}['x']", "let x = a; x", "(1; a)", "1 < a < 3 ? a : 0"] {
            assert_eq!(result(formula, Some(2.0), None), Ok(Outcome::Number(2.0)), "{formula}");
        }
    }

    #[test]
    fn operators_bind_as_in_go() {
        for (formula, number) in [
            ("2 + 3 * 4 ^ 2 ^ 0", 14.0),
            ("-a ** 2", -4.0),
            ("not false ? 1 : 2", 1.0),
            ("!(a == 2) ? 1 : 3", 3.0),
            ("7 / 2", 3.5),
            ("7 % 2 + b ?? 5", 6.0),
            ("[1, 2, 3] | map(# * a) | sum()", 12.0),
            ("sum(1..4, {# + #index})", 16.0),
            ("[1, 2, 3][-1]", 3.0),
            ("len([1, 2, 3][1:])", 2.0),
            ("a not in [1, 3] ? 1 : 0", 1.0),
            ("max([1, [a, 9]], 4)", 9.0),
            ("sortBy([3, 1, 2], -#)[0]", 3.0),
            ("$env['a'] + fromJSON('[1, 2]')[1]", 4.0),
            ("'worker-7' matches '^worker-[0-9]+$' ? 1 : 0", 1.0),
        ] {
            assert_eq!(result(formula, Some(2.0), None), Ok(Outcome::Number(number)), "{formula}");
        }
    }

    #[test]
    fn no_formula_hangs_or_overflows_the_stack() {
        assert!(result(&"(".repeat(100_000), None, None).is_err());
        assert!(result("sum(map(1..1000000, sum(1..1000000)))", None, None).is_err());
        assert!(result("1..9223372036854775807", None, None).is_err());
        for (first, more) in [("a", "+a"), ("[1]", "[0]"), ("$env", ".a"), ("[1]", "|len()"), ("a", "<a"), ("a", "??a")]
        {
            assert!(result(&format!("{first}{}", more.repeat(1_500)), Some(1.0), None).is_err(), "{more}");
        }
        // Chains inside brackets inside chains: the depths add up.
        let nested = (0..40).fold("a".to_string(), |inner, _| format!("({inner}){}", "+a".repeat(90)));
        assert!(result(&nested, Some(1.0), None).unwrap_err().contains("operators"));
        let widest = (0..30).fold("a".to_string(), |inner, _| format!("sum([a],{{{inner}}}){}", "+0".repeat(12)));
        assert_eq!(result(&widest, Some(1.0), None), Ok(Outcome::Number(1.0)));
        let otherwise = format!("{}{{1}}", "if a<0{1}else ".repeat(700));
        assert!(result(&otherwise, Some(1.0), None).unwrap_err().contains("nested too deeply"));
        assert!(result(&format!("a{}", " ".repeat(10_000)), Some(1.0), None).unwrap_err().contains("10000 bytes"));
        assert_eq!(result(&format!("a{}", "+a".repeat(390)), Some(1.0), None), Ok(Outcome::Number(391.0)));
    }

    #[test]
    fn an_operand_is_evaluated_once() {
        let elvis = format!("{}true{} ? 1 : 0", "(".repeat(28), " ?: false)".repeat(28));
        assert_eq!(result(&elvis, None, None), Ok(Outcome::Number(1.0)));
        let chain = (0..28).fold("a".to_string(), |inner, _| format!("(1 < {inner} < 3 ? a : 0)"));
        assert_eq!(result(&chain, Some(2.0), None), Ok(Outcome::Number(2.0)));
        assert_eq!(result("1 < a < 3 < b ? 1 : 0", Some(2.0), Some(4.0)), Ok(Outcome::Number(1.0)));
        assert_eq!(result("1 < a < 1 < 'x' ? 1 : 0", Some(2.0), None), Ok(Outcome::Number(0.0)));
        assert!(result("(1 < a) < 3 ? 1 : 0", Some(2.0), None).is_err());
    }

    #[test]
    fn what_is_made_is_paid_for() {
        let doubled = |operation: &str| {
            let steps: String =
                (0..35).map(|i| format!("let x{} = {};", i + 1, operation.replace('x', &format!("x{i}")))).collect();
            format!("let x0 = {}; {steps} len(x35)", if operation.contains('+') { "'text'" } else { "['text']" })
        };
        for formula in [
            doubled("x + x"),
            doubled("[x, x]"),
            doubled("concat(x, x)"),
            doubled("{a: x, b: x}"),
            format!("let x = 1..90000; len([{}])", "x,".repeat(3_000)),
            "len(join(map(1..1000, ''), repeat('x', 100000)))".to_string(),
            "len(reduce(1..100000, [#acc], 0))".to_string(),
            "count(1..900000, 'a' matches '(a{100}){100}')".to_string(),
            "len(uniq(1..100000))".to_string(),
        ] {
            assert!(result(&formula, None, None).is_err(), "{formula:.60}");
        }
        assert_eq!(result("sum(1..900000) > 0 ? 1 : 0", None, None), Ok(Outcome::Number(1.0)));
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
