//! A property fuzzer: mutated manifests, trigger metadata and formulas go through the code that reads them, which must
//! neither panic, nor hang, nor take much memory, nor tell a secret.
//!
//! `make fuzz` runs a million inputs, `make test` a tenth of that. Inputs come from the texts of `corpus/`, each of
//! which is run as it is first, then with one to eight changes. The seed is printed; with the same seed, cases and
//! threads the inputs are the same. What fails is made smaller, printed, and kept in a file, which `--input` runs
//! alone; it belongs into `corpus/` then.
//!
//! The toolchain is the stable one, so what the inputs reach is not measured: breadth comes from the corpus, which has
//! each trigger type, kind of object and notation, and from the names that the tables of the code know.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod corpus;
mod dictionary;
mod mutation;
mod runner;
mod settings;
mod targets;
mod watch;

use std::process::ExitCode;

use runner::Runner;
use settings::{Settings, USAGE};
use targets::{Formula, Manifest, Metadata};

fn main() -> ExitCode {
    let settings = match Settings::read(std::env::args().skip(1)) {
        Ok(settings) => settings,
        Err(message) => {
            eprintln!("fuzz: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    println!("seed {}, {} cases, {} threads", settings.seed, settings.cases, settings.threads);
    match fuzz(settings) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fuzz: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs all targets and yields the number of those that failed.
fn fuzz(settings: Settings) -> std::io::Result<usize> {
    let corpus = settings.corpus.clone();
    let runner = Runner::start(settings)?;
    let outcomes = [
        runner.run(|| Manifest::new(&corpus))?,
        runner.run(|| Metadata::new(&corpus))?,
        runner.run(|| Formula::new(&corpus))?,
    ];
    let failed = outcomes.iter().filter(|outcome| **outcome == Some(false)).count();
    let passed = outcomes.iter().filter(|outcome| **outcome == Some(true)).count();
    if let Some(peak) = watch::peak_memory() {
        println!("peak memory {peak} MB");
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed)
}
