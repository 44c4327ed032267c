//! `keda schema`: what manifests may hold, for programs.

use keda_scalers::schema;
use serde::Serialize;

use crate::FINE;
use crate::cli::{Format, Schema, SchemaOf};

pub(crate) fn run(arguments: &Schema) -> anyhow::Result<u8> {
    super::print(&match arguments.of {
        SchemaOf::Triggers { output } => written(&schema::triggers(), output)?,
        SchemaOf::Manifests { output } => written(&schema::manifests(), output)?,
    })?;
    Ok(FINE)
}

fn written(schema: &impl Serialize, format: Format) -> anyhow::Result<String> {
    Ok(match format {
        Format::Json => serde_json::to_string_pretty(schema)? + "\n",
        Format::Yaml => serde_saphyr::to_string(schema)?,
    })
}
