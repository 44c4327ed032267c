//! The API objects: one file per kind, typed as their CustomResourceDefinitions say, free of source positions.
//!
//! Fields are what the user wrote; a method gives the value that counts when a field is left out. Unknown fields are
//! dropped here and reported by [`crate::schema`].

mod cloud_event_source;
mod fallback;
mod meta;
mod pod;
mod scaled_job;
mod scaled_object;
mod status;
mod trigger;
mod trigger_authentication;
mod vaults;
mod workload;

pub use cloud_event_source::*;
pub use fallback::*;
pub use meta::*;
pub use pod::*;
pub use scaled_job::*;
pub use scaled_object::*;
pub use status::*;
pub use trigger::*;
pub use trigger_authentication::*;
pub use vaults::*;
pub use workload::*;

/// Whether a switch has its zero value, which is left out when an object is written.
fn is_false(value: &bool) -> bool {
    !value
}
