//! The library behind the `keda` binary: its commands and the shells around the engine.

mod cli;
pub mod clock;
mod commands;
mod files;
pub mod local;
mod project;
mod report;
mod settings;

use std::process::ExitCode;

use clap::Parser;

/// Everything is fine; there may be warnings.
pub(crate) const FINE: u8 = 0;
/// The manifests have errors, or something failed at run time.
pub(crate) const FINDINGS: u8 = 1;
/// The input cannot be read, or the command line is wrong.
pub(crate) const UNUSABLE: u8 = 2;

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    // What libraries warn of goes to standard error; what keda has to tell, each command prints itself.
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).without_time().init();
    ExitCode::from(commands::run(cli::Arguments::parse()))
}
