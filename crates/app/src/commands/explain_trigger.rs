//! `keda explain trigger/TYPE`: what a trigger type is told, as `kubectl explain` shows fields.

use std::fmt::Write;

use keda_core::metadata::{Kind, Parameter, Source};
use keda_scalers::registry::{self, TriggerType};

use crate::{FINDINGS, FINE};

pub(crate) fn run(name: &str) -> anyhow::Result<u8> {
    let Some(row) = registry::find(name) else {
        let hint = match registry::similar(name) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => "`keda schema triggers` lists all".to_string(),
        };
        super::complain(&format!("error: there is no trigger type {name:?}; {hint}"));
        return Ok(FINDINGS);
    };
    super::print(&explained(row))?;
    Ok(FINE)
}

/// The page. Writing to a text cannot fail.
fn explained(row: &TriggerType) -> String {
    let mut text = format!("TYPE: {}\n\n{}\n\nPARAMETERS\n", row.name, (row.summary)());
    for parameter in (row.parameters)() {
        let names = parameter.names.join(", ");
        let need = match (parameter.default, parameter.required()) {
            (Some(default), _) => format!(" = {default:?}"),
            (None, true) => " required".to_string(),
            (None, false) => String::new(),
        };
        let _ = writeln!(text, "  {names} <{}>{need}", kind(parameter.kind));
        let _ = writeln!(text, "    {}", parameter.doc);
        if !parameter.one_of.is_empty() {
            let _ = writeln!(text, "    One of: {}.", parameter.one_of.join(", "));
        }
        if let Some(message) = parameter.deprecated.or(parameter.announce) {
            let _ = writeln!(text, "    Deprecated: {message}");
        }
        let _ = writeln!(text, "    From: {}.\n", sources(parameter));
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Secret => "secret",
        Kind::Boolean => "boolean",
        Kind::Integer => "integer",
        Kind::Number => "number",
        Kind::Duration => "duration",
        Kind::List => "list",
        Kind::Map => "map",
        Kind::UrlValues => "query string",
    }
}

/// The places, in the order of the search.
fn sources(parameter: &Parameter) -> String {
    let name = parameter.name();
    let place = |source: &Source| match source {
        Source::Trigger => "metadata".to_string(),
        Source::Environment => format!("the variable that metadata.{name}FromEnv names"),
        Source::Authentication => "TriggerAuthentication".to_string(),
    };
    parameter.sources.iter().map(place).collect::<Vec<_>>().join(", then ")
}
