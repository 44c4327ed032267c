//! The library behind the `keda` binary: its commands and the shells around the engine.

mod cli;
pub mod clock;
mod commands;
mod deploy;
mod example;
mod files;
mod findings;
mod hidden;
mod links;
pub mod local;
mod page;
mod project;
mod report;
mod roles;
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
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let code = match roles::Role::from_arguments(&arguments) {
        Some(role) => commands::run_role(role),
        None => commands::run(cli::Arguments::parse_from(arguments)),
    };
    ExitCode::from(code)
}
