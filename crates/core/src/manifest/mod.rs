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

pub use kind::Kind;
pub use load::{Document, Finding, Loaded, Origin, load};
pub use location::{Location, Source, Text, span_of};
pub use node::{Entry, Node, Span, Value};
pub use object::Object;
pub use objects::Objects;
pub(crate) use place::Place;
pub use secret::Secret;
pub use syntax::SyntaxError;
