//! Formats that answers come in.

pub mod annotated_csv;
pub mod dotted_path;
pub mod field;
pub mod gjson;
pub mod label_selector;
pub mod prometheus_text;
pub mod sql_number;
pub mod xml;
