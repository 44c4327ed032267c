//! Manifests that use a trigger type, made of its example.

use std::collections::BTreeMap;
use std::fmt::Write;

use keda_core::manifest::parse_value;
use keda_core::metadata::{Kind, Parameter, Source};
use keda_scalers::registry::TriggerType;
use serde_json::Value;

/// The width of comments, without their indentation.
const WIDTH: usize = 90;
/// Where a trigger's own lines begin: it is an element of `spec.triggers`.
const INDENTATION: &str = "      ";

/// How a manifest is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style<'a> {
    /// The name of the object.
    pub(crate) name: &'a str,
    /// The name of the Deployment that is scaled.
    pub(crate) target: &'a str,
    /// Whether every setting is explained, and the ones that are left out are listed.
    pub(crate) commented: bool,
}

/// A ScaledObject, and the TriggerAuthentication and Secrets that it needs.
pub(crate) fn manifests(row: &TriggerType, style: Style<'_>) -> Option<String> {
    Some(objects(row, style)? + &secrets(&parse_value(row.example()?.authentication).ok()?))
}

/// The same without the Secrets, in which there are words to be replaced.
pub(crate) fn objects(row: &TriggerType, style: Style<'_>) -> Option<String> {
    let example = row.example()?;
    let trigger = parse_value(example.trigger).ok()?;
    let mut text = head(row, style);
    for (number, line) in trigger_lines(row, example.trigger, style).iter().enumerate() {
        let indentation = if number == 0 { "    - " } else { INDENTATION };
        let _ = writeln!(text, "{}", format!("{indentation}{line}").trim_end());
    }
    if let Some(name) = trigger.pointer("/authenticationRef/name").and_then(Value::as_str) {
        let _ = write!(text, "---\n{}  name: {name}\nspec:\n", object("keda.sh/v1alpha1", "TriggerAuthentication"));
        example.authentication.lines().for_each(|line| _ = writeln!(text, "  {line}"));
    }
    Some(text)
}

fn object(api_version: &str, kind: &str) -> String {
    format!("apiVersion: {api_version}\nkind: {kind}\nmetadata:\n")
}

fn head(row: &TriggerType, Style { name, target, commented }: Style<'_>) -> String {
    let mut text = String::new();
    if commented {
        text = comment("", (row.summary)());
        let _ = write!(
            text,
            "#\n# `keda explain trigger/{}` tells more. `keda validate -f FILE` checks the result.\n",
            row.name
        );
    }
    text += &object("keda.sh/v1alpha1", "ScaledObject");
    let _ = write!(text, "  name: {name}\nspec:\n  scaleTargetRef:\n");
    if commented {
        text +=
            "    # A Deployment of the same namespace. Anything else that can be scaled needs apiVersion and kind.\n";
    }
    let _ = writeln!(text, "    name: {target}");
    text += &bounds(row, commented);
    text + "  triggers:\n"
}

/// What cannot wake up its target has one replica at least.
fn bounds(row: &TriggerType, commented: bool) -> String {
    let measures_pods = matches!(row.name, "cpu" | "memory");
    let settings: &[(&str, &str)] = match (measures_pods, commented) {
        (true, true) => &[("The fewest replicas; the trigger cannot start the first one.", "minReplicaCount: 1")],
        (true, false) => &[("", "minReplicaCount: 1")],
        (false, true) => &[
            ("The fewest replicas. With 0 there are none while there is no work.", "minReplicaCount: 0"),
            ("Seconds between two looks at the source.", "pollingInterval: 30"),
            ("Seconds without work before the last replica goes.", "cooldownPeriod: 300"),
        ],
        (false, false) => &[],
    };
    let most = commented.then_some(("The most replicas.", "maxReplicaCount: 10"));
    let mut text = String::new();
    for (explanation, setting) in settings.iter().copied().chain(most) {
        if commented {
            text += &comment("  ", explanation);
        }
        let _ = writeln!(text, "  {setting}");
    }
    text
}

/// The lines of the trigger; where wanted with explanations, and with the parameters that are left out.
fn trigger_lines(row: &TriggerType, trigger: &str, style: Style<'_>) -> Vec<String> {
    if !style.commented {
        return trigger.lines().map(str::to_string).collect();
    }
    let parameters = (row.parameters)();
    let mut lines = Vec::new();
    let mut given = Vec::new();
    let mut in_metadata = false;
    for line in trigger.lines() {
        let key = line.strip_prefix("  ").filter(|rest| !rest.starts_with([' ', '-', '#'])).and_then(key_of);
        if !line.starts_with(' ') {
            if std::mem::take(&mut in_metadata) {
                lines.extend(left_out(&parameters, &given));
            }
            in_metadata = line.trim_end() == "metadata:";
        } else if let (true, Some(key)) = (in_metadata, key) {
            if let Some(parameter) = parameters.iter().find(|parameter| names(parameter, key)) {
                lines.extend(comment("  ", parameter.doc).lines().map(str::to_string));
            }
            given.push(key);
        }
        lines.push(line.to_string());
    }
    if in_metadata {
        lines.extend(left_out(&parameters, &given));
    }
    lines
}

fn key_of(line: &str) -> Option<&str> {
    line.split_once(':').map(|(key, _)| key.trim_matches(['"', '\'']))
}

/// Whether a key gives a parameter, or names the variable that does.
fn names(parameter: &Parameter, key: &str) -> bool {
    let named = key.strip_suffix("FromEnv").filter(|_| parameter.reads(Source::Environment)).unwrap_or(key);
    parameter.names.iter().any(|name| *name == named || *name == key)
}

/// The optional parameters that may stand in the metadata and do not, as comments.
fn left_out(parameters: &[&Parameter], given: &[&str]) -> Vec<String> {
    let open = parameters.iter().filter(|parameter| {
        let is_given = given.iter().any(|key| names(parameter, key));
        parameter.reads(Source::Trigger) && !is_given && parameter.deprecated.or(parameter.announce).is_none()
    });
    let mut lines = Vec::new();
    for parameter in open {
        lines.push("  #".to_string());
        lines.extend(comment("  ", parameter.doc).lines().map(str::to_string));
        let any = if parameter.kind == Kind::Boolean { "true" } else { "…" };
        let value = parameter.default.or(parameter.one_of.first().copied()).unwrap_or(any);
        lines.push(format!("  # {}: {value:?}", parameter.name()));
    }
    lines
}

/// The Secrets that a TriggerAuthentication reads, with words to be replaced.
fn secrets(authentication: &Value) -> String {
    let mut secrets: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for reference in authentication["secretTargetRef"].as_array().into_iter().flatten() {
        if let (Some(name), Some(key)) = (reference["name"].as_str(), reference["key"].as_str()) {
            secrets.entry(name).or_default().push(key);
        }
    }
    let mut text = String::new();
    for (name, mut keys) in secrets {
        keys.sort_unstable();
        keys.dedup();
        let _ = write!(text, "---\n{}  name: {name}\nstringData:\n", object("v1", "Secret"));
        keys.iter().for_each(|key| _ = writeln!(text, "  {key}: change-me"));
    }
    text
}

fn comment(indentation: &str, text: &str) -> String {
    textwrap::wrap(text, WIDTH).iter().fold(String::new(), |mut lines, line| {
        let _ = writeln!(lines, "{indentation}# {line}");
        lines
    })
}
