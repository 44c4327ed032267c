//! The library behind the `keda` binary: its commands and the shells around the engine.

pub mod clock;
pub mod local;
