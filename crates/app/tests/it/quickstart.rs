//! The quickstart, as a newcomer runs it.
//!
//! It takes half a minute, so `cargo test` leaves it out; `make test` runs it at the end, with the release build that
//! `make quickstart` uses, which it names in `KEDA_TEST_QUICKSTART`.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

#[test]
#[ignore = "takes half a minute; `make test` runs it"]
fn the_quickstart_scales_from_zero_to_several_and_back() {
    let folder = TempDir::new().unwrap();
    let mut quickstart = start(&folder);
    let mut output = String::new();
    quickstart.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert!(quickstart.wait().unwrap().success(), "{output}");

    let steps: Vec<(u32, u32)> = output.lines().filter_map(step).collect();
    assert_eq!(steps.first().map(|(from, _)| *from), Some(0), "{output}");
    assert!(steps.iter().any(|(_, to)| *to >= 3), "{output}");
    assert_eq!(steps.last().map(|(_, to)| *to), Some(0), "{output}");
    assert!(steps.windows(2).all(|pair| pair[0].1 == pair[1].0), "{output}");
    assert!(output.contains("All 40 jobs are done"), "{output}");
    assert!(output.contains("replica-seconds"), "{output}");
    assert_nothing_is_left(&folder, &output);
}

#[test]
#[ignore = "takes some seconds; `make test` runs it"]
fn an_interrupted_quickstart_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    let mut quickstart = start(&folder);
    let mut lines = BufReader::new(quickstart.stdout.take().unwrap()).lines();
    let mut output = String::new();
    while !output.lines().any(|line| step(line).is_some()) {
        output += &(lines.next().unwrap().unwrap() + "\n");
    }
    kill_process(Pid::from_child(&quickstart), Signal::INT).unwrap();
    output.extend(lines.map(|line| line.unwrap() + "\n"));
    assert_eq!(quickstart.wait().unwrap().code(), Some(130), "{output}");
    assert_nothing_is_left(&folder, &output);
}

fn start(folder: &TempDir) -> Child {
    Command::new(program())
        .env("TMPDIR", folder.path())
        .env("HOME", folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the quickstart; build it with `cargo build --bin keda --example quickstart`")
}

#[allow(clippy::disallowed_methods)]
fn program() -> PathBuf {
    let beside = || crate::program::path().with_file_name("examples/quickstart");
    std::env::var_os("KEDA_TEST_QUICKSTART").map_or_else(beside, PathBuf::from)
}

/// The change of replicas that a line tells of.
fn step(line: &str) -> Option<(u32, u32)> {
    let (before, after) = line.split_once(" → ")?;
    Some((before.split_whitespace().last()?.parse().ok()?, after.split_whitespace().next()?.parse().ok()?))
}

/// No process, no file, no port.
fn assert_nothing_is_left(folder: &TempDir, output: &str) {
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(files.is_empty(), "{files:?}");
    let mark = folder.path().to_str().unwrap();
    let processes: Vec<_> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|process| mentions(&process.join("environ"), mark) || mentions(&process.join("cmdline"), mark))
        .collect();
    assert!(processes.is_empty(), "{processes:?}");
    let address = output.split_once("http://").unwrap().1.split(',').next().unwrap();
    TcpListener::bind(address).unwrap();
}

/// Whether a file of `/proc`, if the process is still there and ours to look at, has the text in it.
fn mentions(file: &Path, text: &str) -> bool {
    fs::read(file).is_ok_and(|content| content.windows(text.len()).any(|window| window == text.as_bytes()))
}
