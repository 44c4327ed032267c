//! `keda explain`: why an object has the replicas it has.

use std::fmt::Write;

use crate::cli::{Explain, Format};
use crate::local::instance::{Answer, Question};
use crate::settings::Settings;
use crate::{FINDINGS, FINE, UNUSABLE};

pub(crate) fn run(arguments: &Explain) -> anyhow::Result<u8> {
    let name = match arguments.object.split_once('/') {
        Some(("trigger" | "triggers", name)) if !name.is_empty() => return super::explain_trigger::run(name),
        Some(("so" | "scaledobject" | "scaledobjects", name)) if !name.is_empty() => name,
        _ => {
            super::complain(&format!(
                "error: {:?} is neither an object nor a trigger type; write so/NAME or trigger/TYPE",
                arguments.object
            ));
            return Ok(UNUSABLE);
        }
    };
    let settings = Settings::from_environment()?;
    let question = Question { namespace: Some(arguments.namespace.clone()), name: Some(name.to_string()) };
    let Some(answers) = super::ask(&arguments.instance, &settings, &question)? else { return Ok(FINDINGS) };
    let Some(answer) = answers.first() else {
        super::complain(&format!("error: there is no ScaledObject {name:?} in namespace {:?}", arguments.namespace));
        return Ok(FINDINGS);
    };
    match arguments.output {
        Some(Format::Json) => super::print(&(serde_json::to_string_pretty(answer)? + "\n"))?,
        Some(Format::Yaml) => super::print(&serde_saphyr::to_string(answer)?)?,
        None => super::print(&explained(name, answer))?,
    }
    Ok(FINE)
}

fn counted(replicas: u32) -> String {
    if replicas == 1 { "1 replica".to_string() } else { format!("{replicas} replicas") }
}

/// The story in words. Writing to a text cannot fail.
fn explained(name: &str, answer: &Answer) -> String {
    let mut text = String::new();
    let replicas = answer.replicas;
    let _ = writeln!(
        text,
        "{name} has {}: {} running, {} ready",
        counted(replicas.wanted),
        replicas.running,
        replicas.ready
    );
    let _ = writeln!(text, "\nTriggers");
    for reading in &answer.view.readings {
        let value = match (&reading.value, &reading.error) {
            (Some(value), None) => value.clone(),
            (Some(value), Some(error)) => format!("{value} by fallback, as the source fails: {error}"),
            (None, Some(error)) => format!("the source fails: {error}"),
            (None, None) => "not read yet".to_string(),
        };
        let age = reading.age.map(|age| format!(", read {:.1} s ago", age.as_secs_f64())).unwrap_or_default();
        let active = if reading.active { "active" } else { "inactive" };
        let _ = writeln!(
            text,
            "  {}: {value} (target {} {}, {active}{age})",
            reading.metric, reading.target, reading.target_type
        );
    }
    if answer.view.readings.is_empty() {
        let _ = writeln!(text, "  cpu and memory, which the HPA measures by itself");
    }
    match &answer.view.composite {
        Some(Ok(value)) => _ = writeln!(text, "  formula: {value}"),
        Some(Err(error)) => _ = writeln!(text, "  formula: {error}"),
        None => {}
    }
    let _ = writeln!(text, "\nBetween nothing and something (the scale loop)");
    match &answer.view.verdict {
        Some(verdict) => _ = writeln!(text, "  {}: {}", verdict.at.strftime("%H:%M:%SZ"), verdict.reason),
        None => _ = writeln!(text, "  nothing was decided yet"),
    }
    let _ = writeln!(text, "\nBetween minimum and maximum (the HorizontalPodAutoscaler)");
    let verdict = match (replicas.wanted, &answer.autoscaler) {
        (0, _) => "nothing to decide: from 0 replicas only the scale loop leads",
        (_, Some(verdict)) => verdict,
        (_, None) => "nothing was decided yet",
    };
    let _ = writeln!(text, "  {verdict}");
    let _ = writeln!(text, "\nLast changes");
    for change in &answer.changes {
        let _ =
            writeln!(text, "  {}  {} → {}: {}", change.at.strftime("%H:%M:%SZ"), change.from, change.to, change.reason);
    }
    if answer.changes.is_empty() {
        let _ = writeln!(text, "  none yet");
    }
    text
}
