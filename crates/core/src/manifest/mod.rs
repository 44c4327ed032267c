//! Reads manifests: texts in YAML or JSON become [`Document`]s that know where each of their values was written.
//!
//! [`load`] is pure: files, folders and standard input are read by the caller. It never stops at the first mistake; every
//! mistake becomes a [`Finding`] with a place, and what can be used is loaded.

mod json;
mod kind;
mod load;
mod location;
mod node;
mod object;
mod objects;
mod offsets;
mod place;
mod read;
mod scalar;
mod secret;
mod syntax;
mod yaml;

pub use kind::{Kind, group_of};
pub use load::{Document, Finding, Loaded, Origin, load};
pub use location::{Location, Source, Text, span_of};
pub use node::{Entry, Node, Span, Value};
pub use object::Object;
pub use objects::Objects;
pub(crate) use place::Place;
pub use secret::Secret;
pub use syntax::SyntaxError;

/// Reads a single YAML or JSON document that is no manifest, such as the answer of an event source.
///
/// # Errors
/// The first syntax error, with its place.
pub fn parse_value(text: &str) -> Result<serde_json::Value, String> {
    let text = Text::new("", text.to_string());
    let trees = read::read(&text);
    if let Some(error) = trees.errors.first() {
        let place = text.location(0, error.span);
        return Err(format!("line {}, column {}: {}", place.line, place.column, error.message));
    }
    Ok(trees.documents.first().map(Node::to_json).unwrap_or_default())
}
