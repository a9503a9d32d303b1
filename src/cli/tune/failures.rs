//! Failed trials, as they are shown: the first of a row in full, and then only what is new.

use qgd::tuner::Trial;
use qgd::words::{plain, shortened};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Failures since the last trial that did not fail.
#[derive(Default)]
pub struct Failures {
    row: Mutex<Row>,
}

#[derive(Default)]
struct Row {
    /// Kinds that have been shown.
    kinds: Vec<String>,
    /// Whether it has been said that failures are left out.
    is_silent: bool,
}

/// Number of kinds of failures in a row that are shown.
const MAX_KINDS: usize = 10;

impl Failures {
    /// Shows why a trial failed, unless others have failed in the same way just before.
    pub fn show(&self, trial: &Trial) {
        let (mut row, reason) = (self.row(), trial.reason());
        let kind = kind(&reason);
        if row.kinds.len() < MAX_KINDS && !row.kinds.contains(&kind) {
            note!("trial {} failed: {}", trial.number, shortened(&plain(&reason)));
            row.kinds.push(kind);
        } else if !row.is_silent {
            note!("trial {} failed, too; no more is said of it until a trial succeeds", trial.number);
            row.is_silent = true;
        }
    }

    /// A trial has not failed.
    pub fn end(&self) {
        *self.row() = Row::default();
    }

    fn row(&self) -> MutexGuard<'_, Row> {
        self.row.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of a reason that is the same where programs fail in the same way: without numbers, which differ from trial
/// to trial, and without the name of the log.
fn kind(reason: &str) -> String {
    let reason = reason.rsplit_once("; see ").map_or(reason, |(reason, _)| reason);
    let (how, said) = reason.split_once(": ").unwrap_or((reason, ""));
    let is_part_of_a_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+');
    format!("{how}: {}", said.split(is_part_of_a_number).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_of_one_kind_whatever_their_numbers_and_logs() {
        let same =
            ["exit code 1: lr = 0.1 is bad; see a-logs/000001.log", "exit code 1: lr = -3 is bad; see a-logs/2.log"];
        assert_eq!(kind(same[0]), kind(same[1]));
        for other in ["exit code 2: lr = 0.1 is bad; see a", "exit code 1: no memory; see a", "it is NaN"] {
            assert_ne!(kind(same[0]), kind(other), "{other}");
        }
    }
}
