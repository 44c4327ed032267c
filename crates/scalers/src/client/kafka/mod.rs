//! Kafka: what its two triggers share.

pub mod options;
