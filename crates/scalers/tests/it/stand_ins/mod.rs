//! Stand-ins for servers that no package has: they speak the protocol, and know what they are told.

pub mod grpc;
pub mod kafka;
pub mod tds;
