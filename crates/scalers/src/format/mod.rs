//! Formats that answers come in.

pub mod gjson;
pub mod prometheus_text;
