//! What a source of events answers: a number and whether it wakes the workload up, or a typed error.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One reading of one metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The number as the source gave it. What is handed to the HPA is this, rounded to three decimals, and 0 where
    /// it is negative or not finite.
    pub value: f64,
    /// Whether the value exceeds the trigger's activation value, judged on the unrounded number.
    pub active: bool,
}

impl Sample {
    /// A sample that is active when `value` is strictly above `activation`.
    pub fn above(value: f64, activation: f64) -> Self {
        Sample { value, active: value > activation }
    }
}

/// All metrics of one trigger, read at once: names as in the trigger's metric specs, without `s<index>-`.
pub type Reading = Vec<(String, Sample)>;

/// Why a source could not be read. The kind decides what is worth retrying and labels the error metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The trigger is set up in a way that cannot work: a bad certificate, a queue that does not exist.
    Configuration,
    /// Nobody answered in time.
    Unreachable,
    /// The source refused the credentials.
    Denied,
    /// The source asked for fewer requests.
    Throttled,
    /// The answer is not what the protocol promises.
    Malformed,
    /// This trigger cannot be read yet.
    Unsupported,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ErrorKind::Configuration => "configuration",
            ErrorKind::Unreachable => "unreachable",
            ErrorKind::Denied => "denied",
            ErrorKind::Throttled => "throttled",
            ErrorKind::Malformed => "malformed answer",
            ErrorKind::Unsupported => "unsupported",
        })
    }
}

/// A failed reading. The message never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct SourceError {
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// What happened, for a person.
    pub message: String,
}

impl SourceError {
    /// An error of the given kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        SourceError { kind, message: message.into() }
    }

    /// A trigger that is set up in a way that cannot work.
    pub fn configuration(message: impl Into<String>) -> Self {
        SourceError::new(ErrorKind::Configuration, message)
    }

    /// An answer that is not what the protocol promises.
    pub fn malformed(message: impl Into<String>) -> Self {
        SourceError::new(ErrorKind::Malformed, message)
    }

    /// The same error with `context` in front: `context: message`.
    #[must_use]
    pub fn within(self, context: &str) -> Self {
        SourceError { message: format!("{context}: {}", self.message), ..self }
    }
}
