//! being written
pub mod activation;
pub mod conditions;
pub mod fallback;
pub mod rules;
pub use rules::{Fallback, Modifiers, Pause, Rules};
