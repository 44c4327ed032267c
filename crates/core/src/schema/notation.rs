//! Reads the notation of the tables (see [`super::table`]).

use std::collections::HashMap;

use serde_json::Value as Json;

use super::table::{Field, ListType, Rule, Schema, Shape, Structure};

/// Types that have a name: `Name = type`.
type Aliases = HashMap<&'static str, Schema>;

/// Reads the structures of all texts; the error names the line.
pub(super) fn parse(texts: &[&'static str]) -> Result<Vec<Structure>, String> {
    let mut aliases = Aliases::new();
    for line in texts.iter().flat_map(|text| text.lines()) {
        if let Some((name, definition)) = alias(line) {
            let schema = schema(&words(definition), &aliases).map_err(|error| format!("{error}: {line}"))?;
            aliases.insert(name, schema);
        }
    }
    let mut structures: Vec<Structure> = Vec::new();
    for line in texts.iter().flat_map(|text| text.lines()) {
        if line.is_empty() || line.starts_with('#') || alias(line).is_some() {
            continue;
        }
        if !line.starts_with(' ') {
            structures.push(structure(line));
            continue;
        }
        let current = structures.last_mut().ok_or_else(|| format!("a field outside of a structure: {line}"))?;
        match line.trim_start().strip_prefix("@rule ") {
            Some(text) => current.rules.push(rule(text).ok_or_else(|| format!("not a rule: {line}"))?),
            None => current.fields.push(field(line, &aliases).map_err(|error| format!("{error}: {line}"))?),
        }
    }
    Ok(structures)
}

fn alias(line: &'static str) -> Option<(&'static str, &'static str)> {
    line.split_once(" = ").filter(|(name, _)| name.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn structure(line: &'static str) -> Structure {
    let (head, description) = description(line);
    let mut words = head.split_whitespace();
    let name = words.next().unwrap_or_default();
    let atomic = words.next() == Some("atomic");
    Structure { name, description, atomic, rules: Vec::new(), fields: Vec::new() }
}

fn rule(text: &'static str) -> Option<Rule> {
    let (message, expression) = text.strip_prefix('"')?.split_once("\" ")?;
    Some(Rule { message, expression })
}

fn field(line: &'static str, aliases: &Aliases) -> Result<Field, String> {
    let (head, description) = description(line.trim_start());
    let (name, definition) = head.split_once(' ').ok_or("a field without a type")?;
    let schema = schema(&words(definition), aliases)?;
    let required = name.ends_with('!');
    Ok(Field { name: name.trim_end_matches('!'), required, description, schema })
}

/// Cuts the description off: the text in quotes at the end that follows two or one blanks.
fn description(line: &'static str) -> (&'static str, &'static str) {
    let Some(inner) = line.trim_end().strip_suffix('"') else { return (line, "") };
    match inner.rsplit_once(" \"") {
        Some((head, text)) => (head, text),
        None => (line, ""),
    }
}

/// Words separated by blanks; blanks inside of brackets do not count.
fn words(text: &'static str) -> Vec<&'static str> {
    let mut words = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b' ' if depth == 0 => {
                words.push(text.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    words.push(text.get(start..).unwrap_or_default());
    words.retain(|word| !word.is_empty());
    words
}

fn schema(words: &[&'static str], aliases: &Aliases) -> Result<Schema, String> {
    let (first, constraints) = words.split_first().ok_or("a type is missing")?;
    let mut schema = match aliases.get(first) {
        Some(schema) => schema.clone(),
        None => Schema::of(shape(first, aliases)?),
    };
    for constraint in constraints {
        constrain(&mut schema, constraint)?;
    }
    Ok(schema)
}

fn shape(word: &'static str, aliases: &Aliases) -> Result<Shape, String> {
    let inside = |open: char, close: char| word.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    if let Some(inner) = inside('[', ']') {
        return Ok(Shape::List(Box::new(schema(&words(inner), aliases)?)));
    }
    if let Some(inner) = inside('{', '}') {
        return Ok(Shape::Map(Box::new(schema(&words(inner), aliases)?)));
    }
    Ok(match word {
        "string" => Shape::String,
        "date-time" => Shape::DateTime,
        "boolean" => Shape::Boolean,
        "int32" => Shape::Int32,
        "int64" => Shape::Int64,
        "int-or-string" => Shape::IntOrString,
        "quantity" => Shape::Quantity,
        "object" => Shape::Object,
        name if name.starts_with(|first: char| first.is_ascii_uppercase()) => Shape::Structure(name),
        other => return Err(format!("{other} is not a type")),
    })
}

fn constrain(schema: &mut Schema, word: &'static str) -> Result<(), String> {
    let number = |text: &str| text.parse::<i64>().map_err(|_| format!("{text} is not a number"));
    let length = |text: &str| text.parse::<usize>().map_err(|_| format!("{text} is not a number"));
    if let Some(bound) = word.strip_prefix(">=") {
        schema.minimum = Some(number(bound)?);
    } else if let Some(bound) = word.strip_prefix("<=") {
        schema.maximum = Some(number(bound)?);
    } else if let Some(bound) = word.strip_prefix("min-length=") {
        schema.min_length = Some(length(bound)?);
    } else if let Some(bound) = word.strip_prefix("min-items=") {
        schema.min_items = Some(length(bound)?);
    } else if let Some(text) = word.strip_prefix("default=") {
        schema.default = Some(default(&schema.shape, text));
    } else if let Some(list) = arguments(word, "one-of") {
        schema.one_of = list;
    } else if let Some(list) = arguments(word, "keyed-by") {
        schema.list_type = Some(ListType::KeyedBy(list));
    } else {
        match word {
            "atomic" => schema.list_type = Some(ListType::Atomic),
            "set" => schema.list_type = Some(ListType::Set),
            "preserve-unknown-fields" => schema.preserve_unknown_fields = true,
            other => return Err(format!("{other} is not a constraint")),
        }
    }
    Ok(())
}

/// The arguments of `name(a, b)`; `""` stands for the empty text.
fn arguments(word: &'static str, name: &str) -> Option<Vec<&'static str>> {
    let list = word.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')')?;
    Some(list.split(", ").map(|item| item.trim_matches('"')).collect())
}

fn default(shape: &Shape, text: &str) -> Json {
    match shape {
        Shape::Boolean => Json::Bool(text == "true"),
        Shape::Int32 | Shape::Int64 => text.parse::<i64>().map_or(Json::Null, Json::from),
        _ => Json::String(text.trim_matches('"').to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_structure_is_read() {
        let text = "# note\nKind = string one-of(\"\", a)\nThing atomic \"A thing.\"\n  \
                    @rule \"no\" self.a\n  name!  string min-length=1  \"Its name.\"\n  kind   Kind default=\"\"\n  \
                    ports  [Port] keyed-by(a, b)\n";
        let things = parse(&[text]).unwrap();
        let [thing] = things.as_slice() else { panic!("one structure") };
        assert_eq!((thing.name, thing.description, thing.atomic), ("Thing", "A thing.", true));
        assert_eq!(thing.rules, [Rule { message: "no", expression: "self.a" }]);
        assert!(thing.fields[0].required && thing.fields[0].schema.min_length == Some(1));
        assert_eq!(thing.fields[1].schema.one_of, ["", "a"]);
        assert_eq!(thing.fields[1].schema.default, Some(Json::String(String::new())));
        assert_eq!(thing.fields[2].schema.list_type, Some(ListType::KeyedBy(vec!["a", "b"])));
    }

    #[test]
    fn a_mistake_is_named() {
        assert!(parse(&["Thing\n  name  strin\n"]).unwrap_err().contains("strin is not a type"));
        assert!(parse(&["  name  string\n"]).unwrap_err().contains("outside"));
    }
}
