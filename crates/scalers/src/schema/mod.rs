//! What manifests may hold, for programs.

mod manifests;
mod metadata;
mod triggers;

pub use manifests::manifests;
pub use triggers::{Schema, triggers};
