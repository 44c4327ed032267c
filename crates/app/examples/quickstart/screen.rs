//! The screen: lines that stay and, on a terminal, a last line that is kept up to date.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crate::queue::Counts;

/// How often progress is printed where lines cannot be replaced.
const LINE_EVERY: Duration = Duration::from_secs(2);
/// Width of the progress bar in characters.
const BAR: usize = 20;

pub(crate) struct Screen {
    terminal: bool,
    printed: Option<Duration>,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Screen { terminal: io::stdout().is_terminal(), printed: None }
    }

    /// A line that stays.
    pub(crate) fn line(&self, text: &str) {
        let erase = if self.terminal { "\r\x1b[K" } else { "" };
        write(&format!("{erase}{text}\n"));
    }

    /// A step of the scaling, with its time.
    pub(crate) fn step(&self, at: Duration, text: &str) {
        self.line(&format!("{}  {text}", seconds(at)));
    }

    /// How far the jobs are.
    pub(crate) fn progress(&mut self, at: Duration, counts: Counts, replicas: u32) {
        let Counts { done, waiting, working, unfinished } = counts;
        let total = done + unfinished;
        let text = match (BAR * done).checked_div(total) {
            None => format!("{}  no jobs, {replicas} workers", seconds(at)),
            Some(full) => {
                let bar = format!("{}{}", "█".repeat(full), "░".repeat(BAR - full));
                format!("{}  {bar} {done} of {total} jobs done, {waiting} waiting, {working} in work", seconds(at))
            }
        };
        if self.terminal {
            write(&format!("\r\x1b[K{text}"));
        } else if self.printed.is_none_or(|printed| at >= printed + LINE_EVERY) {
            self.printed = Some(at);
            self.line(&text);
        }
    }
}

fn seconds(at: Duration) -> String {
    format!("{:>6.1} s", at.as_secs_f64())
}

fn write(text: &str) {
    let mut out = io::stdout().lock();
    // Nobody can be told when standard output is closed.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
