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

use super::{Build, Built, Subscriber};
use crate::client::notices::{self, Notice};
use crate::trigger::{Memory, Push, Scaler};

/// Time after which setting up and reading a source have failed, whatever the source's own limits.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a source is read before a failure counts.
const TRIES: usize = 2;

/// A reading that is to be made.
pub(super) struct Job {
    /// What is asked.
    pub(super) fingerprint: u128,
    /// Who makes scalers, in this order.
    pub(super) builds: Vec<(Subscriber, Build)>,
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
    /// `None` where nobody was left who asks this.
    pub(super) result: Option<Result<Reading, SourceError>>,
    /// How many scalers were to be made.
    pub(super) built: usize,
    /// Those who could not make one, and why.
    pub(super) refused: Vec<(Subscriber, SourceError)>,
    /// Those who ask something else by now.
    pub(super) moved: Vec<Moved>,
    pub(super) took: Duration,
    /// How much later than it was due it began.
    pub(super) late: Option<Duration>,
    /// What was noticed meanwhile.
    pub(super) notices: Vec<Notice>,
    /// What the source says by itself: `None` when that is not known, `Some(None)` when it says nothing.
    pub(super) pushes: Option<Option<BoxStream<'static, Push>>>,
}

/// One whose secrets have changed, what it asks by now, and the scaler for that.
pub(super) struct Moved {
    pub(super) subscriber: Subscriber,
    pub(super) fingerprint: u128,
    pub(super) scaler: Arc<dyn Scaler>,
}

impl Finished {
    fn new(memory: Memory) -> Self {
        Finished {
            scaler: None,
            memory,
            result: None,
            built: 0,
            refused: Vec::new(),
            moved: Vec::new(),
            took: Duration::ZERO,
            late: None,
            notices: Vec::new(),
            pushes: None,
        }
    }
}

impl Job {
    /// Reads, and after a failure sets the source up anew and reads once more.
    pub(super) async fn run(self, permits: Arc<Semaphore>) -> Finished {
        let Ok(_permit) = tokio::time::timeout(PATIENCE, permits.acquire_owned()).await else {
            let error = SourceError::new(ErrorKind::Unreachable, "too many sources do not answer");
            return Finished { result: Some(Err(error)), ..Finished::new(self.memory) };
        };
        let (finished, notices) = notices::collect(self.read()).await;
        Finished { notices, ..finished }
    }

    async fn read(self) -> Finished {
        let started = Instant::now();
        let mut finished = Finished::new(self.memory);
        finished.late = self.due.map(|due| started.saturating_duration_since(due));
        let mut builds = self.builds.into_iter();
        let mut known = self.scaler;
        for _ in 0..TRIES {
            let scaler = match known.take() {
                Some(scaler) => scaler,
                None => match finished.build(self.fingerprint, &mut builds).await {
                    Some(scaler) => scaler,
                    None => break,
                },
            };
            let result = guarded(async {
                if self.listen && finished.pushes.is_none() {
                    finished.pushes = Some(scaler.pushes());
                }
                scaler.sample(&mut finished.memory).await
            });
            let result = result.await;
            let is_read = result.is_ok();
            finished.result = Some(result);
            if is_read {
                finished.scaler = Some(scaler);
                break;
            }
            if started.elapsed() > PATIENCE / 2 {
                break;
            }
        }
        finished.took = started.elapsed();
        finished
    }
}

impl Finished {
    /// The scaler of the next one who can make one that asks `fingerprint`.
    async fn build(
        &mut self,
        fingerprint: u128,
        builds: &mut impl Iterator<Item = (Subscriber, Build)>,
    ) -> Option<Arc<dyn Scaler>> {
        for (subscriber, build) in builds {
            let is_known = self.refused.iter().any(|(refused, _)| *refused == subscriber)
                || self.moved.iter().any(|moved| moved.subscriber == subscriber);
            if is_known {
                continue;
            }
            self.built += 1;
            match guarded(async { build().await }).await {
                Ok(Built { fingerprint: same, scaler }) if same == fingerprint => return Some(Arc::from(scaler)),
                Ok(Built { fingerprint, scaler }) => {
                    self.moved.push(Moved { subscriber, fingerprint, scaler: Arc::from(scaler) });
                    // What failed before may be the fault of the one who is gone.
                    self.result = None;
                }
                Err(error) => {
                    let kind = error.kind;
                    self.refused.push((subscriber, error));
                    let message = "it cannot be set up for another object that asks the same";
                    self.result.get_or_insert_with(|| Err(SourceError::new(kind, message)));
                    // Where one finds nobody, the next one does not either.
                    if kind == ErrorKind::Unreachable {
                        return None;
                    }
                }
            }
        }
        None
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
