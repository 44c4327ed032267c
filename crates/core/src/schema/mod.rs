//! What objects may look like: structural schemas, kept as tables beside the code.
//!
//! The same tables give the CustomResourceDefinitions ([`crd`]), the checks of manifests ([`validate`]) and what editors
//! know of them ([`definitions`]), so that what is accepted here and in a cluster cannot drift apart.

pub mod crd;
mod definitions;
mod homes;
mod notation;
mod table;
mod validate;

pub use definitions::{definitions, reference};
pub use table::{Field, ListType, Rule, Schema, Shape, Structure, Tables, tables};
pub use validate::{validate, validate_leniently};

/// What the text of a Kubernetes quantity looks like.
pub const QUANTITY_PATTERN: &str = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";
