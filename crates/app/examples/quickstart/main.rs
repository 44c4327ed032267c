//! The quickstart: a queue, workers, and a burst of jobs that `keda up` scales the workers for, from 0 to 8 and back.
//!
//! `make quickstart` builds and runs it. Without arguments it plays the whole story and ends by itself; with `work URL`
//! it is one of the workers, which is what the Deployment in `examples/quickstart/` says; with `queue` it is the queue
//! alone, for those who want to play by hand.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod autoscaler;
mod fleet;
mod manifests;
mod queue;
mod screen;
mod story;
mod summary;
mod worker;

use std::process::ExitCode;

/// Where the committed manifests expect the queue.
const PORT: u16 = 18080;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        [] => block_on(story::tell()),
        ["work", url] => block_on(worker::work(url)),
        ["queue"] => block_on(queue::serve_by_hand(PORT)),
        _ => {
            eprintln!("usage: quickstart [work URL | queue]");
            return ExitCode::from(2);
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("quickstart: {error:#}");
        ExitCode::FAILURE
    })
}

/// One thread is enough for each of the roles.
fn block_on(role: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(role)
}
