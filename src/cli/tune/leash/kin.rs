//! Which processes descend from this one, and which program started them.

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long to go on killing processes that start others.
const PATIENCE: Duration = Duration::from_secs(5);

/// Interval between two looks at processes that were killed.
const PAUSE: Duration = Duration::from_millis(2);

/// The processes below this one, dead ones left out.
pub struct Kin {
    processes: BTreeMap<i32, Process>,
    root: i32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Process {
    parent: i32,
    group: i32,
    is_dead: bool,
}

impl Kin {
    /// The processes as they are now.
    pub fn now() -> Self {
        Self { processes: processes(), root: std::process::id().cast_signed() }
    }

    /// No processes.
    pub fn none() -> Self {
        Self { processes: BTreeMap::new(), root: 0 }
    }

    /// All processes below this one.
    pub fn all(&self) -> Vec<i32> {
        self.living().filter(|&id| self.top(id).is_some()).collect()
    }

    /// The processes that a program started, with itself: those in its group, and those whose uppermost ancestor below
    /// this process is the program, was left over by its group, or has `mark` in its environment. `others` are the
    /// programs that run beside it.
    pub fn of(&self, leader: Pid, mark: &[u8], others: &[i32]) -> Vec<i32> {
        let id = leader.as_raw_nonzero().get();
        let mut tops = BTreeMap::new();
        let mut belongs = |top: i32| {
            let is_its =
                || top == id || self.is_in_group(top, leader) || (!others.contains(&top) && has_mark(top, mark));
            *tops.entry(top).or_insert_with(is_its)
        };
        self.living().filter(|&id| self.top(id).is_some_and(&mut belongs)).collect()
    }

    /// Whether a process is in the group of a program.
    pub fn is_in_group(&self, id: i32, leader: Pid) -> bool {
        self.processes.get(&id).is_some_and(|process| process.group == leader.as_raw_nonzero().get())
    }

    fn living(&self) -> impl Iterator<Item = i32> {
        self.processes.iter().filter(|(_, process)| !process.is_dead).map(|(&id, _)| id)
    }

    /// The uppermost ancestor of a process below this one. None where it does not descend from this one.
    fn top(&self, id: i32) -> Option<i32> {
        let mut at = id;
        // A process may have ended, and its number be given to another, while the list was made: no circle goes on.
        for _ in 0..self.processes.len() {
            let parent = self.processes.get(&at)?.parent;
            if parent == self.root {
                return Some(at);
            }
            at = parent;
        }
        None
    }
}

/// Whether a process has `mark` among the variables with which it was started.
fn has_mark(id: i32, mark: &[u8]) -> bool {
    let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
    environment.split(|&byte| byte == 0).any(|variable| variable == mark)
}

/// All processes of the machine; none where there is no `/proc`.
fn processes() -> BTreeMap<i32, Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter_map(|id| Some((id, parsed(&std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?)?))).collect()
}

/// A line of `/proc/ID/stat`: `ID (name) state parent group ...`, where the name may hold anything.
fn parsed(stat: &str) -> Option<Process> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let is_dead = matches!(fields.next()?, "Z" | "X");
    Some(Process { parent: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()?, is_dead })
}

/// Sends a signal to a process. One that is gone needs none.
pub fn signal(id: i32, signal: Signal) {
    let _ = Pid::from_raw(id).map(|pid| kill_process(pid, signal));
}

/// Sends a signal to a process group. One that is gone needs none.
pub fn signal_group(leader: Pid, signal: Signal) {
    let _ = kill_process_group(leader, signal);
}

/// Kills all processes below this one, and those that they start meanwhile. `bury` takes note of dead children.
pub fn end_all(mut bury: impl FnMut()) {
    let start = Instant::now();
    loop {
        bury();
        let left = Kin::now().all();
        if left.is_empty() || start.elapsed() > PATIENCE {
            return;
        }
        left.into_iter().for_each(|id| signal(id, Signal::KILL));
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_stat_is_read_whatever_the_name() {
        let process = Process { parent: 7, group: 9, is_dead: false };
        assert_eq!(parsed("12 (sh) S 7 9 9 0 -1"), Some(process));
        assert_eq!(parsed("12 (a) b) S 1 2) Z 7 9 9"), Some(Process { is_dead: true, ..process }));
        assert_eq!(parsed("12 (sh"), None);
    }

    #[test]
    fn a_program_has_its_descendants_its_group_and_what_bears_its_mark() {
        let process = |parent, group| Process { parent, group, is_dead: false };
        let list = [
            (10, process(1, 10)),
            // Two programs, each with a child; the second child has left its group.
            (20, process(10, 20)),
            (21, process(20, 20)),
            (30, process(10, 30)),
            (31, process(30, 31)),
            // Left over by the group of 20, and a child of it.
            (22, process(10, 20)),
            (23, process(22, 99)),
            // Dead, not below, and in a circle.
            (24, Process { is_dead: true, ..process(20, 20) }),
            (40, process(1, 20)),
            (50, process(51, 20)),
            (51, process(50, 20)),
        ];
        let kin = Kin { processes: list.into(), root: 10 };
        let of = |leader, other| kin.of(Pid::from_raw(leader).unwrap(), b"QGD_WORKER=0", &[other]);
        assert_eq!((of(20, 30), of(30, 20)), (vec![20, 21, 22, 23], vec![30, 31]));
        assert_eq!(kin.all(), [20, 21, 22, 23, 30, 31]);
    }
}
