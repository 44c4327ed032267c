//! The servers against a small stand-in for the API server, with real TLS on both sides.

mod adapter;
mod cluster;
mod metrics_api;
mod rotation;
mod world;
