//! What is wrong with a user's input, free of where it was read from.
//!
//! A [`Problem`] names the place by its [`Path`] inside a document; the manifest loader turns the path into a file,
//! line and column. Every check reports all the problems it finds, not only the first.

use std::fmt;

use crate::rule::Rule;

/// One step into a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// The value of a mapping's key.
    Key(String),
    /// An element of a list, counted from 0.
    Index(usize),
}

/// A place inside a document, as Kubernetes prints it: `spec.triggers[0].metadata.listName`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// The document itself.
    pub fn root() -> Self {
        Path::default()
    }

    /// The path with one more key.
    #[must_use]
    pub fn key(&self, key: impl Into<String>) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Key(key.into()));
        Path(steps)
    }

    /// The path with one more list index.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Index(index));
        Path(steps)
    }

    /// This path followed by another one.
    #[must_use]
    pub fn join(&self, rest: &Path) -> Self {
        let mut steps = self.0.clone();
        steps.extend(rest.0.iter().cloned());
        Path(steps)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if key.contains(['.', '/', '[']) => write!(f, "[{key}]")?,
                Step::Key(key) if position == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Legal, and probably not what the user wants.
    Warning,
    /// The object cannot be used.
    Error,
}

/// Which part of a mapping entry a problem points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// The key, for example when its name is unknown.
    Key,
    /// The value.
    Value,
}

/// One thing that is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// The rule that was broken.
    pub rule: Rule,
    /// Where. A path that does not exist in the document stands for its nearest existing parent.
    pub path: Path,
    /// Whether the key or the value at `path` is meant.
    pub target: Target,
    /// What is wrong, in one sentence without a full stop; never holds a secret.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Problem {
    /// An error about the value at `path`.
    pub fn error(rule: Rule, path: Path, message: impl Into<String>) -> Self {
        Problem { severity: Severity::Error, rule, path, target: Target::Value, message: message.into(), help: None }
    }

    /// A warning about the value at `path`.
    pub fn warning(rule: Rule, path: Path, message: impl Into<String>) -> Self {
        Problem { severity: Severity::Warning, ..Problem::error(rule, path, message) }
    }

    /// The same problem, pointing at the key instead of the value.
    #[must_use]
    pub fn at_key(self) -> Self {
        Problem { target: Target::Key, ..self }
    }

    /// The same problem with advice.
    #[must_use]
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Problem { help: Some(help.into()), ..self }
    }

    /// The same problem with the word that was probably meant, if one is likely.
    #[must_use]
    pub fn with_suggestion(self, meant: Option<&str>) -> Self {
        match meant {
            Some(meant) => self.with_help(format!("did you mean {meant:?}?")),
            None => self,
        }
    }

    /// The same problem, with its path seen from further outside.
    #[must_use]
    pub fn under(self, parent: &Path) -> Self {
        Problem { path: parent.join(&self.path), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// The candidate that a misspelt `word` most likely means, if one is close enough.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let length = word.chars().count();
    // Texts of very different length are never close; comparing them would take long.
    let similar = |candidate: &&str| {
        let other = candidate.chars().count();
        length.abs_diff(other) <= (length.max(other) / 3).max(1) && length.max(other) <= 200
    };
    candidates
        .into_iter()
        .filter(|candidate| *candidate != word)
        .filter(similar)
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count().max(word.chars().count()) / 3).max(1))
        .min_by_key(|(distance, candidate)| (*distance, candidate.len()))
        .map(|(_, candidate)| candidate)
}

/// As [`did_you_mean`], and where nothing is close enough the candidate that begins or ends with `word`, or shares its first
/// part with it: `queue` for `queueName`, `aws-sqs` for `aws-sqs-queue`.
pub fn did_you_mean_part<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let candidates: Vec<&str> = candidates.into_iter().filter(|candidate| *candidate != word).collect();
    let lower = word.to_lowercase();
    let is_part = |candidate: &str| {
        let other = candidate.to_lowercase();
        let (short, long) = if lower.len() < other.len() { (&lower, &other) } else { (&other, &lower) };
        short.len() >= 3 && short != long && (long.starts_with(short.as_str()) || long.ends_with(short.as_str()))
    };
    let first = first_part(word);
    let shares = |candidate: &str| first.len() >= 4 && first_part(candidate).eq_ignore_ascii_case(first);
    let shortest = |is_meant: &dyn Fn(&str) -> bool| {
        candidates.iter().copied().filter(|candidate| is_meant(candidate)).min_by_key(|candidate| candidate.len())
    };
    did_you_mean(word, candidates.iter().copied()).or_else(|| shortest(&is_part)).or_else(|| shortest(&shares))
}

/// The part before a hyphen or an upper-case letter.
fn first_part(word: &str) -> &str {
    let end = word.char_indices().skip(1).find(|(_, character)| *character == '-' || character.is_ascii_uppercase());
    end.and_then(|(at, _)| word.get(..at)).unwrap_or(word)
}

/// Whether one of them is an error.
pub fn has_errors(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.severity == Severity::Error)
}
