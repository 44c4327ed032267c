//! The metrics adapter's role.

use super::flags::AdapterFlags;

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(_flags: &AdapterFlags) -> anyhow::Result<u8> {
    anyhow::bail!("the adapter's role is not there yet")
}
