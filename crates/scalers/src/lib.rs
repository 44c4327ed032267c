//! The trigger catalogue: what KEDA calls scalers.
//!
//! A trigger is one file under `triggers/`, a line in [`registry`], and a test. Its pure half (parameters, checks,
//! metric specs) works offline; its I/O half reads the source through the shared connections of [`client`]. The
//! [`sampler`] decides when which query is read, once for all who ask.

pub mod client;
mod documentation;
pub mod format;
pub mod plan;
pub mod registry;
pub mod review;
pub mod sampler;
mod scaler_names;
pub mod schema;
pub mod trigger;

pub use documentation::Example;
pub use scaler_names::scaler_name;
