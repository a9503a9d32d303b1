//! SIGINT, SIGTERM and SIGHUP: trials are given back, and the program says how far it came.

use super::{exit, progress};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use std::io;
use std::sync::atomic::{AtomicI32, Ordering};

/// Signals that ask a worker to end.
pub const SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// The signal that came, or 0.
static CAME: AtomicI32 = AtomicI32::new(0);

/// The signal that asked this process to end, if one has.
pub fn signal() -> Option<i32> {
    Some(CAME.load(Ordering::Relaxed)).filter(|&signal| signal != 0)
}

/// Name of one of [`SIGNALS`].
pub fn name(signal: i32) -> &'static str {
    match signal {
        SIGINT => "SIGINT",
        SIGTERM => "SIGTERM",
        _ => "SIGHUP",
    }
}

/// Exit code of a program that a signal ended.
pub fn exit_code(signal: i32) -> u8 {
    128 + u8::try_from(signal).unwrap_or_default()
}

/// Does `work` and calls `on_signal` when a signal asks this process to end. A second signal ends it at once.
pub fn watching<T>(on_signal: impl Fn() + Sync, work: impl FnOnce() -> T) -> io::Result<T> {
    // What is ignored from the beginning stays so: `nohup`, and SIGINT of what a script starts in the background.
    let ignored = ignored();
    let mut signals = Signals::new(SIGNALS.iter().filter(|&&signal| ignored >> (signal - 1) & 1 == 0))?;
    let watch = Watch(signals.handle());
    Ok(std::thread::scope(|scope| {
        let watch = watch;
        scope.spawn(|| {
            for signal in signals.forever() {
                if CAME.swap(signal, Ordering::Relaxed) != 0 {
                    progress::clear();
                    exit::now(exit_code(signal));
                }
                on_signal();
            }
        });
        let done = work();
        drop(watch);
        done
    }))
}

/// Ends the thread that waits for signals, also where the work panics.
struct Watch(Handle);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The signals that this process ignores, a bit for each; none where nobody says so.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}
