//! `keda completion`: a script that completes the command line in a shell.

use clap::CommandFactory;

use crate::FINE;
use crate::cli::{Arguments, Completion};

pub(crate) fn run(arguments: &Completion) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "keda", &mut script);
    super::print(&String::from_utf8_lossy(&script))?;
    Ok(FINE)
}
