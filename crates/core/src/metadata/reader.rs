//! Looks parameters up, converts them, and reports what is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher};

use super::{Context, Environment, Inputs, Kind, Metadata, Parameter, Source, Value};
use crate::problem::{Path, Problem, did_you_mean};
use crate::secret::Secret;

/// What messages show in place of a text from a TriggerAuthentication or the environment: any of them may be a secret
/// that was put in the wrong place.
const HIDDEN: &str = "***";

/// Reads the parameters of one trigger.
#[derive(Debug)]
pub struct Reader<'a> {
    inputs: &'a Inputs,
    context: &'a Context,
    problems: Vec<Problem>,
    fingerprint: Fingerprint,
    /// Whether the trigger knows every key.
    knows_all_keys: bool,
    /// Keys that are read and are in no table.
    knows: BTreeSet<&'static str>,
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
    let fingerprint = Fingerprint::new(context);
    let (problems, knows) = (Vec::new(), BTreeSet::new());
    let mut reader = Reader { inputs, context, problems, fingerprint, knows_all_keys: false, knows };
    let value = T::read(&mut reader);
    if !reader.knows_all_keys {
        reader.report_unknown_keys(&T::parameters());
    }
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
    /// key ends in `FromEnv`; such a key is left out when its variable is not set. No key is unknown then.
    pub fn all(&mut self) -> BTreeMap<String, Secret> {
        self.knows_all_keys = true;
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

    /// Keys of the metadata that are read as they are, and stand in no table of parameters.
    pub fn knows(&mut self, keys: &[&'static str]) {
        self.knows.extend(keys);
    }

    /// Adds to what tells this query from others: what is asked for beside the parameters, such as the namespace of
    /// the object.
    pub fn asks_for(&mut self, what: &str, text: &str) {
        self.fingerprint.add(what, text);
    }

    /// Reports an error of the metadata as a whole, such as a rule between parameters.
    pub fn error(&mut self, message: impl Into<String>) {
        self.problems.push(Problem::error("invalid-metadata", Path::root().key("metadata"), message));
    }

    /// Reports an error of one parameter, at the key that the user wrote.
    pub fn error_at(&mut self, name: &str, message: impl Into<String>) {
        let key = if self.inputs.metadata.contains_key(name) { name.to_string() } else { format!("{name}FromEnv") };
        self.problems.push(Problem::error("invalid-metadata", Path::root().key("metadata").key(key), message));
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
                    self.problems.push(Problem::error("deprecated-parameter", path, message).at_key());
                    return T::default();
                }
                if let Some(message) = parameter.announce {
                    self.problems.push(Problem::warning("deprecated-parameter", path.clone(), message).at_key());
                }
                (text, path, T::KIND == Kind::Secret || source != Source::Trigger)
            }
            None => match parameter.default {
                Some(default) if !default.is_empty() => (default.to_string(), Path::root().key("metadata"), false),
                _ => {
                    if parameter.required() && !T::OPTIONAL {
                        self.report_missing(parameter);
                    }
                    return T::default();
                }
            },
        };
        self.fingerprint.add(parameter.name(), &text);
        if let Some(problem) = check_words(parameter, &text, &path, hidden) {
            self.problems.push(problem);
            return T::default();
        }
        match T::from_text(&text, parameter) {
            Ok(value) => value,
            Err(cause) => {
                let shown = if hidden { HIDDEN } else { &text };
                let message = format!("unable to set param {:?} value {shown:?}: {cause}", parameter.name());
                self.problems.push(Problem::error("invalid-value", path, message));
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

    fn report_missing(&mut self, parameter: &Parameter) {
        let metadata = Path::root().key("metadata");
        let sources: Vec<&str> = parameter.sources.iter().map(|source| source.name()).collect();
        let message = format!("missing required parameter {:?} in [{}]", parameter.names.join(","), sources.join(" "));
        let from_environment = format!("{}FromEnv", parameter.name());
        if let Some(variable) = self.inputs.metadata.get(&from_environment)
            && parameter.reads(Source::Environment)
        {
            let path = metadata.key(&from_environment);
            self.problems.push(match self.inputs.environment {
                Environment::Known(_) => Problem::error("missing-parameter", path, message).with_help(format!(
                    "the target's container has no environment variable {variable:?}, or it is empty"
                )),
                Environment::Unknown => Problem::warning(
                    "unknown-environment",
                    path,
                    format!("cannot tell whether {variable:?} is set: the target is not given"),
                ),
            });
            return;
        }
        let misspelt =
            self.inputs.metadata.keys().find(|key| did_you_mean(key, parameter.names.iter().copied()).is_some());
        self.problems.push(match misspelt {
            Some(key) => Problem::error("missing-parameter", metadata.key(key), message).at_key().with_help(format!(
                "{key:?} is not a parameter of {:?}; did you mean {:?}?",
                self.context.trigger_type,
                parameter.name()
            )),
            None => Problem::error("missing-parameter", metadata, message).with_help(whereabouts(parameter)),
        });
    }

    /// Warns of keys that nothing reads (KEDA ignores them).
    fn report_unknown_keys(&mut self, parameters: &[&'static Parameter]) {
        let mut known: BTreeSet<String> = self.knows.iter().map(ToString::to_string).collect();
        for parameter in parameters {
            for name in parameter.names {
                if parameter.reads(Source::Trigger) {
                    known.insert((*name).to_string());
                }
                if parameter.reads(Source::Environment) {
                    known.insert(format!("{name}FromEnv"));
                }
            }
        }
        let trigger_type = &self.context.trigger_type;
        for key in self.inputs.metadata.keys().filter(|key| !known.contains(*key)) {
            let path = Path::root().key("metadata").key(key);
            if self.problems.iter().any(|problem| problem.path == path) {
                continue;
            }
            let elsewhere = parameters.iter().find(|parameter| parameter.names.contains(&key.as_str()));
            let problem = Problem::warning(
                "unknown-metadata-key",
                path,
                format!("unknown metadata key {key:?} of a {trigger_type:?} trigger: it is ignored"),
            )
            .at_key();
            self.problems.push(match (elsewhere, did_you_mean(key, known.iter().map(String::as_str))) {
                (Some(parameter), _) => problem.with_help(format!("it is not read here; {}", whereabouts(parameter))),
                (None, Some(meant)) => problem.with_help(format!("did you mean {meant:?}?")),
                (None, None) => problem,
            });
        }
    }
}

/// Where a parameter can be given, as advice.
fn whereabouts(parameter: &Parameter) -> String {
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

/// KEDA splits a value at the separator even where it is a single word, and wants each piece to be allowed.
fn check_words(parameter: &Parameter, text: &str, path: &Path, hidden: bool) -> Option<Problem> {
    let words: Vec<&str> = text.split(parameter.separator.unwrap_or(",")).map(str::trim).collect();
    let name = parameter.name();
    let shown = if hidden { HIDDEN } else { text };
    if !parameter.one_of.is_empty()
        && let Some(wrong) = words.iter().find(|word| !parameter.one_of.contains(word))
    {
        let message = format!("parameter {name:?} value {shown:?} must be one of [{}]", parameter.one_of.join(" "));
        let problem = Problem::error("not-allowed-value", path.clone(), message);
        let meant = did_you_mean(wrong, parameter.one_of.iter().copied()).filter(|_| !hidden);
        return Some(match meant {
            Some(meant) => problem.with_help(format!("did you mean {meant:?}?")),
            None => problem,
        });
    }
    if words.iter().filter(|word| parameter.exclusive.contains(word)).count() > 1 {
        let message =
            format!("parameter {name:?} value {shown:?} must contain only one of [{}]", parameter.exclusive.join(" "));
        return Some(Problem::error("not-allowed-value", path.clone(), message));
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
