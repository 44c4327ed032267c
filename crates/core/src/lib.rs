//! The pure half of keda-rs.
//!
//! Data goes one way: a manifest is read (`manifest`, checked by `schema`, typed by `api`), its triggers'
//! parameters are resolved (`resolve`) and parsed (`metadata`), samples of the event sources come in, and the
//! `engine` decides. `hpa` holds the HorizontalPodAutoscaler object that is written to a cluster and the replica
//! arithmetic that Kubernetes applies to it.
//!
//! Nothing here knows a clock, a network, an environment or an async runtime: time is an argument.

extern crate self as keda_core;

pub mod admission;
pub mod api;
pub mod cluster;
pub mod convert;
pub mod cron;
pub mod duration;
pub mod engine;
pub mod formula;
pub mod hpa;
pub mod job;
pub mod manifest;
pub mod metadata;
pub mod metric;
pub mod names;
pub mod problem;
pub mod quantity;
pub mod resolve;
pub mod rule;
pub mod sample;
pub mod schema;
pub mod secret;

/// A map for a handful of entries, in order: an object has a dozen of them, and a tree would take half a kilobyte for
/// each.
pub type SmallMap<K, V> = litemap::LiteMap<K, V>;
