//! Runs recorded cases, inputs and the answers expected for them, against this crate.
//!
//! `cargo run -q --release -p keda-core --example conformance -- (hpa|engine) DIR` runs every `*.jsonl` of the folder,
//! one case a line, prints a count per file and the first failures, and exits with 1 if there are any; 2 if it was
//! called wrongly or the folder cannot be read.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod engine;
mod hpa;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs one line of the file with the given stem; `None` if it has no runner for the file.
type Runner = fn(stem: &str, line: &str) -> Option<Result<(), String>>;

/// Failures that are printed per file.
const SHOWN: usize = 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (runner, folder): (Runner, &str) = match arguments.as_slice() {
        [suite, folder] if suite == "hpa" => (hpa::run, folder),
        [suite, folder] if suite == "engine" => (engine::run, folder),
        _ => {
            eprintln!("usage: conformance (hpa|engine) DIR");
            return ExitCode::from(2);
        }
    };
    match run_folder(Path::new(folder), runner) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{folder}: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs all files and yields the number of cases that failed.
fn run_folder(folder: &Path, runner: Runner) -> std::io::Result<usize> {
    let (mut passed, mut failed) = (0, 0);
    for file in case_files(folder)? {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file)?;
        let cases: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let outcomes: Option<Vec<_>> = cases.iter().map(|line| runner(&stem, line)).collect();
        let Some(outcomes) = outcomes else {
            println!("{stem} skipped");
            continue;
        };
        let failures: Vec<_> =
            cases.iter().zip(&outcomes).filter_map(|(line, o)| Some((line, o.as_ref().err()?))).collect();
        println!("{stem} {}/{}", cases.len() - failures.len(), cases.len());
        for (line, reason) in failures.iter().take(SHOWN) {
            println!("  {}: {reason}", id(line));
        }
        passed += cases.len() - failures.len();
        failed += failures.len();
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed)
}

fn case_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let paths: Result<Vec<_>, _> = folder.read_dir()?.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut files: Vec<_> = paths?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "jsonl")).collect();
    files.sort();
    Ok(files)
}

fn id(line: &str) -> String {
    let case: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    case["id"].as_str().unwrap_or("(no id)").to_owned()
}
