//! The brokers of Solace: several addresses, of which one is enough.

use keda_core::sample::{ErrorKind, SourceError};

/// What is said where none of the brokers gave an answer. Whoever answered knows more about what is wrong than one that
/// did not.
pub fn all_failed(message: &str, failures: &[SourceError]) -> SourceError {
    let told = failures.iter().map(|failure| failure.kind).find(|kind| *kind != ErrorKind::Unreachable);
    let causes = failures.iter().enumerate().map(|(index, failure)| format!("Host {} Error: {failure}", index + 1));
    let causes = causes.collect::<Vec<_>>().join("; ");
    SourceError::new(told.unwrap_or(ErrorKind::Unreachable), format!("{message}: {causes}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_more_than_silence() {
        let failure = |kind| SourceError::new(kind, "x");
        let failures = [failure(ErrorKind::Unreachable), failure(ErrorKind::Denied)];
        let error = all_failed("nothing", &failures);
        assert_eq!(error, SourceError::new(ErrorKind::Denied, "nothing: Host 1 Error: x; Host 2 Error: x"));
        assert_eq!(all_failed("nothing", &failures[..1]).kind, ErrorKind::Unreachable);
    }
}
