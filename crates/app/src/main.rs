//! The `keda` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    keda::main()
}
