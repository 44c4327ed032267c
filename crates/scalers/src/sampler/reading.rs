//! One reading of one query: within a limit in time, with a second try, and with faults kept to itself.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::stream::BoxStream;
use keda_core::sample::{ErrorKind, Reading, SourceError};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Build;
use crate::client::notices::{self, Notice};
use crate::trigger::{Memory, Push, Scaler};

/// Time after which setting up and reading a source have failed, whatever the source's own limits.
const PATIENCE: Duration = Duration::from_secs(30);

/// A reading that is to be made.
pub(super) struct Job {
    pub(super) build: Build,
    /// The scaler of the last reading, if that went well.
    pub(super) scaler: Option<Arc<dyn Scaler>>,
    pub(super) memory: Memory,
    /// Whether to listen to what the source says by itself.
    pub(super) listen: bool,
    /// When it was due, if it was due at all.
    pub(super) due: Option<Instant>,
}

/// What a reading leaves behind.
pub(super) struct Finished {
    pub(super) scaler: Option<Arc<dyn Scaler>>,
    pub(super) memory: Memory,
    pub(super) result: Result<Reading, SourceError>,
    pub(super) took: Duration,
    /// How much later than it was due it began.
    pub(super) late: Option<Duration>,
    /// What was noticed meanwhile.
    pub(super) notices: Vec<Notice>,
    /// What the source says by itself: `None` when that is not known, `Some(None)` when it says nothing.
    pub(super) pushes: Option<Option<BoxStream<'static, Push>>>,
}

impl Finished {
    fn failed(message: &str, memory: Memory) -> Self {
        let result = Err(SourceError::new(ErrorKind::Unreachable, message));
        let took = Duration::ZERO;
        Finished { scaler: None, memory, result, took, late: None, notices: Vec::new(), pushes: None }
    }
}

impl Job {
    /// Reads, and after a failure sets the source up anew and reads once more.
    pub(super) async fn run(self, permits: Arc<Semaphore>) -> Finished {
        let Ok(_permit) = tokio::time::timeout(PATIENCE, permits.acquire_owned()).await else {
            return Finished::failed("too many sources do not answer", self.memory);
        };
        let (finished, notices) = notices::collect(self.read()).await;
        Finished { notices, ..finished }
    }

    async fn read(mut self) -> Finished {
        let started = Instant::now();
        let late = self.due.map(|due| started.saturating_duration_since(due));
        let mut pushes = None;
        let mut tries = 2;
        let result = loop {
            tries -= 1;
            let mut was_set_up = false;
            let reading = async {
                let scaler = match &self.scaler {
                    Some(scaler) => Arc::clone(scaler),
                    None => Arc::from((self.build)().await?),
                };
                was_set_up = true;
                if self.listen && pushes.is_none() {
                    pushes = Some(scaler.pushes());
                }
                let reading = scaler.sample(&mut self.memory).await?;
                Ok((scaler, reading))
            };
            let (scaler, result) = match guarded(reading).await {
                Ok((scaler, reading)) => (Some(scaler), Ok(reading)),
                Err(error) => (None, Err(error)),
            };
            self.scaler = scaler;
            if result.is_ok() || !was_set_up || tries == 0 || started.elapsed() > PATIENCE / 2 {
                break result;
            }
        };
        let (took, notices) = (started.elapsed(), Vec::new());
        Finished { scaler: self.scaler, memory: self.memory, result, took, late, notices, pushes }
    }
}

/// Has a source answer within a limit in time; a panic becomes an error of this source alone.
pub(crate) async fn guarded<T>(work: impl Future<Output = Result<T, SourceError>>) -> Result<T, SourceError> {
    match tokio::time::timeout(PATIENCE, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(SourceError::malformed("reading the source failed by a fault in keda itself")),
        Err(_) => {
            let message = format!("no answer within {} s", PATIENCE.as_secs());
            Err(SourceError::new(ErrorKind::Unreachable, message))
        }
    }
}
