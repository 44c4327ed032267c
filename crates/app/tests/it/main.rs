//! The integration tests of the binary and its shells.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "these are tests")]
#![allow(unreachable_pub, missing_debug_implementations, dead_code, reason = "nobody uses this crate")]

mod broken_manifests;
mod chroot;
mod cluster;
mod convert;
mod editor;
mod for_programs;
mod manifests;
mod offline;
mod process;
mod program;
mod quickstart;
mod rules;
mod schema;
#[path = "../../../scalers/tests/it/servers/mod.rs"]
mod servers;
mod up;
mod worked_examples;
