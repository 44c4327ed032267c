//! What the fuzzer is told on its command line.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) const USAGE: &str = "usage: fuzz [--seed N] [--cases N] [--threads N] [--target manifest|metadata|formula] \
                                [--case-timeout SECONDS] [--memory MB] [--corpus DIR] [--input FILE]";

const TARGETS: [&str; 3] = ["manifest", "metadata", "formula"];

/// A build without optimization may take that many times as long.
const SLOWNESS: u32 = if cfg!(debug_assertions) { 10 } else { 1 };

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Decides all inputs, together with the numbers of cases and threads.
    pub(crate) seed: u64,
    /// Inputs of all targets together.
    pub(crate) cases: u32,
    pub(crate) threads: u32,
    /// The only target to run.
    pub(crate) target: Option<String>,
    /// An input that takes longer is a failure.
    pub(crate) timeout: Duration,
    /// Megabytes that the process may reach.
    pub(crate) memory: u64,
    /// Below the root of the repository, from where it is run, unless told otherwise.
    pub(crate) corpus: PathBuf,
    /// A file to run instead of anything else.
    pub(crate) input: Option<PathBuf>,
}

impl Settings {
    pub(crate) fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut settings = Settings {
            seed: seed_of_the_moment(),
            cases: 100_000,
            threads: std::thread::available_parallelism().map_or(1, |number| number.get().try_into().unwrap_or(1)),
            target: None,
            timeout: Duration::from_secs(5) * SLOWNESS,
            memory: 500,
            corpus: "crates/scalers/examples/fuzz/corpus".into(),
            input: None,
        };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--seed" => settings.seed = number(&name, &value)?,
                "--cases" => settings.cases = number(&name, &value)?,
                "--threads" => settings.threads = number::<u32>(&name, &value)?.max(1),
                "--target" if TARGETS.contains(&value.as_str()) => settings.target = Some(value),
                "--case-timeout" => settings.timeout = Duration::from_secs(number(&name, &value)?),
                "--memory" => settings.memory = number(&name, &value)?,
                "--corpus" => settings.corpus = value.into(),
                "--input" => settings.input = Some(value.into()),
                _ => return Err(format!("what is {name} {value}?")),
            }
        }
        if settings.input.is_some() && settings.target.is_none() {
            return Err("--input needs a --target".to_string());
        }
        Ok(settings)
    }

    /// Whether a target is to be run.
    pub(crate) fn wants(&self, target: &str) -> bool {
        self.target.as_ref().is_none_or(|wanted| wanted == target)
    }

    /// Inputs of one target on one thread.
    pub(crate) fn share(&self) -> u32 {
        let targets = if self.target.is_some() { 1 } else { 3 };
        self.cases.div_ceil(targets * self.threads)
    }
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name} needs a number, not {value}"))
}

#[allow(clippy::disallowed_methods, reason = "any number will do, as long as it is another one each time")]
fn seed_of_the_moment() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs() * 1000 + u64::from(since.subsec_millis())
}
