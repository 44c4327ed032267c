//! Looks parameters up, converts them, and reports what is wrong with them.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};

use super::keys::{Keys, whereabouts};
use super::{Context, Environment, Hidden, Inputs, Kind, Metadata, Parameter, Source, Value};
use crate::problem::{Path, Problem, did_you_mean};
use crate::rule;
use crate::secret::Secret;

/// What messages show in place of a text from a TriggerAuthentication or the environment: any of them may be a secret
/// that was put in the wrong place.
const HIDDEN: &str = "***";

/// Texts of the kinds that rules between parameters tell apart.
const ANY: [&str; 3] = ["1", "http://localhost/", "amqp://localhost/"];

/// Reads the parameters of one trigger.
#[derive(Debug)]
pub struct Reader<'a> {
    inputs: &'a Inputs,
    context: &'a Context,
    keys: Keys,
    problems: Vec<Problem>,
    fingerprint: Fingerprint,
}

/// A parsed trigger and what identifies its query.
#[derive(Debug)]
pub struct Parsed<T> {
    /// The trigger.
    pub value: T,
    /// Errors and warnings; with an error among them the value must not be used.
    pub problems: Vec<Problem>,
    /// The same for triggers with the same type, parameters and identity, whatever place the values came from. It
    /// tells nothing about the values.
    pub fingerprint: u128,
}

/// Parses a trigger: the struct and all problems, errors and warnings.
pub fn parse<T: Metadata>(inputs: &Inputs, context: &Context) -> (T, Vec<Problem>) {
    let parsed = parse_with_fingerprint::<T>(inputs, context);
    (parsed.value, parsed.problems)
}

/// As [`parse`], and says which triggers ask the same of the same source.
pub fn parse_with_fingerprint<T: Metadata>(inputs: &Inputs, context: &Context) -> Parsed<T> {
    let mut parsed = parse_once::<T>(inputs, context);
    let is_rule = |problem: &Problem| problem.rule == rule::INVALID_METADATA;
    if inputs.hidden == Hidden::Everything {
        parsed.problems.retain(|problem| !is_rule(problem));
    } else if inputs.is_partial() && parsed.problems.iter().any(is_rule) {
        // A value that is not known here may be what a rule misses. What is broken with any value there is broken.
        for text in ANY {
            let again = parse_once::<T>(&inputs.filled_in(text), context).problems;
            let persists = |problem: &Problem| again.iter().any(|other| other.message == problem.message);
            parsed.problems.retain(|problem| !is_rule(problem) || persists(problem));
        }
    }
    parsed
}

fn parse_once<T: Metadata>(inputs: &Inputs, context: &Context) -> Parsed<T> {
    let fingerprint = Fingerprint::new(context);
    let keys = Keys::of([T::parameters(), T::unlisted()].concat());
    let mut reader = Reader { inputs, context, keys, problems: Vec::new(), fingerprint };
    let value = T::read(&mut reader);
    reader.report_unknown_keys();
    Parsed { value, problems: reader.problems, fingerprint: reader.fingerprint.finish() }
}

impl<'a> Reader<'a> {
    /// Where the trigger stands.
    pub fn context(&self) -> &'a Context {
        self.context
    }

    /// The texts that are read, for the few parameters that have no type: cloud credentials looked up raw.
    pub fn inputs(&self) -> &'a Inputs {
        self.inputs
    }

    /// All metadata, for a source that is sent it: as written, with the variable's value in place of its name where the
    /// key ends in `FromEnv`; such a key is left out when its variable is not set.
    pub fn all(&mut self) -> BTreeMap<String, Secret> {
        let mut all = BTreeMap::new();
        for (key, written) in &self.inputs.metadata {
            let text = if key.ends_with("FromEnv") {
                self.inputs.environment.get(written).filter(|value| !value.is_empty())
            } else {
                Some(written.as_str())
            };
            if let Some(text) = text {
                self.fingerprint.add(key, text);
                all.insert(key.clone(), Secret::new(text));
            }
        }
        all
    }

    /// Says of keys that name variables, and that the trigger looks up by itself, where these are not known here.
    pub fn looks_up(&mut self, keys: &[&str]) {
        for key in keys {
            if let Some(variable) = self.inputs.metadata.get(*key).filter(|name| self.inputs.environment.hides(name)) {
                self.report_unknown_variable(key, variable);
            }
        }
    }

    /// Adds to what tells this query from others: what is asked for beside the parameters, such as the namespace of
    /// the object.
    pub fn asks_for(&mut self, what: &str, text: &str) {
        self.fingerprint.add(what, text);
    }

    /// Reports an error of the metadata as a whole, such as a rule between parameters: at the first key that the message
    /// names and the user wrote, if there is one.
    pub fn error(&mut self, message: impl Into<String>) {
        let message = message.into();
        let metadata = Path::root().key("metadata");
        let path = self.key_named_in(&message).map_or(metadata.clone(), |key| metadata.key(key));
        self.problems.push(Problem::error(rule::INVALID_METADATA, path, message));
    }

    fn key_named_in(&self, message: &str) -> Option<String> {
        // "value" is mostly meant as the word that it is.
        let words = message.split(|character: char| !character.is_alphanumeric());
        let words = words.filter(|word| !word.is_empty() && *word != "value");
        let written = |word: &str| {
            let keys = [word.to_string(), format!("{word}FromEnv")];
            keys.into_iter().find(|key| self.inputs.metadata.contains_key(key.as_str()))
        };
        words.into_iter().find_map(written)
    }

    /// Reports an error of a field of the trigger beside its metadata.
    pub fn error_beside(&mut self, field: &str, message: impl Into<String>) {
        self.problems.push(Problem::error(rule::INVALID_METADATA, Path::root().key(field), message));
    }

    /// Reports an error of one parameter, at the key that the user wrote.
    pub fn error_at(&mut self, name: &str, message: impl Into<String>) {
        let key = if self.inputs.metadata.contains_key(name) { name.to_string() } else { format!("{name}FromEnv") };
        self.problems.push(Problem::error(rule::INVALID_METADATA, Path::root().key("metadata").key(key), message));
    }

    /// Whether an error was reported so far.
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == crate::problem::Severity::Error)
    }

    /// Reads one parameter; the zero value where it is absent or wrong.
    pub fn read<T: Value>(&mut self, parameter: &'static Parameter) -> T {
        let (text, path, hidden) = match self.find(parameter) {
            Some((text, path, source)) => {
                if let Some(message) = parameter.deprecated {
                    let message = format!("scaler {} info: {message}", self.context.trigger_type);
                    self.problems.push(Problem::error(rule::DEPRECATED_PARAMETER, path, message).at_key());
                    return T::default();
                }
                // What is said of the whole type is nothing that the user could change here.
                if let Some(message) = parameter.announce.filter(|message| !message.starts_with("This scaler")) {
                    self.problems.push(Problem::warning(rule::DEPRECATED_PARAMETER, path.clone(), message).at_key());
                }
                (text, path, T::KIND == Kind::Secret || source != Source::Trigger)
            }
            None => match parameter.default {
                _ if self.is_unseen(parameter) => return T::default(),
                default => {
                    let is_required = parameter.required() && !T::OPTIONAL;
                    if !is_required {
                        self.report_unset_variable(parameter);
                    }
                    match default.filter(|default| !default.is_empty()) {
                        Some(default) => (default.to_string(), Path::root().key("metadata"), false),
                        None => {
                            if is_required {
                                self.report_missing(parameter);
                            }
                            return T::default();
                        }
                    }
                }
            },
        };
        let asked = self.inputs.tokens.get(&text).unwrap_or(&text);
        self.fingerprint.add(parameter.name(), asked);
        if let Some(problem) = check_words(parameter, &text, &path, hidden) {
            self.problems.push(problem);
            return T::default();
        }
        match T::from_text(&text, parameter) {
            Ok(value) => value,
            Err(cause) => {
                let shown = if hidden { HIDDEN } else { &text };
                let message = format!("unable to set param {:?} value {shown:?}: {cause}", parameter.name());
                self.problems.push(Problem::error(rule::INVALID_VALUE, path, message));
                T::default()
            }
        }
    }

    /// `text`, the value of a parameter that only the trigger's own checks know to be wrong, as messages may show it: what
    /// did not stand in the metadata itself may be a secret, whatever the parameter is for.
    pub fn presentable<'t>(&self, name: &str, text: &'t str) -> &'t str {
        let written = self.inputs.metadata.get(name);
        if written.is_some_and(|written| written.trim() == text) { text } else { HIDDEN }
    }

    /// The first text that is not blank, where it stands, and what kind of place that is.
    fn find(&self, parameter: &Parameter) -> Option<(String, Path, Source)> {
        let metadata = Path::root().key("metadata");
        for source in parameter.sources {
            for name in parameter.names {
                let (text, path) = match source {
                    Source::Trigger => (self.inputs.metadata.get(*name).map(String::as_str), metadata.key(*name)),
                    Source::Environment => {
                        let key = format!("{name}FromEnv");
                        let variable = self.inputs.metadata.get(&key).filter(|variable| !variable.is_empty());
                        (variable.and_then(|variable| self.inputs.environment.get(variable)), metadata.key(key))
                    }
                    Source::Authentication => (
                        self.inputs.authentication.get(*name).map(String::as_str),
                        Path::root().key("authenticationRef"),
                    ),
                };
                if let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) {
                    return Some((text.to_string(), path, *source));
                }
            }
        }
        None
    }

    /// Whether a parameter that was not found is given nevertheless, with a value that is not known here.
    fn is_unseen(&mut self, parameter: &'static Parameter) -> bool {
        let is_hidden = parameter.reads(Source::Authentication)
            && parameter.names.iter().any(|name| self.inputs.hidden.includes(name));
        let variable = self.variables(parameter).find(|(_, variable)| self.inputs.environment.hides(variable));
        let is_variable = variable.is_some();
        if let Some((key, variable)) = variable {
            self.report_unknown_variable(&key, variable);
        }
        is_variable || is_hidden
    }

    fn report_unknown_variable(&mut self, key: &str, variable: &str) {
        if self.inputs.environment == Environment::Unknown {
            return; // It was said already that there is no target.
        }
        let path = Path::root().key("metadata").key(key);
        let message = format!("cannot tell whether {variable:?} is set, as not all of the environment is given");
        self.problems.push(Problem::warning(rule::UNKNOWN_ENVIRONMENT, path, message));
    }

    /// Warns of a variable that does not exist, where KEDA goes on without the parameter.
    fn report_unset_variable(&mut self, parameter: &'static Parameter) {
        let inputs = self.inputs;
        let unset = self.variables(parameter).find(|(_, variable)| inputs.environment.get(variable).is_none());
        if let Some((key, variable)) = unset {
            let path = Path::root().key("metadata").key(key);
            let message = format!(
                "{variable:?} is not among the variables of the target's container, so {} is not set",
                parameter.name()
            );
            self.problems.push(Problem::warning(rule::UNSET_VARIABLE, path, message));
        }
    }

    /// The variables that a parameter may come from, each with the key that names it.
    fn variables(&self, parameter: &'static Parameter) -> impl Iterator<Item = (String, &'a str)> + use<'a> {
        let names: &[&str] = if parameter.reads(Source::Environment) { parameter.names } else { &[] };
        let metadata = &self.inputs.metadata;
        let keys = names.iter().map(|name| format!("{name}FromEnv"));
        keys.filter_map(|key| metadata.get(&key).map(|variable| (key, variable.as_str())))
            .filter(|(_, variable)| !variable.is_empty())
    }

    fn report_missing(&mut self, parameter: &'static Parameter) {
        let metadata = Path::root().key("metadata");
        let sources: Vec<&str> = parameter.sources.iter().map(|source| source.name()).collect();
        let message = format!("missing required parameter {:?} in [{}]", parameter.names.join(","), sources.join(" "));
        if let Some((key, variable)) = self.variables(parameter).next() {
            let help = format!("the target's container has no environment variable {variable:?}, or it is empty");
            self.problems.push(Problem::error(rule::MISSING_PARAMETER, metadata.key(key), message).with_help(help));
            return;
        }
        let misspelt = self.keys.meant_as(self.inputs, parameter);
        self.problems.push(match misspelt {
            Some(key) => {
                Problem::error(rule::MISSING_PARAMETER, metadata.key(key), message).at_key().with_help(format!(
                    "{key:?} is not a parameter of {:?}; did you mean {:?}?",
                    self.context.trigger_type,
                    parameter.name()
                ))
            }
            None => Problem::error(rule::MISSING_PARAMETER, metadata, message).with_help(whereabouts(parameter)),
        });
    }

    /// Warns of keys that nothing reads. What was said of one already is not repeated.
    fn report_unknown_keys(&mut self) {
        let metadata = Path::root().key("metadata");
        for key in self.keys.unknown(self.inputs) {
            if !self.problems.iter().any(|problem| problem.path == metadata.key(key)) {
                self.problems.push(self.keys.problem(key, &self.context.trigger_type));
            }
        }
    }
}

/// KEDA splits a value at the separator even where it is a single word, and wants each piece to be allowed.
fn check_words(parameter: &Parameter, text: &str, path: &Path, hidden: bool) -> Option<Problem> {
    let words: Vec<&str> = text.split(parameter.separator.unwrap_or(",")).map(str::trim).collect();
    let name = parameter.name();
    let shown = if hidden { HIDDEN } else { text };
    if !parameter.one_of.is_empty()
        && let Some(wrong) = words.iter().find(|word| !parameter.one_of.contains(word))
    {
        let message = format!("parameter {name:?} value {shown:?} must be one of [{}]", parameter.one_of.join(" "));
        let problem = Problem::error(rule::NOT_ALLOWED_VALUE, path.clone(), message);
        let meant = did_you_mean(wrong, parameter.one_of.iter().copied()).filter(|_| !hidden);
        return Some(problem.with_suggestion(meant));
    }
    if words.iter().filter(|word| parameter.exclusive.contains(word)).count() > 1 {
        let message =
            format!("parameter {name:?} value {shown:?} must contain only one of [{}]", parameter.exclusive.join(" "));
        return Some(Problem::error(rule::NOT_ALLOWED_VALUE, path.clone(), message));
    }
    None
}

/// 128 bits over type, parameters and identity.
#[derive(Debug)]
struct Fingerprint(DefaultHasher, DefaultHasher);

impl Fingerprint {
    fn new(context: &Context) -> Self {
        let mut fingerprint = Fingerprint(DefaultHasher::new(), DefaultHasher::new());
        fingerprint.1.write_u8(1);
        fingerprint.add("type", &context.trigger_type);
        fingerprint.add("identity", &format!("{:?}", context.pod_identity));
        fingerprint
    }

    fn add(&mut self, name: &str, text: &str) {
        for hasher in [&mut self.0, &mut self.1] {
            hasher.write_usize(name.len());
            hasher.write(name.as_bytes());
            hasher.write_usize(text.len());
            hasher.write(text.as_bytes());
        }
    }

    fn finish(&self) -> u128 {
        u128::from(self.0.finish()) << 64 | u128::from(self.1.finish())
    }
}
