//! Formats that answers come in.
