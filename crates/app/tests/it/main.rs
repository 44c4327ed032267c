//! The integration tests of the binary and its shells.

// Clippy spares test functions alone, not what they share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod process;
mod quickstart;
