//! Further events about an object: what is wrong with it, and what its triggers say beside that they work
//! (`KEDAScalerInfo`).

use keda_core::api::ScaledObject;
use keda_core::engine::Severity;
use keda_core::problem::{Path, Problem, Step};
use keda_core::rule;

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) severity: Severity,
    pub(super) reason: &'static str,
    pub(super) text: String,
}

impl Note {
    pub(super) fn warning(reason: &'static str, text: impl Into<String>) -> Self {
        Note { severity: Severity::Warning, reason, text: text.into() }
    }
}

/// What is told of the triggers of an object that can be scaled: that a parameter will go, and with `unknown_keys` which
/// keys nothing reads. The texts are KEDA's.
pub(super) fn of_triggers(object: &ScaledObject, problems: &[Problem], unknown_keys: bool) -> Vec<Note> {
    let reason = "KEDAScalerInfo";
    let note = |problem: &Problem| {
        let (index, key) = place(&problem.path)?;
        let trigger = object.spec.triggers.get(index)?;
        if problem.rule == rule::DEPRECATED_PARAMETER {
            let text = format!("scaler {} info: {}", trigger.r#type, problem.message);
            Some(Note { severity: Severity::Normal, reason, text })
        } else if problem.rule == rule::UNKNOWN_METADATA_KEY && unknown_keys {
            let name = trigger.name.as_ref().filter(|name| !name.is_empty());
            let (key, name) = (key?, name.map(|name| format!(" ({name})")).unwrap_or_default());
            Some(Note::warning(reason, format!("Unmatched input property {key} in scaler {}{name}", trigger.r#type)))
        } else {
            None
        }
    };
    problems.iter().filter_map(note).collect()
}

/// Logs which references of triggers lead nowhere: the trigger goes on without what should stand there.
pub(super) fn log_missing(object: &ScaledObject, problems: &[Problem]) {
    let is_reference = |rule| rule == rule::MISSING_AUTHENTICATION || rule == rule::MISSING_AUTHENTICATION_VALUE;
    for problem in problems.iter().filter(|problem| is_reference(problem.rule)) {
        let (namespace, name) = (object.metadata.namespace(), &object.metadata.name);
        tracing::warn!(namespace, %name, at = %problem.path, "{}", problem.message);
    }
}

/// The position of the trigger that a path leads into, and the key of its metadata.
fn place(path: &Path) -> Option<(usize, Option<&str>)> {
    let [Step::Key(spec), Step::Key(triggers), Step::Index(index), rest @ ..] = path.0.as_slice() else { return None };
    let key = match rest {
        [Step::Key(metadata), Step::Key(key), ..] if metadata == "metadata" => Some(key.as_str()),
        _ => None,
    };
    (spec == "spec" && triggers == "triggers").then_some((*index, key))
}

#[cfg(test)]
mod tests {
    use keda_core::api::Trigger;
    use std::sync::Arc;

    use super::*;

    fn object(name: Option<&str>) -> ScaledObject {
        let mut object = ScaledObject::default();
        let trigger = Trigger { r#type: "temporal".into(), name: name.map(String::from), ..Trigger::default() };
        Arc::make_mut(&mut object.spec).triggers = vec![trigger];
        object
    }

    fn at(key: &str) -> Path {
        Path::root().key("spec").key("triggers").index(0).key("metadata").key(key)
    }

    #[test]
    fn deprecated_parameters_are_always_told_and_unknown_keys_only_when_asked_for() {
        let problems = [
            Problem::warning(rule::DEPRECATED_PARAMETER, at("buildId"), "buildId will go"),
            Problem::warning(rule::UNKNOWN_METADATA_KEY, at("queueFromEnv"), "nothing reads it"),
            Problem::warning(rule::UNKNOWN_ENVIRONMENT, at("queueFromEnv"), "no such variable"),
        ];
        let texts = |name, unknown_keys| -> Vec<(Severity, String)> {
            let notes = of_triggers(&object(name), &problems, unknown_keys);
            notes.into_iter().map(|note| (note.severity, note.text)).collect()
        };
        let deprecated = (Severity::Normal, "scaler temporal info: buildId will go".to_string());
        assert_eq!(texts(None, false), std::slice::from_ref(&deprecated));
        let unknown = "Unmatched input property queueFromEnv in scaler temporal (orders)".to_string();
        assert_eq!(texts(Some("orders"), true), [deprecated, (Severity::Warning, unknown)]);
        assert!(texts(None, true)[1].1.ends_with("in scaler temporal"));
    }
}
