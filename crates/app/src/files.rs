//! Reads manifests from files, folders and standard input.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use keda_core::manifest::Source;

/// A path that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}: {cause}")]
pub(crate) struct Unreadable {
    path: String,
    cause: io::Error,
}

/// Reads manifests, once or again and again.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// Standard input can be read only once.
    standard_input: Option<Source>,
    /// Files that had something in them.
    filled: BTreeSet<String>,
}

impl Reader {
    /// Reads every path: a file as it is, of a folder all `.yaml`, `.yml` and `.json` files (with `recursive` those of
    /// its subfolders too) in the order of their names, `-` as standard input.
    ///
    /// # Errors
    /// A path that cannot be read, or a file that was emptied since: it is about to be written again.
    pub(crate) fn read(&mut self, paths: &[PathBuf], recursive: bool) -> Result<Vec<Source>, Unreadable> {
        let mut sources = Vec::new();
        for path in paths {
            if path.as_os_str() == "-" {
                sources.push(self.standard_input()?);
                continue;
            }
            for file in manifests_of(path, recursive)? {
                let text = fs::read(&file).map_err(|cause| unreadable(&file, cause))?;
                let name = file.display().to_string();
                let is_blank = text.trim_ascii().is_empty();
                if is_blank && self.filled.contains(&name) {
                    return Err(unreadable(&file, io::Error::other("it has become empty")));
                }
                if !is_blank {
                    self.filled.insert(name.clone());
                }
                sources.push(Source::new(name, text));
            }
        }
        Ok(sources)
    }

    fn standard_input(&mut self) -> Result<Source, Unreadable> {
        if let Some(source) = &self.standard_input {
            return Ok(source.clone());
        }
        let mut text = Vec::new();
        io::stdin().read_to_end(&mut text).map_err(|cause| Unreadable { path: "standard input".into(), cause })?;
        Ok(self.standard_input.insert(Source::new("standard input", text)).clone())
    }
}

/// The files that a path stands for.
pub(crate) fn manifests_of(path: &Path, recursive: bool) -> Result<Vec<PathBuf>, Unreadable> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let entries = fs::read_dir(path).map_err(|cause| unreadable(path, cause))?;
    let mut found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    found.sort();
    let mut files = Vec::new();
    for entry in found {
        if entry.is_dir() {
            if recursive {
                files.extend(manifests_of(&entry, true)?);
            }
        } else if is_manifest(&entry) {
            files.push(entry);
        }
    }
    Ok(files)
}

/// Whether a file in a folder is taken for a manifest.
pub(crate) fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
}

fn unreadable(path: &Path, cause: io::Error) -> Unreadable {
    Unreadable { path: path.display().to_string(), cause }
}
