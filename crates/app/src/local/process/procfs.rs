//! Processes as `/proc` shows them: who they are, whose they are, and what they use.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::OnceLock;

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

/// Nanoseconds of a clock tick in `/proc`: Linux reports in units of 1/100 s on every architecture in use.
const NANOSECONDS_PER_TICK: u64 = 10_000_000;

/// A process, told apart from a later one with the same pid by its start time, and from one of an earlier boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) pid: i32,
    /// Clock ticks from boot to its start (`/proc/PID/stat`, field 22).
    start: u64,
    boot: String,
}

impl Identity {
    /// The process that has this pid now; a zombie counts as gone.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let stat = Stat::read(pid)?;
        (!stat.zombie).then(|| Self { pid, start: stat.start, boot: boot().to_owned() })
    }

    /// The identity of a child that is not reaped yet; it may have ended.
    pub(super) fn of_child(pid: i32) -> Option<Self> {
        Some(Self { pid, start: Stat::read(pid)?.start, boot: boot().to_owned() })
    }

    /// Whether this very process still runs.
    pub(super) fn lives(&self) -> bool {
        Self::of(self.pid).is_some_and(|now| now == *self)
    }

    /// Whether it was started since the machine booted.
    pub(super) fn is_of_this_boot(&self) -> bool {
        self.boot == boot()
    }

    pub(super) fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.pid)
    }
}

fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned())
}

/// The fields of `/proc/PID/stat` in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    zombie: bool,
    parent: i32,
    session: i32,
    /// Its own and that of its waited-for children, in ticks.
    ticks: u64,
    children_ticks: u64,
    start: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The second field is the program's name in parentheses and may hold anything, parentheses too.
    fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            zombie: matches!(*fields.first()?, "Z" | "X"),
            parent: fields.get(1)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            ticks: number(11)?.saturating_add(number(12)?),
            children_ticks: number(13)?.saturating_add(number(14)?),
            start: number(19)?,
        })
    }
}

/// All processes at one moment.
#[derive(Debug)]
pub(super) struct Table(BTreeMap<i32, Stat>);

impl Table {
    pub(super) fn read() -> Self {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        Self(pids.filter_map(|pid| Some((pid, Stat::read(pid)?))).collect())
    }

    /// Whether any process, a zombie too, has this pid.
    pub(super) fn exists(&self, pid: i32) -> bool {
        self.0.contains_key(&pid)
    }

    /// Everything that descends from `ancestor`, without itself and without zombies.
    pub(super) fn descendants(&self, ancestor: i32) -> BTreeSet<i32> {
        let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for (pid, stat) in &self.0 {
            children.entry(stat.parent).or_default().push(*pid);
        }
        let mut found = BTreeSet::new();
        let mut open = vec![ancestor];
        while let Some(parent) = open.pop() {
            for &child in children.get(&parent).into_iter().flatten() {
                if found.insert(child) {
                    open.push(child);
                }
            }
        }
        found.retain(|pid| self.0.get(pid).is_some_and(|stat| !stat.zombie));
        found
    }

    /// The members of the session that `leader` started, without itself and without zombies.
    pub(super) fn session(&self, leader: i32) -> BTreeSet<i32> {
        let members = self.0.iter().filter(|(pid, stat)| stat.session == leader && **pid != leader && !stat.zombie);
        members.map(|(pid, _)| *pid).collect()
    }

    /// Processor time and resident memory of everything below a shim: the worker, its children, and what it left
    /// behind. Time that ended processes used stays counted.
    pub(super) fn usage(&self, shim: i32) -> (u64, u64) {
        let mut members = self.descendants(shim);
        members.extend(self.session(shim));
        let collected = self.0.get(&shim).map_or(0, |stat| stat.children_ticks);
        let ticks = members
            .iter()
            .filter_map(|pid| self.0.get(pid))
            .fold(collected, |sum, stat| sum.saturating_add(stat.ticks).saturating_add(stat.children_ticks));
        let memory = members.iter().map(|pid| resident(*pid)).fold(0, u64::saturating_add);
        (ticks.saturating_mul(NANOSECONDS_PER_TICK), memory)
    }
}

/// Resident memory in bytes; 0 for a process that has just ended.
fn resident(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_ascii_whitespace().next());
    kibibytes.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0).saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_be_called_anything() {
        let line = "42 (a ) (b) S 7 42 40 0 -1 0 1 2 3 4 50 6 700 8 20 0 1 0 9999 1 2";
        let stat = Stat::parse(line).unwrap();
        assert_eq!(stat, Stat { zombie: false, parent: 7, session: 40, ticks: 56, children_ticks: 708, start: 9999 });
        assert_eq!(Stat::parse("42 (a"), None);
    }

    #[test]
    fn descendants_are_found_through_their_parents() {
        let stat = |parent, session| Stat { zombie: false, parent, session, ticks: 1, children_ticks: 0, start: 0 };
        let zombie = Stat { zombie: true, ..stat(10, 10) };
        let table =
            Table([(10, stat(1, 10)), (11, stat(10, 10)), (12, stat(11, 12)), (13, stat(1, 10)), (14, zombie)].into());
        assert_eq!(table.descendants(10), [11, 12].into(), "12 left the session but not the family");
        assert_eq!(table.session(10), [11, 13].into());
        assert_eq!(table.usage(10).0, 3 * NANOSECONDS_PER_TICK);
    }

    #[test]
    fn this_process_lives_and_another_start_is_another_process() {
        let own = Identity::of(rustix::process::getpid().as_raw_pid()).unwrap();
        assert!(own.lives());
        assert!(!Identity { start: own.start + 1, ..own }.lives());
    }
}
