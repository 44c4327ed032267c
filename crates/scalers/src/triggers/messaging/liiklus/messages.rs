//! The messages of the contract with Liiklus, as far as they are used: package `com.github.bsideup.liiklus`, service
//! `LiiklusService`.

use std::collections::BTreeMap;

/// Asks for the offsets of a consumer group.
pub const GET_OFFSETS: &str = "/com.github.bsideup.liiklus.LiiklusService/GetOffsets";
/// Asks for the ends of a topic's partitions.
pub const GET_END_OFFSETS: &str = "/com.github.bsideup.liiklus.LiiklusService/GetEndOffsets";

/// Which group, of which topic.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct GetOffsetsRequest {
    /// The topic.
    #[prost(string, tag = "1")]
    pub topic: String,
    /// The consumer group.
    #[prost(string, tag = "2")]
    pub group: String,
    /// Its version.
    #[prost(uint32, tag = "3")]
    pub group_version: u32,
}

/// Which topic.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct GetEndOffsetsRequest {
    /// The topic.
    #[prost(string, tag = "1")]
    pub topic: String,
}

/// The answer to both: an offset for each partition.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Offsets {
    /// By partition.
    #[prost(btree_map = "uint32, uint64", tag = "1")]
    pub offsets: BTreeMap<u32, u64>,
}
