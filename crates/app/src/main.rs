//! The `keda` binary.

use std::process::ExitCode;

/// It gives memory back that was needed for a moment, such as at the start of an operator with many objects.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keda::main()
}
