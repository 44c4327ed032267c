//! Kafka: what its two triggers share. The messages are the library's; connections, logins and who is asked are ours.

mod cluster;
mod connection;
pub mod lag;
mod login;
pub mod options;
mod questions;
mod scram;

use kafka_protocol::ResponseError;
use keda_core::sample::{ErrorKind, SourceError};

pub use cluster::{Access, Cluster, KafkaPool, Topics};
pub use login::{Login, ScramHash};

/// A partition of a topic.
pub type Partition = (String, i32);

/// What a broker's error code says about the failure; nothing where there is none.
fn check(code: i16, what: impl FnOnce() -> String) -> Result<(), SourceError> {
    let Some(error) = ResponseError::try_from_code(code) else { return Ok(()) };
    let kind = match error {
        ResponseError::TopicAuthorizationFailed
        | ResponseError::GroupAuthorizationFailed
        | ResponseError::ClusterAuthorizationFailed
        | ResponseError::SaslAuthenticationFailed => ErrorKind::Denied,
        ResponseError::ThrottlingQuotaExceeded => ErrorKind::Throttled,
        // The protocol counts it as one that may pass; so it does when the topic is made.
        ResponseError::UnknownTopicOrPartition => ErrorKind::Configuration,
        error if error.is_retriable() => ErrorKind::Unreachable,
        ResponseError::UnknownServerError => ErrorKind::Unreachable,
        _ => ErrorKind::Configuration,
    };
    Err(SourceError::new(kind, format!("{}: {error}", what())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart() {
        let kind = |code: i16| check(code, || "topic t".to_string()).map_err(|error| error.kind);
        assert_eq!(kind(0), Ok(()));
        for (code, expected) in [
            (3, ErrorKind::Configuration),
            (6, ErrorKind::Unreachable),
            (16, ErrorKind::Unreachable),
            (29, ErrorKind::Denied),
            (30, ErrorKind::Denied),
            (58, ErrorKind::Denied),
            (89, ErrorKind::Throttled),
            (33, ErrorKind::Configuration),
        ] {
            assert_eq!(kind(code), Err(expected), "{code}");
        }
    }
}
