//! Cases of the scaling engine.

/// No file has a runner yet.
pub(crate) fn run(_stem: &str, _line: &str) -> Option<Result<(), String>> {
    None
}
