//! The program under test.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// Where it is, as `cargo test` says when the tests run: those that one clone built, another may run.
#[allow(clippy::disallowed_methods, reason = "cargo says it only in this way")]
pub(crate) fn path() -> PathBuf {
    std::env::var_os("CARGO_BIN_EXE_keda").map_or_else(|| env!("CARGO_BIN_EXE_keda").into(), PathBuf::from)
}

pub(crate) fn keda() -> Command {
    Command::new(path())
}

/// Runs it with a text on its standard input.
pub(crate) fn keda_with(arguments: &[&str], input: &str) -> Output {
    let mut command = keda();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("keda runs");
    child.stdin.take().expect("standard input").write_all(input.as_bytes()).expect("it is read");
    child.wait_with_output().expect("keda ends")
}
