//! Paths into JSON, in the language of Go's gjson, which KEDA's users write (`a.b`, `#`, `#(x>1)#.y`, `@reverse`).
//!
//! The port of gjson to Rust has not been kept and answers other values for modifiers, literals, `{…}` queries and
//! numbers written with an exponent.
//!
//! A path is written by a user and read by a process that serves others: its length, its nesting, its work and what it
//! makes are bounded. Beyond the bounds it finds nothing.

mod modifiers;
mod syntax;

use std::borrow::Cow;

use serde_json::Value;

use modifiers::modify;
use syntax::{Component, Query, Rest, closing, literal, named, split, split_list, unquoted};

/// Bytes above which a path finds nothing.
const MAXIMUM_PATH: usize = 4096;

/// How deep paths may stand in paths, and values that are made in one another. JSON that was read is not deeper than
/// 128.
const MAXIMUM_DEPTH: usize = 256;

/// What a path may cost: about the bytes that it makes and reads.
const BUDGET: usize = 64 << 20;

/// Bytes that a value takes beside its text.
const VALUE: usize = 32;

/// What a component costs beside its length.
const STEP: usize = 8;

/// The value at a path; `None` where there is nothing, and for a path beyond the bounds.
pub fn get(root: &Value, path: &str) -> Option<Value> {
    if path.len() > MAXIMUM_PATH {
        return None;
    }
    let mut search = Search { budget: BUDGET, depth: 0, exhausted: false };
    let found = search.find(Cow::Borrowed(root), path);
    let found = found.and_then(|found| search.owned(found));
    // What was found after a part was given up would be wrong.
    found.filter(|_| !search.exhausted)
}

/// The bounds of one call of [`get`].
struct Search {
    budget: usize,
    depth: usize,
    exhausted: bool,
}

/// A value and the rest of the path.
type Step<'v, 'p> = (Cow<'v, Value>, Option<&'p str>);

impl Search {
    fn spend(&mut self, amount: usize) -> Option<()> {
        match self.budget.checked_sub(amount) {
            Some(left) if !self.exhausted => self.budget = left,
            _ => self.exhausted = true,
        }
        (!self.exhausted).then_some(())
    }

    fn pay_for(&mut self, value: &Value) -> Option<()> {
        self.spend(weight(value, MAXIMUM_DEPTH).unwrap_or(usize::MAX))
    }

    fn owned(&mut self, value: Cow<'_, Value>) -> Option<Value> {
        if let Cow::Borrowed(value) = value {
            self.pay_for(value)?;
        }
        Some(value.into_owned())
    }

    fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth == MAXIMUM_DEPTH {
            self.exhausted = true;
            return None;
        }
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        result
    }

    fn find<'v>(&mut self, root: Cow<'v, Value>, path: &str) -> Option<Cow<'v, Value>> {
        self.deeper(|search| {
            let (mut here, mut path) = (root, path);
            loop {
                let (next, rest) = match path.chars().next()? {
                    '@' => search.modifier(here, path)?,
                    '!' => return literal(path).map(Cow::Owned),
                    '[' | '{' => search.multipath(&here, path)?,
                    _ => search.component(here, path)?,
                };
                here = next;
                match rest {
                    Some(rest) => path = rest,
                    None => return Some(here),
                }
            }
        })
    }

    fn component<'v, 'p>(&mut self, here: Cow<'v, Value>, path: &'p str) -> Option<Step<'v, 'p>> {
        let (head, rest) = split(path);
        self.spend(STEP + head.raw.len())?;
        if head.raw == "#" && here.is_array() {
            return self.hash(&here, rest);
        }
        if head.raw.starts_with("#(") && head.raw.ends_with('#') {
            let all = self.all(&here, &head.raw)?;
            return match rest {
                // What follows a query for all is for each that fits.
                Some(Rest { path, piped: false }) => self.each(&all, path),
                _ => Some((Cow::Owned(Value::Array(all)), rest.map(|rest| rest.path))),
            };
        }
        if let Some(Rest { path, piped: false }) = rest
            && head.wildcard
            && here.is_object()
        {
            let found = match here {
                Cow::Borrowed(value) => self.any(value, &head.key, path)?,
                Cow::Owned(value) => Cow::Owned(self.any(&value, &head.key, path)?.into_owned()),
            };
            return Some((found, None));
        }
        let child = match here {
            Cow::Borrowed(value) => Cow::Borrowed(self.child(value, &head)?),
            Cow::Owned(value) => Cow::Owned(self.child(&value, &head)?.clone()),
        };
        Some((child, rest.map(|rest| rest.path)))
    }

    fn child<'v>(&mut self, value: &'v Value, component: &Component) -> Option<&'v Value> {
        if component.raw.starts_with("#(") {
            return self.first(value, &component.raw);
        }
        match value {
            Value::Object(map) if component.wildcard => {
                for (key, value) in map {
                    if self.matches(key, &component.key)? {
                        return Some(value);
                    }
                }
                None
            }
            Value::Object(map) => map.get(&component.key),
            Value::Array(elements) => elements.get(component.key.parse::<usize>().ok()?),
            _ => None,
        }
    }

    /// What is at a path in the first of the fields that fit a pattern and have something there.
    fn any<'v>(&mut self, value: &'v Value, pattern: &str, path: &str) -> Option<Cow<'v, Value>> {
        for (key, child) in value.as_object()? {
            if self.matches(key, pattern)?
                && let Some(found) = self.find(Cow::Borrowed(child), path)
            {
                return Some(found);
            }
        }
        None
    }

    /// `#` alone counts; `#.x` collects `x` of each element.
    fn hash<'v, 'p>(&mut self, value: &Value, rest: Option<Rest<'p>>) -> Option<Step<'v, 'p>> {
        let elements = value.as_array()?;
        match rest {
            Some(Rest { path, piped: false }) => self.each(elements, path),
            _ => Some((Cow::Owned(Value::from(elements.len())), rest.map(|rest| rest.path))),
        }
    }

    /// Follows a path from each element. A pipe in it ends what is done for each.
    fn each<'v, 'p>(&mut self, elements: &[Value], path: &'p str) -> Option<Step<'v, 'p>> {
        let (each, whole) = match path.split_once('|') {
            Some((each, whole)) => (each, Some(whole)),
            None => (path, None),
        };
        let mut collected = Vec::new();
        for element in elements {
            if let Some(found) = self.find(Cow::Borrowed(element), each) {
                collected.push(self.owned(found)?);
            }
        }
        Some((Cow::Owned(Value::Array(collected)), whole))
    }

    /// `#(query)`: the first element that fits.
    fn first<'v>(&mut self, value: &'v Value, raw: &str) -> Option<&'v Value> {
        let query = Query::parse(raw.strip_prefix("#(")?.strip_suffix(')')?);
        value.as_array()?.iter().find(|element| self.fits(element, &query))
    }

    /// `#(query)#`: all elements that fit.
    fn all(&mut self, value: &Value, raw: &str) -> Option<Vec<Value>> {
        let query = Query::parse(raw.strip_prefix("#(")?.strip_suffix(")#")?);
        let mut all = Vec::new();
        for element in value.as_array()? {
            if self.fits(element, &query) {
                all.push(self.owned(Cow::Borrowed(element))?);
            }
        }
        Some(all)
    }

    fn fits(&mut self, element: &Value, query: &Query<'_>) -> bool {
        let here = Cow::Borrowed(element);
        let Some(found) = (if query.path.is_empty() { Some(here) } else { self.find(here, query.path) }) else {
            return false;
        };
        let Some((operator, operand)) = query.condition else { return true };
        match (&*found, operator) {
            (Value::String(text), "%" | "!%") => {
                let wanted = operator == "%";
                self.matches(text, unquoted(operand)) == Some(wanted)
            }
            (found, operator) => compare(found, operator, operand),
        }
    }

    fn matches(&mut self, text: &str, pattern: &str) -> Option<bool> {
        self.spend(STEP + text.len().saturating_mul(pattern.len()) / 8)?;
        Some(matches(text, pattern))
    }

    /// `@name`, `@name:argument`, then `.` or `|` and the rest.
    fn modifier<'v, 'p>(&mut self, value: Cow<'v, Value>, path: &'p str) -> Option<Step<'v, 'p>> {
        let (component, rest) = split(path);
        self.spend(STEP + component.raw.len())?;
        let written = component.raw.strip_prefix('@')?;
        let (name, argument) = written.split_once(':').unwrap_or((written, ""));
        let modified = match name {
            "this" | "pretty" | "ugly" | "valid" => value,
            "dig" => {
                let mut found = Vec::new();
                self.dig(&value, argument, &mut found)?;
                Cow::Owned(Value::Array(found))
            }
            _ => {
                // These look at the names alone, or at a text that is paid for when it was read.
                if !matches!(name, "keys" | "fromstr") {
                    self.pay_for(&value)?;
                }
                if let ("group", Value::Object(map)) = (name, &*value) {
                    self.spend(
                        map.iter().map(|(key, value)| key.len() * (value.as_array().map_or(0, Vec::len))).sum(),
                    )?;
                }
                let modified = modify(&value, name, argument)?;
                self.pay_for(&modified)?;
                Cow::Owned(modified)
            }
        };
        Some((modified, rest.map(|rest| rest.path)))
    }

    fn dig(&mut self, value: &Value, path: &str, found: &mut Vec<Value>) -> Option<()> {
        self.deeper(|search| {
            search.spend(STEP)?;
            if let Some(here) = search.find(Cow::Borrowed(value), path) {
                found.push(search.owned(here)?);
            }
            match value {
                Value::Array(elements) => elements.iter().try_for_each(|element| search.dig(element, path, found)),
                Value::Object(map) => map.values().try_for_each(|element| search.dig(element, path, found)),
                _ => Some(()),
            }
        })
    }

    /// `[a,b]` makes a list, `{a,"name":b}` an object.
    fn multipath<'v, 'p>(&mut self, value: &Value, path: &'p str) -> Option<Step<'v, 'p>> {
        let end = closing(path)?;
        self.spend(STEP + path.len())?;
        let mut found = Vec::new();
        for part in split_list(path.get(1..end)?) {
            let (name, part) = named(part.trim());
            if let Some(value) = self.find(Cow::Borrowed(value), part) {
                found.push((name, self.owned(value)?));
            }
        }
        let made = if path.starts_with('[') {
            Value::Array(found.into_iter().map(|(_, value)| value).collect())
        } else {
            Value::Object(found.into_iter().map(|(name, value)| (name.to_string(), value)).collect())
        };
        self.pay_for(&made)?;
        Some((Cow::Owned(made), path.get(end + 1..).unwrap_or_default().strip_prefix(['.', '|'])))
    }
}

/// About the bytes that a value takes; `None` for one that is deeper than `depth`.
fn weight(value: &Value, depth: usize) -> Option<usize> {
    let depth = depth.checked_sub(1)?;
    let mut weight = VALUE;
    match value {
        Value::String(text) => weight += text.len(),
        Value::Array(elements) => {
            for element in elements {
                weight += self::weight(element, depth)?;
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                weight += VALUE + key.len() + self::weight(value, depth)?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Some(weight)
}

fn compare(value: &Value, operator: &str, operand: &str) -> bool {
    match value {
        Value::String(string) => {
            let operand = unquoted(operand);
            match operator {
                "=" | "==" => string == operand,
                "!=" => string != operand,
                "<" => string.as_str() < operand,
                "<=" => string.as_str() <= operand,
                ">" => string.as_str() > operand,
                ">=" => string.as_str() >= operand,
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
        assert_eq!(at("c*.1.tasks"), "5", "not every field that fits has it");
        assert_eq!(at("c?unt"), "2.43");
        for nothing in ["nosuch", "count.x", "components.9", "components.x"] {
            assert_eq!(at(nothing), "nothing", "{nothing}");
        }
    }

    #[test]
    fn lists_and_queries() {
        assert_eq!(at("components.#"), "2");
        for no_list in ["count.#", "text.#", "a\\.b.#", "#"] {
            assert_eq!(at(no_list), "nothing", "{no_list}");
        }
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

    #[test]
    fn a_path_has_bounds() {
        for path in [
            "@this|".repeat(60_000),
            "@this|".repeat(600) + "count",
            "[@this,@this]|".repeat(200) + "0",
            "#(".repeat(1_300),
            "[".repeat(2_000) + &"]".repeat(2_000),
            "[@this]|".repeat(400) + "0",
            "@tostr|".repeat(500) + "x",
            "@dig:".repeat(800) + "x",
            "components.#.".repeat(300),
        ] {
            let found = at(&path);
            assert!(["nothing", "2.43", "[]"].contains(&found.as_str()), "{path:.40}: {found:.40}");
        }
        assert_eq!(at(&("@this|".repeat(600) + "count")), "2.43");
        assert_eq!(at("[@this,@this]|0.count"), "2.43");
        assert_eq!(at("@dig:tasks"), "[32,5]");
    }

    #[test]
    fn a_search_that_is_given_up_finds_nothing() {
        let long = Value::from(vec!["x".repeat(1 << 20); 80]);
        assert_eq!(get(&long, "#"), Some(Value::from(80)));
        assert_eq!(get(&long, "#(%\"x*\")#|#"), None);
        assert_eq!(get(&long, "{\"n\":#,\"all\":@this}.n"), None);
        let wide = serde_json::json!({ "k".repeat(1 << 20): vec![1; 1 << 10] });
        assert_eq!(get(&wide, "@group.#"), None);
    }
}
