//! Tests of the crate from the outside, as its users see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod crd;
mod loading;
mod mistakes;
mod property;
mod purity;
mod round_trip;
