//! What is used of the messages of etcd: package `etcdserverpb`, services `KV`, `Watch` and `Auth`.

use std::fmt;

/// Reads keys.
pub const RANGE: &str = "/etcdserverpb.KV/Range";
/// Tells of changes.
pub const WATCH: &str = "/etcdserverpb.Watch/Watch";
/// Gives a token for a user and a password.
pub const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";

/// A question for a key.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct RangeRequest {
    /// The key.
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
}

/// The key, if it is there.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct RangeResponse {
    /// What every answer has.
    #[prost(message, optional, tag = "1")]
    pub header: Option<ResponseHeader>,
    /// The keys that were found.
    #[prost(message, repeated, tag = "2")]
    pub kvs: Vec<KeyValue>,
}

/// What every answer has.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ResponseHeader {
    /// Number of the last change of the store.
    #[prost(int64, tag = "3")]
    pub revision: i64,
}

/// A key and its value.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct KeyValue {
    /// The key.
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    /// Its value.
    #[prost(bytes = "vec", tag = "5")]
    pub value: Vec<u8>,
}

/// What a client says on a watch.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct WatchRequest {
    /// What to watch.
    #[prost(message, optional, tag = "1")]
    pub create_request: Option<WatchCreateRequest>,
}

/// What to watch.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct WatchCreateRequest {
    /// The key.
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    /// Whether to show life now and then.
    #[prost(bool, tag = "4")]
    pub progress_notify: bool,
}

/// What a server says on a watch.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct WatchResponse {
    /// Whether the watch has ended.
    #[prost(bool, tag = "4")]
    pub canceled: bool,
    /// Why.
    #[prost(string, tag = "6")]
    pub cancel_reason: String,
    /// What has changed.
    #[prost(message, repeated, tag = "11")]
    pub events: Vec<Event>,
}

/// A change of a key.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Event {
    /// What has happened: [`DELETED`], or else the key was written.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    /// The key as it is now.
    #[prost(message, optional, tag = "2")]
    pub kv: Option<KeyValue>,
}

/// The key was deleted.
pub const DELETED: i32 = 1;

/// A login.
#[derive(Clone, PartialEq, Eq, prost::Message)]
#[prost(skip_debug)]
pub struct AuthenticateRequest {
    /// The user.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The password.
    #[prost(string, tag = "2")]
    pub password: String,
}

impl fmt::Debug for AuthenticateRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthenticateRequest")
    }
}

/// A token.
#[derive(Clone, PartialEq, Eq, prost::Message)]
#[prost(skip_debug)]
pub struct AuthenticateResponse {
    /// The token.
    #[prost(string, tag = "2")]
    pub token: String,
}

impl fmt::Debug for AuthenticateResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthenticateResponse")
    }
}
