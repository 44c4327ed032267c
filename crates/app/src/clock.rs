//! The one place of this crate that reads the clock. Everything below the shells takes time as an argument.

use std::time::Instant;

/// The wall clock: for what people and files read.
#[allow(clippy::disallowed_methods)]
pub fn wall() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// The monotonic clock: for deadlines, ages and back-off. A wall clock set back does not disturb it.
#[allow(clippy::disallowed_methods)]
pub fn monotonic() -> Instant {
    Instant::now()
}
