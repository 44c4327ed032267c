//! The program under test.

use std::path::PathBuf;
use std::process::Command;

/// Where it is, as `cargo test` says when the tests run: those that one clone built, another may run.
#[allow(clippy::disallowed_methods, reason = "cargo says it only in this way")]
pub(crate) fn path() -> PathBuf {
    std::env::var_os("CARGO_BIN_EXE_keda").map_or_else(|| env!("CARGO_BIN_EXE_keda").into(), PathBuf::from)
}

pub(crate) fn keda() -> Command {
    Command::new(path())
}
