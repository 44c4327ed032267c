//! Runs a target on all threads, and tells how it went.

use std::any::Any;
use std::cell::RefCell;
use std::fmt::Debug;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::{fs, io, thread};

use proptest::strategy::BoxedStrategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::settings::Settings;
use crate::watch::{Slot, Watch, now};

/// Milliseconds that are spent on making an input smaller.
const SHRINKING: u32 = 20_000;

thread_local! {
    /// Where the thread panicked last.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What is fuzzed: how inputs come about, and what is done with them.
pub(crate) trait Target: Sync {
    type Input: Debug;

    const NAME: &'static str;

    /// The inputs of the corpus, as they are.
    fn corpus(&self) -> Vec<Self::Input>;

    /// Inputs made from those of the corpus.
    fn mutated(&self) -> BoxedStrategy<Self::Input>;

    /// Inputs that were written to a file.
    fn read(&self, bytes: &[u8]) -> Vec<Self::Input>;

    /// An input as it is written to a file.
    fn written(&self, input: &Self::Input) -> Vec<u8>;

    /// Runs an input, and says whether it got through to the end, as most of what is valid does.
    ///
    /// # Errors
    /// A property that does not hold.
    fn run(&self, input: &Self::Input) -> Result<bool, String>;
}

/// An input that failed, and why.
struct Failure {
    message: String,
    input: Vec<u8>,
}

pub(crate) struct Runner(Arc<Watch>);

impl Runner {
    pub(crate) fn start(settings: Settings) -> io::Result<Self> {
        // A panic is reported with its input, once for all the smaller inputs that cause it too.
        panic::set_hook(Box::new(|info| {
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            PLACE.set(place);
        }));
        Watch::start(settings).map(Runner)
    }

    /// Runs a target, if it is wanted; whether it passed.
    pub(crate) fn run<T: Target>(&self, make: impl FnOnce() -> io::Result<T>) -> io::Result<Option<bool>> {
        let watch = &self.0;
        if !watch.settings.wants(T::NAME) {
            return Ok(None);
        }
        let (start, target) = (now(), make()?);
        watch.reset();
        let failures: Vec<Failure> = match &watch.settings.input {
            Some(file) => self.all(&target, &target.read(&fs::read(file)?)),
            None => self.all(&target, &target.corpus()).into_iter().chain(self.mutated(&target)).collect(),
        };
        for (number, failure) in failures.iter().enumerate() {
            println!("FAILURE of {} with seed {}: {}", T::NAME, watch.settings.seed, failure.message);
            watch.show(T::NAME, &format!("failure-{number}"), &failure.input);
        }
        println!(
            "{} {} cases, {} of them valid to the end, {} failures, {:.1} s",
            T::NAME,
            watch.cases(),
            watch.valid(),
            failures.len(),
            now().duration_since(start).as_secs_f64()
        );
        Ok(Some(failures.is_empty()))
    }

    /// Runs inputs as they are.
    fn all<T: Target>(&self, target: &T, inputs: &[T::Input]) -> Vec<Failure> {
        let Some(slot) = self.0.slots.first() else { return Vec::new() };
        let run = |input: &T::Input| {
            let message = match panic::catch_unwind(AssertUnwindSafe(|| watched(target, slot, input))) {
                Ok(result) => result.err()?,
                Err(cause) => describe(&*cause),
            };
            slot.rest();
            Some(Failure { message, input: target.written(input) })
        };
        inputs.iter().filter_map(run).collect()
    }

    /// Runs mutated inputs on all threads, each until its first failure.
    fn mutated<T: Target>(&self, target: &T) -> Vec<Failure> {
        let settings = &self.0.settings;
        thread::scope(|scope| {
            let threads: Vec<_> = (0_u64..)
                .zip(&self.0.slots)
                .map(|(thread, slot)| {
                    let seed = seed(settings.seed, T::NAME, thread);
                    scope.spawn(move || work(target, slot, seed, settings.share()))
                })
                .collect();
            let end = |thread: thread::ScopedJoinHandle<'_, Option<Failure>>| match thread.join() {
                Ok(failure) => failure,
                Err(cause) => Some(Failure { message: describe(&*cause), input: Vec::new() }),
            };
            threads.into_iter().filter_map(end).collect()
        })
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.0.tidy();
    }
}

/// Each thread and target has inputs of its own.
fn seed(seed: u64, target: &str, thread: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    let parts = seed.to_le_bytes().into_iter().chain(thread.to_le_bytes()).chain(target.bytes());
    for (byte, part) in bytes.iter_mut().zip(parts) {
        *byte = part;
    }
    bytes
}

fn work<T: Target>(target: &T, slot: &Slot, seed: [u8; 32], cases: u32) -> Option<Failure> {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_time: SHRINKING,
        max_shrink_iters: 100_000,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let inputs = target.mutated();
    let result = runner.run(&inputs, |input| watched(target, slot, &input).map_err(TestCaseError::fail));
    slot.rest();
    match result {
        Ok(()) => None,
        Err(TestError::Fail(reason, input)) => {
            let place = PLACE.take();
            let message = format!("{} {place}", reason.message());
            Some(Failure { message, input: target.written(&input) })
        }
        Err(TestError::Abort(reason)) => Some(Failure { message: reason.message().to_string(), input: Vec::new() }),
    }
}

/// Runs an input before the eyes of the watch.
fn watched<T: Target>(target: &T, slot: &Slot, input: &T::Input) -> Result<(), String> {
    slot.begin(T::NAME, &target.written(input));
    let is_through = target.run(input)?;
    slot.end(is_through);
    Ok(())
}

/// What a panic said, and where.
fn describe(cause: &(dyn Any + Send)) -> String {
    let text = cause.downcast_ref::<String>().map(String::as_str).or_else(|| cause.downcast_ref::<&str>().copied());
    let place = PLACE.take();
    format!("panicked: {} {place}", text.unwrap_or("with something that is no text"))
}
