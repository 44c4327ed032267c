//! Watches the inputs at work: one that takes too long or too much memory ends the program, and is told.
//!
//! What no code can catch, such as a stack that overflows, leaves the input in the thread's file.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::settings::Settings;

const LOOK_EVERY: Duration = Duration::from_millis(100);
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Bytes of an input that are printed.
const SHOWN: usize = 4000;

/// What the threads are at.
pub(crate) struct Watch {
    pub(crate) settings: Settings,
    /// One for each thread.
    pub(crate) slots: Vec<Slot>,
    folder: PathBuf,
}

/// What one thread is at.
pub(crate) struct Slot {
    work: Mutex<Work>,
    cases: AtomicU64,
    valid: AtomicU64,
    /// The input once more, for when the process dies.
    file: File,
}

#[derive(Default)]
struct Work {
    target: &'static str,
    since: Option<Instant>,
    input: Vec<u8>,
}

impl Watch {
    /// Starts to watch, from a thread of its own.
    pub(crate) fn start(settings: Settings) -> io::Result<Arc<Self>> {
        let folder = std::env::temp_dir().join(format!("keda-fuzz-{}", settings.seed));
        fs::create_dir_all(&folder)?;
        println!("after a crash the inputs at work are in {}", folder.display());
        let slots: io::Result<Vec<Slot>> =
            (0..settings.threads).map(|thread| Slot::new(&folder.join(format!("thread-{thread}")))).collect();
        let watch = Arc::new(Watch { settings, slots: slots?, folder });
        let watching = Arc::clone(&watch);
        thread::spawn(move || watching.watch());
        Ok(watch)
    }

    fn watch(&self) {
        let (start, mut reports) = (now(), 0);
        loop {
            thread::sleep(LOOK_EVERY);
            for slot in &self.slots {
                let work = slot.work();
                let hangs = work.since.is_some_and(|since| now().duration_since(since) > self.settings.timeout);
                if hangs {
                    let what = format!("an input takes longer than {} s", self.settings.timeout.as_secs());
                    self.give_up(&what, &[work]);
                }
            }
            let memory = peak_memory().unwrap_or_default();
            if memory > self.settings.memory {
                let all: Vec<_> = self.slots.iter().map(Slot::work).collect();
                self.give_up(&format!("the process took {memory} MB, after one of these inputs"), &all);
            }
            let elapsed = now().duration_since(start);
            if elapsed > REPORT_EVERY * (reports + 1) {
                reports += 1;
                let target = self.slots.first().map_or("", |slot| slot.work().target);
                println!("  {target}: {} cases, {} s, {memory} MB", self.cases(), elapsed.as_secs());
            }
        }
    }

    /// Reports what was at work, and ends the program.
    fn give_up(&self, what: &str, works: &[MutexGuard<'_, Work>]) {
        println!("FAILURE with seed {}: {what}", self.settings.seed);
        for (number, work) in works.iter().enumerate() {
            self.show(work.target, &format!("at-work-{number}"), &work.input);
        }
        std::process::exit(1);
    }

    /// Prints an input and keeps it in a file.
    pub(crate) fn show(&self, target: &str, name: &str, input: &[u8]) {
        let file = self.folder.join(format!("{target}-{name}"));
        match fs::write(&file, input) {
            Ok(()) => println!("input of {target}, {} bytes, in {}:", input.len(), file.display()),
            Err(error) => println!("input of {target}, {} bytes (not kept: {error}):", input.len()),
        }
        let shown = input.get(..SHOWN).unwrap_or(input);
        println!("{}\n", String::from_utf8_lossy(shown));
    }

    /// Inputs of the present target so far.
    pub(crate) fn cases(&self) -> u64 {
        self.slots.iter().map(|slot| slot.cases.load(Ordering::Relaxed)).sum()
    }

    /// Those of them that got through to the end.
    pub(crate) fn valid(&self) -> u64 {
        self.slots.iter().map(|slot| slot.valid.load(Ordering::Relaxed)).sum()
    }

    /// Gets ready for the next target.
    pub(crate) fn reset(&self) {
        for slot in &self.slots {
            slot.cases.store(0, Ordering::Relaxed);
            slot.valid.store(0, Ordering::Relaxed);
        }
    }

    /// Removes the files of the threads, and the folder if nothing was kept in it.
    pub(crate) fn tidy(&self) {
        for thread in 0..self.slots.len() {
            let _ = fs::remove_file(self.folder.join(format!("thread-{thread}")));
        }
        let _ = fs::remove_dir(&self.folder);
    }
}

impl Slot {
    fn new(file: &Path) -> io::Result<Self> {
        Ok(Slot {
            work: Mutex::default(),
            cases: AtomicU64::new(0),
            valid: AtomicU64::new(0),
            file: File::create(file)?,
        })
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An input is about to be run.
    pub(crate) fn begin(&self, target: &'static str, input: &[u8]) {
        // Without the file a crash is harder to explain, and that is all.
        let _ = self.file.write_all_at(input, 0).and_then(|()| self.file.set_len(input.len() as u64));
        let mut work = self.work();
        work.target = target;
        work.input.clear();
        work.input.extend_from_slice(input);
        work.since = Some(now());
    }

    /// The input was run.
    pub(crate) fn end(&self, is_through: bool) {
        self.cases.fetch_add(1, Ordering::Relaxed);
        self.valid.fetch_add(u64::from(is_through), Ordering::Relaxed);
        self.rest();
    }

    /// Nothing is run.
    pub(crate) fn rest(&self) {
        self.work().since = None;
    }
}

/// The most memory that the process had so far, in megabytes; none where the system does not tell.
pub(crate) fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes / 1024)
}

#[allow(clippy::disallowed_methods, reason = "how long an input takes is what is watched")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
