//! What a trigger is: a pure half that parses and describes, and an I/O half that reads.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use futures::stream::BoxStream;
use keda_core::metadata::{Context, Metadata};
use keda_core::metric::MetricSpec;
use keda_core::sample::{ErrorKind, Reading, SourceError};

use crate::client::Sources;

/// One trigger type. The derive of [`Metadata`] gives its parameters; rules between them go into its
/// `#[metadata(check)]`.
pub trait Trigger: Metadata + Send + Sync + 'static {
    /// The metrics that this trigger gives the HPA. Does no I/O; only called when parsing found no error.
    fn specs(&self, context: &Context) -> Specs;

    /// Makes the reader of the source. Dials on the first sample, never here, so that a source that is down does not
    /// hold up its object. A type whose source is not written yet leaves this out.
    ///
    /// # Errors
    /// What the client library refuses before any connection: a bad certificate, a bad URL. Of a type whose source is
    /// not written yet, [`ErrorKind::Unsupported`].
    fn connect(self, context: &Context, _sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        Err(not_written(&context.trigger_type))
    }
}

/// What is said of a type whose source is not written yet.
pub(crate) fn not_written(trigger_type: &str) -> SourceError {
    SourceError::new(ErrorKind::Unsupported, format!("reading a {trigger_type} trigger is not supported yet"))
}

/// The metrics of a trigger, as far as they are known offline.
#[derive(Debug, Clone, PartialEq)]
pub enum Specs {
    /// Known from the metadata.
    Known(Vec<MetricSpec>),
    /// Only the source knows them ([`Scaler::describe`]).
    FromSource,
}

impl Specs {
    /// A single metric.
    pub fn one(spec: MetricSpec) -> Self {
        Specs::Known(vec![spec])
    }
}

/// The reader of one source for one trigger. Shared state lives in its own cell: reading takes `&self`.
#[async_trait]
pub trait Scaler: Send + Sync {
    /// Reads all metrics of the trigger at once, named as in its specs.
    ///
    /// # Errors
    /// Whatever keeps the source from giving a number; never a made-up 0.
    async fn sample(&self, memory: &mut Memory) -> Result<Reading, SourceError>;

    /// The metric specs of a trigger whose source alone knows them.
    ///
    /// # Errors
    /// As for [`Scaler::sample`].
    async fn describe(&self) -> Result<Vec<MetricSpec>, SourceError> {
        Ok(Vec::new())
    }

    /// What the source says by itself, of a source that does. The stream connects when it is first polled, survives
    /// failures of the source, and goes on without this scaler until it is dropped.
    fn pushes(&self) -> Option<BoxStream<'static, Push>> {
        None
    }
}

/// What a source says without being asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Push {
    /// Whether there is work.
    Active(bool),
    /// The metric specs of a trigger whose source alone knows them: these are the present ones.
    Specs(Vec<MetricSpec>),
}

/// The reader of a source that can never be read: it says why.
#[derive(Debug)]
pub struct Unreadable(pub SourceError);

#[async_trait]
impl Scaler for Unreadable {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        Err(self.0.clone())
    }
}

/// What a trigger remembers between readings: offsets, entity tags, the last good host. The sampler owns it, so it
/// survives a rebuild of the scaler.
#[derive(Default)]
pub struct Memory(BTreeMap<&'static str, Box<dyn Any + Send>>);

impl Memory {
    /// The value kept under `key`, made with `default` at first.
    pub fn get_or<T: Any + Send>(&mut self, key: &'static str, default: impl FnOnce() -> T) -> Option<&mut T> {
        self.0.entry(key).or_insert_with(|| Box::new(default())).downcast_mut()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A whole number as a float: exact up to 2^53, far above any backlog.
#[allow(clippy::cast_precision_loss)]
pub fn float(number: i64) -> f64 {
    number as f64
}
