//! Triggers against real servers.
//!
//! Every test starts its servers itself, on free ports and in a temporary folder, and stops them at the end. Where a
//! server is not installed a test says so and passes; with `KEDA_TEST_REQUIRE_SERVERS=1` it fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "these are tests")]
#![allow(unreachable_pub, missing_debug_implementations, reason = "nobody uses this crate")]

mod aws;
mod cassandra;
mod contracts;
mod databases;
mod external;
mod http;
mod messaging;
mod mongodb;
mod observability;
mod servers;
mod sql;
mod stand_ins;

use std::sync::Arc;

use futures::stream::BoxStream;
use keda_core::api::PodIdentity;
use keda_core::metadata::{Context, Inputs};
use keda_core::problem::has_errors;
use keda_core::sample::{Sample, SourceError};
use keda_scalers::client::{SourceSettings, Sources};
use keda_scalers::registry;
use keda_scalers::trigger::{Memory, Push, Scaler};

/// Connections of their own for one test.
pub fn sources() -> Arc<Sources> {
    Arc::new(Sources::new(SourceSettings::default()))
}

/// A trigger of a ScaledObject `test/app`, ready to be read.
pub struct Source(Box<dyn Scaler>);

impl Source {
    /// Makes a trigger from its metadata and the parameters of its authentication.
    pub fn new(sources: &Sources, kind: &str, metadata: &[(&str, &str)], authentication: &[(&str, &str)]) -> Self {
        Self::try_new(sources, kind, metadata, authentication).expect("the trigger can be set up")
    }

    /// The same, or why it cannot be set up.
    pub fn try_new(
        sources: &Sources,
        kind: &str,
        metadata: &[(&str, &str)],
        authentication: &[(&str, &str)],
    ) -> Result<Self, SourceError> {
        Self::with_identity(sources, kind, metadata, authentication, None)
    }

    /// The same with the identity that a cloud gives to pods.
    pub fn with_identity(
        sources: &Sources,
        kind: &str,
        metadata: &[(&str, &str)],
        authentication: &[(&str, &str)],
        pod_identity: Option<PodIdentity>,
    ) -> Result<Self, SourceError> {
        let context = Context {
            trigger_type: kind.to_string(),
            namespace: "test".to_string(),
            name: "app".to_string(),
            pod_identity,
            ..Context::default()
        };
        let inputs =
            Inputs::from_metadata(metadata.iter().copied()).with_authentication(authentication.iter().copied());
        let parsed = registry::find(kind).expect("the type exists").parse(&inputs, &context);
        assert!(!has_errors(&parsed.problems), "{:?}", parsed.problems);
        parsed.connect(&context, sources).map(Source)
    }

    /// The reading of its one metric.
    pub async fn sample(&self) -> Result<Sample, SourceError> {
        let reading = self.0.sample(&mut Memory::default()).await?;
        let [(_, sample)] = reading.as_slice() else { panic!("one metric expected: {reading:?}") };
        Ok(*sample)
    }

    /// The value of its one metric.
    pub async fn value(&self) -> f64 {
        self.sample().await.expect("the source can be read").value
    }

    /// What it says by itself.
    pub fn pushes(&self) -> BoxStream<'static, Push> {
        self.0.pushes().expect("a source that speaks up by itself")
    }

    /// Why it cannot be read.
    pub async fn error(&self) -> SourceError {
        self.sample().await.expect_err("the source cannot be read")
    }
}
