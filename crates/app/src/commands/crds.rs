//! `keda crds`: the CustomResourceDefinitions.

use crate::FINE;
use crate::cli::Crds;

pub(crate) fn run(arguments: &Crds) -> anyhow::Result<u8> {
    super::print_objects(&keda_core::schema::crd::all(), arguments.output)?;
    Ok(FINE)
}
