//! `keda explain trigger/TYPE`: what a trigger type is told, as `kubectl explain` shows fields.

use std::fmt::Write;

use keda_core::metadata::{Parameter, Source};
use keda_scalers::registry::TriggerType;

use crate::FINE;

pub(crate) fn run(name: &str) -> anyhow::Result<u8> {
    match super::trigger_type(name) {
        Ok(row) => {
            super::print(&explained(row))?;
            Ok(FINE)
        }
        Err(code) => Ok(code),
    }
}

/// The width of descriptions.
const WIDTH: usize = 100;

/// The page. Writing to a text cannot fail.
fn explained(row: &TriggerType) -> String {
    let mut text = format!("TYPE: {}\n\n{}\n\n", row.name, (row.summary)());
    let prose = row.prose();
    if !prose.is_empty() {
        let _ = writeln!(text, "{prose}\n");
    }
    if let Some(example) = row.example() {
        let _ = writeln!(text, "EXAMPLE\n{}\n", textwrap::indent(example.trigger, "  "));
    }
    text += "PARAMETERS\n";
    for parameter in (row.parameters)() {
        let names = parameter.names.join(", ");
        let need = match (parameter.default, parameter.required()) {
            (Some(default), _) => format!(" = {default:?}"),
            (None, true) => " required".to_string(),
            (None, false) => String::new(),
        };
        let _ = writeln!(text, "  {names} <{}>{need}", parameter.kind.name());
        let _ = writeln!(text, "{}", textwrap::indent(&textwrap::fill(parameter.doc, WIDTH), "    "));
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
