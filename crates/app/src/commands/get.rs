//! `keda get`: objects of a running `keda up`, with KEDA's columns.

use comfy_table::Table;
use comfy_table::presets;
use serde_json::Value;

use crate::cli::{Format, Get};
use crate::local::instance::{self, Answer, Question};
use crate::settings::Settings;
use crate::{FINDINGS, FINE, UNUSABLE};

/// The columns of the CustomResourceDefinition, after the name.
const COLUMNS: &[(&str, &str)] = &[
    ("SCALETARGETKIND", "/status/scaleTargetKind"),
    ("SCALETARGETNAME", "/spec/scaleTargetRef/name"),
    ("MIN", "/spec/minReplicaCount"),
    ("MAX", "/spec/maxReplicaCount"),
    ("READY", "Ready"),
    ("ACTIVE", "Active"),
    ("FALLBACK", "Fallback"),
    ("PAUSED", "Paused"),
    ("TRIGGERS", "/status/triggersTypes"),
    ("AUTHENTICATIONS", "/status/authenticationsTypes"),
];

pub(crate) fn run(arguments: &Get) -> anyhow::Result<u8> {
    if !matches!(arguments.kind.as_str(), "scaledobject" | "scaledobjects" | "so" | "scaledobjects.keda.sh") {
        super::complain(&format!("error: there is no kind {:?} here; try scaledobject", arguments.kind));
        return Ok(UNUSABLE);
    }
    let settings = Settings::from_environment()?;
    let question = Question { namespace: arguments.namespace.clone(), name: arguments.name.clone() };
    let Some(answers) = super::ask(&arguments.instance, &settings, &question)? else { return Ok(FINDINGS) };
    if let (true, Some(name)) = (answers.is_empty(), &arguments.name) {
        super::complain(&format!("error: there is no ScaledObject {name:?}"));
        return Ok(FINDINGS);
    }
    match arguments.output {
        Some(format) => print(&answers, arguments.name.is_some(), format)?,
        None if answers.is_empty() => super::complain("No resources found"),
        None => super::print(&table(&answers))?,
    }
    Ok(FINE)
}

fn print(answers: &[Answer], single: bool, format: Format) -> anyhow::Result<()> {
    let objects: Vec<&Value> = answers.iter().map(|answer| &answer.object).collect();
    match (objects.as_slice(), single, format) {
        ([object], true, Format::Json) => super::print(&(serde_json::to_string_pretty(object)? + "\n")),
        _ => super::print_objects(&objects, format),
    }
}

fn table(answers: &[Answer]) -> String {
    let namespace = |answer: &Answer| text(answer.object.pointer("/metadata/namespace"));
    let several = answers.iter().any(|answer| namespace(answer) != answers.first().map(namespace).unwrap_or_default());
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let first = if several { vec!["NAMESPACE", "NAME"] } else { vec!["NAME"] };
    table.set_header(first.into_iter().chain(COLUMNS.iter().map(|(name, _)| *name)).chain(["AGE"]));
    for answer in answers {
        let object = &answer.object;
        let mut row = if several { vec![namespace(answer)] } else { Vec::new() };
        row.push(text(object.pointer("/metadata/name")));
        row.extend(COLUMNS.iter().map(|(_, place)| match place.starts_with('/') {
            true => text(object.pointer(place)),
            false => condition(object, place),
        }));
        row.push(instance::age(answer.age_seconds));
        table.add_row(row);
    }
    table.to_string().lines().map(|line| format!("{}\n", line.trim())).collect()
}

fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn condition(object: &Value, kind: &str) -> String {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let found = conditions.into_iter().flatten().find(|condition| condition["type"] == kind);
    text(found.and_then(|condition| condition.get("status")))
}
