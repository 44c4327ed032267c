//! `keda new`: a ScaledObject to start from.

use crate::FINE;
use crate::cli::New;
use crate::example::{Style, manifests};

pub(crate) fn run(arguments: &New) -> anyhow::Result<u8> {
    let row = match super::trigger_type(&arguments.trigger_type) {
        Ok(row) => row,
        Err(code) => return Ok(code),
    };
    let name = arguments.name.as_deref().unwrap_or("worker");
    let style = Style { name, target: arguments.target.as_deref().unwrap_or(name), commented: true };
    super::print(&manifests(row, style).unwrap_or_default())?;
    Ok(FINE)
}
