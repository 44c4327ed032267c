//! `keda schema triggers` beside KEDA's own schema, and what the docs say about the differences.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

/// The parameters of each type, by name.
type Types = BTreeMap<String, BTreeMap<String, Value>>;

/// What KEDA's schema does not say, or says in another way.
#[derive(Debug)]
struct Difference {
    r#type: String,
    parameter: String,
    /// The field that differs; none for a parameter that KEDA's schema does not have.
    field: Option<String>,
}

/// A row of the table in the docs.
#[derive(Debug)]
struct Row {
    line: String,
    /// Types, `azure-…` for all that begin so, and `-cluster` for what those before it are with that in their names.
    types: Vec<String>,
    field: Option<&'static str>,
    parameters: Vec<String>,
    /// Whether the row names only some of the parameters.
    names_some: bool,
}

#[test]
fn every_difference_from_kedas_schema_is_told_in_the_docs() {
    let root = Path::new("../..");
    let Ok(reference) = std::fs::read(root.join("../shared/reference/scalers-schema.json")) else {
        println!("left out: there is no ../shared/reference/scalers-schema.json");
        return;
    };
    let output = crate::program::keda().args(["schema", "triggers"]).output().expect("keda runs");
    let (theirs, ours) = (types(&reference), types(&output.stdout));
    assert_eq!(theirs.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>());

    let docs = std::fs::read_to_string(root.join("docs/compatibility.md")).expect("the docs");
    let rows = rows(&docs);
    let mut used = BTreeSet::new();
    for difference in differences(&theirs, &ours) {
        let row = rows.iter().position(|row| row.tells(&difference));
        used.insert(row.unwrap_or_else(|| panic!("docs/compatibility.md does not tell of {difference:?}")));
    }
    let unused: Vec<&str> =
        (0..rows.len()).filter(|row| !used.contains(row)).map(|row| rows[row].line.as_str()).collect();
    assert!(unused.is_empty(), "docs/compatibility.md tells of differences that there are not: {unused:#?}");
}

fn types(schema: &[u8]) -> Types {
    let schema: Value = serde_json::from_slice(schema).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_string();
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let parameters = |one: &Value| list(&one["parameters"]).into_iter().map(|one| (text(&one["name"]), one)).collect();
    list(&schema["scalers"]).iter().map(|one| (text(&one["type"]), parameters(one))).collect()
}

fn differences(theirs: &Types, ours: &Types) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (name, own) in ours {
        let known = &theirs[name];
        let missing: Vec<&String> = known.keys().filter(|parameter| !own.contains_key(*parameter)).collect();
        assert!(missing.is_empty(), "{name} does not have {missing:?}");
        for (parameter, own) in own {
            let fields = match known.get(parameter) {
                None => vec![None],
                Some(known) => different_fields(known, own).into_iter().map(Some).collect(),
            };
            let of = |field| Difference { r#type: name.clone(), parameter: parameter.clone(), field };
            differences.extend(fields.into_iter().map(of));
        }
    }
    differences
}

fn different_fields(one: &Value, other: &Value) -> Vec<String> {
    let keys =
        |value: &Value| value.as_object().into_iter().flat_map(|map| map.keys().cloned()).collect::<BTreeSet<_>>();
    keys(one).union(&keys(other)).filter(|key| one.get(key) != other.get(key)).cloned().collect()
}

/// The rows below the heading of the section.
fn rows(docs: &str) -> Vec<Row> {
    let section = docs.split("\n## ").find(|section| section.starts_with("`keda schema triggers`")).expect("a section");
    let rows: Vec<Row> = section.lines().filter(|line| line.starts_with("| `")).map(Row::read).collect();
    assert!(!rows.is_empty());
    rows
}

impl Row {
    fn read(line: &str) -> Self {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let (types, difference) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        let is_optional = difference.ends_with("`optional`");
        let parameters: Vec<String> = code(difference).into_iter().filter(|word| word != "optional").collect();
        Row {
            line: line.to_string(),
            types: code(types),
            field: is_optional.then_some("optional"),
            names_some: parameters.is_empty() || difference.contains('…'),
            parameters,
        }
    }

    fn tells(&self, difference: &Difference) -> bool {
        self.is_about(&difference.r#type)
            && self.field == difference.field.as_deref()
            && (self.names_some || self.parameters.contains(&difference.parameter))
    }

    fn is_about(&self, name: &str) -> bool {
        self.types.iter().any(|word| match (word.strip_suffix('…'), word.starts_with('-')) {
            (Some(start), _) => name.starts_with(start),
            (None, true) => name.contains(word) && self.types.contains(&name.replacen(word, "", 1)),
            (None, false) => word == name,
        })
    }
}

/// What stands in backticks.
fn code(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_string).collect()
}
