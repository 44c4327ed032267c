//! The keys that a trigger's metadata may have.

use std::collections::BTreeSet;

use super::{Inputs, Parameter, Source};
use crate::problem::{Path, Problem, did_you_mean, did_you_mean_part};
use crate::rule;

/// The keys of a trigger type.
#[derive(Debug)]
pub(super) struct Keys {
    parameters: Vec<&'static Parameter>,
    known: BTreeSet<String>,
}

impl Keys {
    /// The keys by which parameters can be given.
    pub(super) fn of(parameters: Vec<&'static Parameter>) -> Self {
        let mut known = BTreeSet::new();
        for parameter in &parameters {
            for name in parameter.names {
                if parameter.reads(Source::Trigger) {
                    known.insert((*name).to_string());
                }
                if parameter.reads(Source::Environment) {
                    known.insert(format!("{name}FromEnv"));
                }
            }
        }
        Keys { parameters, known }
    }

    /// The keys that nothing reads. A star in a name stands for any text.
    pub(super) fn unknown<'a>(&'a self, inputs: &'a Inputs) -> impl Iterator<Item = &'a str> {
        let matches = |key: &str, name: &str| {
            name.split_once('*').is_some_and(|(start, end)| key.starts_with(start) && key.ends_with(end))
        };
        let is_known = move |key: &str| self.known.contains(key) || self.known.iter().any(|name| matches(key, name));
        inputs.metadata.keys().map(String::as_str).filter(move |key| !is_known(key))
    }

    /// The unknown key that was most likely meant to give a parameter which is missing: one that looks like it, or the only
    /// one that is no parameter in a wrong place.
    pub(super) fn meant_as<'a>(&'a self, inputs: &'a Inputs, parameter: &Parameter) -> Option<&'a str> {
        let strangers: Vec<&str> = self.unknown(inputs).filter(|key| self.elsewhere(key).is_none()).collect();
        let names = || parameter.names.iter().copied();
        let close = strangers.iter().find(|key| did_you_mean(key, names()).is_some());
        let alike = || strangers.iter().find(|key| did_you_mean_part(key, names()).is_some());
        let only = || strangers.first().filter(|_| strangers.len() == 1);
        close.or_else(alike).or_else(only).copied()
    }

    /// A warning of a key that nothing reads, as KEDA ignores it.
    pub(super) fn problem(&self, key: &str, trigger_type: &str) -> Problem {
        let path = Path::root().key("metadata").key(key);
        let message = format!("unknown metadata key {key:?} of a {trigger_type:?} trigger: it is ignored");
        let problem = Problem::warning(rule::UNKNOWN_METADATA_KEY, path, message).at_key();
        let names = self.known.iter().map(String::as_str);
        match (self.elsewhere(key), did_you_mean_part(key, names)) {
            (Some(parameter), _) => problem.with_help(format!("it is not read here; {}", whereabouts(parameter))),
            (None, meant) => problem.with_suggestion(meant),
        }
    }

    /// The parameter of a key that cannot be given in the metadata.
    fn elsewhere(&self, key: &str) -> Option<&'static Parameter> {
        self.parameters.iter().copied().find(|parameter| parameter.names.contains(&key))
    }
}

/// Where a parameter can be given, as advice.
pub(super) fn whereabouts(parameter: &Parameter) -> String {
    let name = parameter.name();
    let places: Vec<String> = parameter
        .sources
        .iter()
        .map(|source| match source {
            Source::Trigger => format!("metadata.{name}"),
            Source::Environment => format!("metadata.{name}FromEnv (a variable of the target's container)"),
            Source::Authentication => format!("parameter {name} of a TriggerAuthentication"),
        })
        .collect();
    format!("give it as {}", places.join(", or "))
}
