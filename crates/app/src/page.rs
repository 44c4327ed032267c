//! The pages about trigger types, in Markdown.

use std::fmt::Write;

use keda_core::hpa::{MetricSpec, MetricTarget, TargetType};
use keda_core::manifest::Source as Text;
use keda_core::metadata::{Parameter, Source};
use keda_core::resolve::Lenience;
use keda_scalers::registry::{CATALOGUE, TriggerType};

use crate::example::{Style, manifests, objects};
use crate::project::Project;

/// The page about one type. Writing to a text cannot fail.
pub(crate) fn of(row: &TriggerType) -> String {
    let mut text = format!("# {}\n\n{}\n", row.name, (row.summary)());
    let prose = row.prose();
    if !prose.is_empty() {
        let _ = write!(text, "\n{prose}\n");
    }
    if !row.is_read() {
        text += "\nManifests with this type can be checked and rendered. Its source is not read yet: each reading fails \
                 with an error of the kind `unsupported`.\n";
    }
    let style = Style { name: "worker", target: "worker", commented: false };
    if let (Some(example), Some(objects)) = (manifests(row, style), objects(row, style)) {
        let _ = write!(text, "\n## Example\n\n```yaml\n{example}```\n\n{}\n", metric(objects));
    }
    let _ = write!(text, "\n## Parameters\n\n{}", table(&(row.parameters)()));
    let _ = write!(text, "\n`keda new {}` prints a manifest to start from. [KEDA's page]({}).\n", row.name, row.page());
    text
}

/// The list of all pages.
pub(crate) fn index() -> String {
    let mut text = "# Trigger types\n\n| type | |\n|---|---|\n".to_string();
    let mut rows: Vec<&TriggerType> = CATALOGUE.iter().collect();
    rows.sort_by_key(|row| row.name);
    for row in rows {
        let _ = writeln!(text, "| [{0}]({0}.md) | {1} |", row.name, cell((row.summary)()));
    }
    text + "\nThese pages are printed by `keda docs`.\n"
}

/// What an HPA is told, by the example.
fn metric(objects: String) -> String {
    let lenience = Lenience { targets: true, references: true, stores: true };
    let project = Project::new(&[Text::new("example.yaml", objects)], lenience);
    let hpa = project.plans.first().and_then(|plan| plan.hpa.as_ref());
    let Some(metric) = hpa.and_then(|hpa| hpa.spec.metrics.first()) else {
        return "Only the source knows the metrics: they are asked for when the object is set up.".to_string();
    };
    let (kind, name, target) = match metric {
        MetricSpec::External(external) => ("external metric", external.metric.name.as_str(), &external.target),
        MetricSpec::Resource(resource) => ("resource metric", resource.name.as_str(), &resource.target),
        MetricSpec::ContainerResource(resource) => ("container metric", resource.name.as_str(), &resource.target),
        MetricSpec::Pods(_) | MetricSpec::Object(_) => return String::new(),
    };
    format!("The HorizontalPodAutoscaler then has the {kind} `{name}` with {}.", aim(target))
}

fn aim(target: &MetricTarget) -> String {
    let per_replica = target.average_value.as_ref().map(|value| format!("a target of {value} per replica"));
    let total = target.value.as_ref().map(|value| format!("a target of {value} in all"));
    let share = target.average_utilization.map(|percent| format!("a target of {percent} % of what the pods request"));
    let told = match target.target_type {
        TargetType::AverageValue => per_replica,
        TargetType::Value => total,
        TargetType::Utilization => share,
    };
    told.unwrap_or_else(|| "a target".to_string())
}

fn table(parameters: &[&Parameter]) -> String {
    if parameters.is_empty() {
        return "None.\n".to_string();
    }
    let mut text = "| parameter | value | given in | |\n|---|---|---|---|\n".to_string();
    for parameter in parameters {
        let names: Vec<String> = parameter.names.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            names.join(", also "),
            cell(&value(parameter)),
            places(parameter),
            cell(&explanation(parameter)),
        );
    }
    text
}

/// Its type, and whether it must be given.
fn value(parameter: &Parameter) -> String {
    let need = match parameter.default {
        Some(default) if !default.is_empty() => format!(", `{default}` if not given"),
        _ if parameter.required() => ", required".to_string(),
        _ => String::new(),
    };
    format!("{}{need}", parameter.kind.name())
}

fn explanation(parameter: &Parameter) -> String {
    let mut text = parameter.doc.to_string();
    if !parameter.one_of.is_empty() {
        let words: Vec<String> = parameter.one_of.iter().map(|word| format!("`{word}`")).collect();
        let _ = write!(text, " One of {}.", words.join(", "));
    }
    if let Some(message) = parameter.deprecated {
        let _ = write!(text, " **No longer allowed:** {message}");
    }
    if let Some(message) = parameter.announce {
        let _ = write!(text, " **Deprecated:** {message}");
    }
    text
}

/// The places, in the order of the search.
fn places(parameter: &Parameter) -> String {
    let place = |source: &Source| match source {
        Source::Trigger => "`metadata`".to_string(),
        Source::Environment => format!("`{}FromEnv`", parameter.name()),
        Source::Authentication => "TriggerAuthentication".to_string(),
    };
    parameter.sources.iter().map(place).collect::<Vec<_>>().join(", ")
}

/// A text that does not end its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
