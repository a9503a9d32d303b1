//! Work that a signal ends at once. What is on the disk is whole at any time, so nothing has to be waited for.

use super::interrupt::{exit_code, name, signal, watching};
use super::{exit, lock, progress};
use signal_hook::consts::SIGTERM;
use std::io;

/// Does `work`, which a signal ends there and then. `kept` says what is kept of it and how to go on.
///
/// Files that are replaced are replaced as a whole, and those that grow line by line are read without a last line that
/// is not whole.
pub fn by_signal<T>(kept: impl Fn() -> String + Sync, work: impl FnOnce() -> T) -> io::Result<T> {
    let end = || {
        progress::clear();
        lock::remove_all();
        let signal = signal().unwrap_or(SIGTERM);
        note!("interrupted by {}: {}", name(signal), kept());
        exit::now(exit_code(signal));
    };
    watching(end, work)
}
