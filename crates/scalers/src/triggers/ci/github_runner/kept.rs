//! What is kept from one reading to the next: the last count, the rate limit, and answers that may still hold.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::client::http::Answer;

/// Kept from one reading to the next.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) count: Option<i64>,
    pub(super) limit: Limit,
    pub(super) repositories: Answers<Vec<Repository>>,
    pub(super) runs: Answers<Runs>,
    pub(super) jobs: Answers<Jobs>,
}

impl Kept {
    /// Forgets the answers that the last reading did not need.
    pub(super) fn prune(&mut self) {
        self.repositories.prune();
        self.runs.prune();
        self.jobs.prune();
    }
}

/// A repository.
#[derive(Clone, Deserialize)]
pub(super) struct Repository {
    pub(super) name: String,
}

/// Runs of workflows.
#[derive(Clone, Deserialize)]
pub(super) struct Runs {
    pub(super) workflow_runs: Vec<Run>,
}

/// A run of a workflow.
#[derive(Clone, Deserialize)]
pub(super) struct Run {
    pub(super) id: i64,
    pub(super) status: String,
    pub(super) repository: Repository,
}

/// Jobs of a run.
#[derive(Clone, Deserialize)]
pub(super) struct Jobs {
    pub(super) jobs: Vec<Job>,
}

/// A job.
#[derive(Clone, Deserialize)]
pub(super) struct Job {
    pub(super) status: String,
    #[serde(default)]
    pub(super) labels: Vec<String>,
}

/// Answers by address, with the tags that they had.
pub(super) struct Answers<T>(HashMap<String, Tagged<T>>);

struct Tagged<T> {
    tag: String,
    answer: T,
    is_needed: bool,
}

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Answers(HashMap::new())
    }
}

impl<T: Clone> Answers<T> {
    /// The tag of the answer that is kept.
    pub(super) fn tag(&self, url: &str) -> Option<&str> {
        self.0.get(url).map(|tagged| tagged.tag.as_str())
    }

    /// The answer that is kept.
    pub(super) fn get(&mut self, url: &str) -> Option<T> {
        let tagged = self.0.get_mut(url)?;
        tagged.is_needed = true;
        Some(tagged.answer.clone())
    }

    pub(super) fn keep(&mut self, url: &str, tag: &str, answer: &T) {
        let tagged = Tagged { tag: tag.to_string(), answer: answer.clone(), is_needed: true };
        self.0.insert(url.to_string(), tagged);
    }

    fn prune(&mut self) {
        self.0.retain(|_, tagged| std::mem::take(&mut tagged.is_needed));
    }
}

/// When requests will be answered again.
#[derive(Default)]
pub(super) struct Limit(Option<Timestamp>);

impl Limit {
    /// Reads what an answer says of the rate limit, if anything: `Retry-After` alone is also said by a server that is
    /// out of order.
    pub(super) fn note(&mut self, answer: &Answer, now: Timestamp) {
        let number = |name| answer.header(name).and_then(|text| text.trim().parse::<i64>().ok());
        let reset = number("X-RateLimit-Reset").and_then(|second| Timestamp::from_second(second).ok());
        let Some(remaining) = number("X-RateLimit-Remaining") else { return };
        let spent = reset.filter(|_| remaining == 0);
        let pause = number("Retry-After").and_then(|seconds| now.checked_add(SignedDuration::from_secs(seconds)).ok());
        self.0 = spent.max(pause);
    }

    /// Until when requests are in vain.
    pub(super) fn until(&self, now: Timestamp) -> Option<Timestamp> {
        self.0.filter(|until| now < *until)
    }
}
