//! `keda schema`: what manifests may hold, for programs.

use crate::FINE;
use crate::cli::{Format, Schema, SchemaOf};

pub(crate) fn run(arguments: &Schema) -> anyhow::Result<u8> {
    let SchemaOf::Triggers { output } = &arguments.of;
    let schema = keda_scalers::schema::triggers();
    super::print(&match output {
        Format::Json => serde_json::to_string_pretty(&schema)? + "\n",
        Format::Yaml => serde_saphyr::to_string(&schema)?,
    })?;
    Ok(FINE)
}
