//! `liiklus`, against a gRPC server.

use std::sync::{Arc, Mutex};

use keda_core::sample::ErrorKind;
use keda_scalers::registry::liiklus::messages::*;
use tonic::Status;

use crate::servers::free_port;
use crate::stand_ins::grpc::{Server, message};
use crate::{Source, sources};

fn group(address: &str, more: &[(&str, &str)]) -> Source {
    let metadata = [("address", address), ("topic", "orders"), ("group", "billing"), ("groupVersion", "2")];
    Source::new(&sources(), "liiklus", &[&metadata, more].concat(), &[])
}

#[tokio::test]
async fn the_lag_is_what_lies_between_the_offsets() {
    let ends = Arc::new(Mutex::new(Some([(0, 7), (1, 5)])));
    let said = Arc::clone(&ends);
    let server = Server::new(move |call| match call.path.as_str() {
        GET_OFFSETS => {
            let asked: GetOffsetsRequest = call.message();
            assert_eq!((asked.topic.as_str(), asked.group.as_str(), asked.group_version), ("orders", "billing", 2));
            message(&Offsets { offsets: [(0, 4)].into() })
        }
        GET_END_OFFSETS => {
            assert_eq!(call.message::<GetEndOffsetsRequest>().topic, "orders");
            let ends = *said.lock().unwrap();
            message(&Offsets { offsets: ends.ok_or_else(|| Status::not_found("no such topic"))?.into() })
        }
        other => panic!("no such method: {other}"),
    });
    let address = server.serve().await;
    let sample = group(&address, &[]).sample().await.unwrap();
    assert_eq!((sample.value, sample.active), (8.0, true));
    assert!(!group(&address, &[("activationLagThreshold", "8")]).sample().await.unwrap().active);
    assert_eq!(group(&address, &[("lagThreshold", "2")]).value().await, 4.0, "two replicas for two partitions");
    *ends.lock().unwrap() = None;
    let error = group(&address, &[]).error().await;
    assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
    assert!(error.message.contains("GetEndOffsets of Liiklus: NotFound: no such topic"), "{error}");
}

#[tokio::test]
async fn errors_are_told() {
    let nowhere = format!("127.0.0.1:{}", free_port());
    assert_eq!(group(&nowhere, &[]).error().await.kind, ErrorKind::Unreachable);
    for unusable in [("lagThreshold", "0"), ("activationLagThreshold", "-1")] {
        assert_eq!(group(&nowhere, &[unusable]).error().await.kind, ErrorKind::Configuration);
    }
}
