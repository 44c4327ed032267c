//! The `keda` binary.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [command, folder] if command == "shim" => keda::local::process::shim::run(Path::new(folder)),
        _ => ExitCode::from(2),
    }
}
