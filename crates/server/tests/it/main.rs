//! The servers against a small stand-in for the API server, with real TLS on both sides.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "these are tests")]

mod adapter;
mod cluster;
mod metrics_api;
#[path = "../../../scalers/tests/it/servers/ports.rs"]
mod ports;
mod rotation;
mod webhooks;
mod world;
