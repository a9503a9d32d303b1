//! Locks on what one process alone may write. The system gives a lock free when its process ends, however it ends: what a
//! killed process leaves behind locks nothing.

use super::failure::Failure;
use anyhow::{Context, anyhow};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The files of all locks that this process holds.
static HELD: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes the files of all locks: the process ends here, and drops nothing.
pub fn remove_all() {
    for path in HELD.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        let _ = fs::remove_file(path);
    }
}

/// A lock that is a file of its own, in which the process writes its number. It is removed in the end.
pub struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Locks `what` by the file `path`, which is made.
    ///
    /// # Errors
    /// When another process holds the lock: bad input, with the number of that process.
    pub fn hold(path: &Path, what: &str) -> Result<Self, Failure> {
        let context = || format!("cannot lock {what}");
        loop {
            let opened = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path);
            let mut file = opened.with_context(context).map_err(Failure::BadInput)?;
            if !lock(&file, what)? {
                let mut owner = String::new();
                file.read_to_string(&mut owner).with_context(context)?;
                return Err(in_use(what, owner.trim()));
            }
            // Whoever held the lock before has removed the file in between: then this is the lock of nothing.
            let id = |found: &fs::Metadata| (found.dev(), found.ino());
            let mine = file.metadata().with_context(context)?;
            if fs::metadata(path).is_ok_and(|there| id(&there) == id(&mine)) {
                file.set_len(0).with_context(context)?;
                writeln!(file, "{}", this_process()).with_context(context)?;
                HELD.lock().unwrap_or_else(PoisonError::into_inner).push(path.to_owned());
                return Ok(Self { path: path.to_owned(), _file: file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        HELD.lock().unwrap_or_else(PoisonError::into_inner).retain(|held| *held != self.path);
        // A file that stays is no lock.
        let _ = fs::remove_file(&self.path);
    }
}

/// Locks an open file, `what`, until it is closed.
///
/// # Errors
/// When another process holds the lock: bad input, with the number of that process where the system tells it.
#[cfg(feature = "torch")]
pub fn hold_file(file: &File, what: &str) -> Result<(), Failure> {
    if lock(file, what)? {
        return Ok(());
    }
    let inode = file.metadata().map(|found| found.ino()).unwrap_or_default();
    Err(in_use(what, &owner_of(inode).unwrap_or_default()))
}

/// Takes the lock; false where another process has it. A file system without locks is no reason to do nothing.
fn lock(file: &File, what: &str) -> Result<bool, Failure> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(Errno::NOSYS | Errno::NOTSUP | Errno::NOLCK | Errno::INVAL) => {
            note!("{what} cannot be locked on this file system: see to it that one process alone writes it");
            Ok(true)
        }
        Err(error) => Err(Failure::Failed(anyhow!("cannot lock {what}: {error}"))),
    }
}

fn in_use(what: &str, owner: &str) -> Failure {
    let owner = if owner.is_empty() { "another process" } else { owner };
    Failure::BadInput(anyhow!("{what} is in use by {owner}; wait until it has ended, or give another name"))
}

fn this_process() -> String {
    let host = rustix::system::uname();
    format!("process {} on {}", std::process::id(), host.nodename().to_string_lossy())
}

/// The process that holds a lock on the file with this inode, from Linux's list of locks.
#[cfg(feature = "torch")]
fn owner_of(inode: u64) -> Option<String> {
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let of_file = |line: &&str| {
        line.contains("FLOCK") && line.split_whitespace().any(|word| word.ends_with(&format!(":{inode}")))
    };
    let process = locks.lines().find(of_file)?.split_whitespace().nth(4)?;
    process.parse::<u32>().ok().filter(|process| *process > 0).map(|process| format!("process {process}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one_and_free_again_when_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = Lock::hold(&path, "--resume r").unwrap();
        let refused = Lock::hold(&path, "--resume r").err().unwrap().to_string();
        let me = format!("--resume r is in use by process {} on ", std::process::id());
        assert!(refused.contains(&me), "{refused}");
        drop(first);
        assert!(!path.exists());
        drop(Lock::hold(&path, "--resume r").unwrap());
    }

    #[test]
    fn a_file_that_a_killed_process_left_locks_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        fs::write(&path, "process 1 on nowhere, with a name that is longer than ours").unwrap();
        let lock = Lock::hold(&path, "it").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().trim(), this_process());
        drop(lock);
    }
}
