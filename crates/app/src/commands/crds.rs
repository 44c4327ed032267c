//! `keda crds`: the CustomResourceDefinitions.

use crate::FINE;
use crate::cli::Crds;

pub(crate) fn run(arguments: &Crds) -> anyhow::Result<u8> {
    super::print_objects(&keda_core::schema::crds(), arguments.output)?;
    Ok(FINE)
}
