//! The questions that brokers are asked.

use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, DescribeGroupsRequest, DescribeGroupsResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse,
    OffsetFetchRequest, OffsetFetchResponse, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest,
    SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};

/// A request, the answer to it, and the versions that we speak.
pub(super) trait Question: Encodable + HeaderVersion + Sync {
    const NAME: &'static str;
    const KEY: i16;
    const OLDEST: i16;
    const NEWEST: i16;
    type Answer: Decodable + HeaderVersion;
}

macro_rules! questions {
    ($($request:ident => $answer:ident, $key:literal, $oldest:literal..=$newest:literal;)*) => {
        $(impl Question for $request {
            const NAME: &'static str = stringify!($request);
            const KEY: i16 = $key;
            const OLDEST: i16 = $oldest;
            const NEWEST: i16 = $newest;
            type Answer = $answer;
        })*
    };
}

// Newer versions than these ask for several groups at once, or know topics by other names.
questions! {
    ListOffsetsRequest => ListOffsetsResponse, 2, 1..=7;
    MetadataRequest => MetadataResponse, 3, 4..=12;
    OffsetFetchRequest => OffsetFetchResponse, 9, 2..=7;
    FindCoordinatorRequest => FindCoordinatorResponse, 10, 0..=3;
    DescribeGroupsRequest => DescribeGroupsResponse, 15, 0..=5;
    SaslHandshakeRequest => SaslHandshakeResponse, 17, 1..=1;
    ApiVersionsRequest => ApiVersionsResponse, 18, 0..=0;
    SaslAuthenticateRequest => SaslAuthenticateResponse, 36, 0..=1;
}
