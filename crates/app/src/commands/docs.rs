//! `keda docs`: a page about each trigger type.

use std::path::Path;

use anyhow::Context;
use keda_scalers::registry::CATALOGUE;

use crate::FINE;
use crate::cli::Docs;
use crate::page;

pub(crate) fn run(arguments: &Docs) -> anyhow::Result<u8> {
    if let Some(name) = &arguments.trigger_type {
        return match super::trigger_type(name) {
            Ok(row) => {
                super::print(&page::of(row))?;
                Ok(FINE)
            }
            Err(code) => Ok(code),
        };
    }
    match &arguments.output_dir {
        Some(folder) => write_all(folder)?,
        None => super::print(&page::index())?,
    }
    Ok(FINE)
}

fn write_all(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let pages = CATALOGUE.iter().map(|row| (format!("{}.md", row.name), page::of(row)));
    for (name, text) in pages.chain([("README.md".to_string(), page::index())]) {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
