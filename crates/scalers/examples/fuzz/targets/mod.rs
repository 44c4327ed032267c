//! What is fuzzed.

mod formula;
mod manifest;
mod metadata;
mod trigger;

pub(crate) use formula::Formula;
pub(crate) use manifest::Manifest;
pub(crate) use metadata::Metadata;
