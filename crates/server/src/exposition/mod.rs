//! Prometheus metrics: KEDA's families, so that its dashboards and alerts go on working.
//!
//! There is no global registry: one [`Metrics`] is handed to those who have something to tell. Only the leader tells of
//! objects; what a follower said of them as well would be counted twice.

mod calls;
mod families;
mod family;
mod objects;
mod requests;
mod serve;

use std::fmt;
use std::sync::Arc;

use prometheus::{Registry, TextEncoder};

use crate::ServerError;
pub use calls::GrpcCall;
use families::{Families, Table};
pub(crate) use objects::{ObjectSeries, Registration};
pub use requests::client;
pub use serve::CONTENT_TYPE;
pub(crate) use serve::serve;

/// What can be told of the program itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Build {
    /// Version of the program.
    pub version: &'static str,
    /// The commit that it was built from, if that is known.
    pub git_commit: &'static str,
}

/// All metrics of this process. Clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    families: Families,
}

impl Metrics {
    /// Nothing is told yet but what was built.
    ///
    /// # Errors
    /// [`ServerError::Metrics`] for families that contradict each other, which is a fault of this program.
    pub fn new(build: Build) -> Result<Self, ServerError> {
        let mut table = Table::default();
        let families = Families::register(&mut table).map_err(|error| ServerError::Metrics(error.to_string()))?;
        // The label is there for those who select by it; no Go was involved.
        let labels = [build.version, build.git_commit, "", std::env::consts::OS, architecture()];
        families.build.with(labels, |gauge| gauge.set(1.0));
        Ok(Metrics(Arc::new(Inner { registry: table.registry, families })))
    }

    /// All metrics in the text format of Prometheus, version 0.0.4 ([`CONTENT_TYPE`]).
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.0.registry.gather()).unwrap_or_else(|error| {
            tracing::error!(%error, "metrics cannot be written down");
            String::new()
        })
    }

    fn families(&self) -> &Families {
        &self.0.families
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// The architecture as KEDA names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_built_and_the_process_are_told_from_the_beginning() {
        let metrics = Metrics::new(Build { version: "1.2.3", git_commit: "abc" }).unwrap();
        let text = metrics.render();
        let labels = format!(
            "git_commit=\"abc\",goarch=\"{}\",goos=\"{}\",goversion=\"\",version=\"1.2.3\"",
            architecture(),
            std::env::consts::OS
        );
        assert!(text.contains("# TYPE keda_build_info gauge\n"), "{text}");
        assert!(text.contains(&format!("keda_build_info{{{labels}}} 1\n")), "{text}");
        assert!(text.contains("# TYPE process_cpu_seconds_total counter\n"), "{text}");
        assert!(!text.contains("keda_scaler_active"), "a family without a series is not there");
    }
}
