//! Printing that does not panic when the reader has stopped reading (`qgd inspect lr | head -1`), and what may be
//! printed beside plain text: colors and progress bars are for terminals that want them.

use qgd::words;
use std::collections::VecDeque;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Prints a line to stdout, like `println!`.
macro_rules! say {
    ($($arg:tt)*) => { $crate::cli::console::to_stdout(format_args!($($arg)*)) };
}

/// Prints a line to stderr, like `eprintln!`.
macro_rules! note {
    ($($arg:tt)*) => { $crate::cli::console::to_stderr(format_args!($($arg)*)) };
}

/// Prints a line to stdout. A reader that has seen enough is no error: the program then ends as if all had been read.
/// So print results only after all files are written.
pub fn to_stdout(text: fmt::Arguments<'_>) {
    if let Err(error) = try_stdout(text) {
        if error.kind() == ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        note!("error: cannot write to stdout: {error}");
        std::process::exit(1);
    }
}

/// Prints a line to stdout.
///
/// # Errors
/// When stdout cannot be written.
pub fn try_stdout(text: fmt::Arguments<'_>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush())
}

/// Prints a line to stderr: progress or an error, with what a terminal would obey in it spelled. If stderr is closed,
/// there is nobody to tell, so a failure is ignored.
pub fn to_stderr(text: fmt::Arguments<'_>) {
    let _ = writeln!(Stderr, "{}", words::visible(&text.to_string()));
}

/// What is said on stderr while a view has the terminal.
static HELD: Mutex<Option<Held>> = Mutex::new(None);

/// Lines that wait for the terminal.
#[derive(Default)]
struct Held {
    lines: VecDeque<String>,
    n_left_out: usize,
}

/// Number of lines that may wait; of more, the first are left out.
const MAX_HELD: usize = 1000;

/// From here on, what is said on stderr waits until [`let_go`].
pub fn hold() {
    held_lines().get_or_insert_default();
}

/// Says what has waited.
pub fn let_go() {
    let Some(Held { lines, n_left_out }) = held_lines().take() else { return };
    if n_left_out > 0 {
        note!("({n_left_out} earlier lines are left out)");
    }
    let _ = lines.iter().try_for_each(|line| writeln!(io::stderr(), "{line}"));
}

/// The last `n` lines that wait.
pub fn held(n: usize) -> Vec<String> {
    let held = held_lines();
    let lines = held.iter().flat_map(|held| held.lines.range(held.lines.len().saturating_sub(n)..));
    lines.cloned().collect()
}

fn held_lines() -> MutexGuard<'static, Option<Held>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stderr, for whole lines. They wait while a view has the terminal.
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut held = held_lines();
        let Some(Held { lines, n_left_out }) = &mut *held else {
            drop(held);
            return io::stderr().write_all(bytes);
        };
        lines.extend(String::from_utf8_lossy(bytes).lines().map(str::to_owned));
        while lines.len() > MAX_HELD {
            lines.pop_front();
            *n_left_out += 1;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        self.write_all(text.to_string().as_bytes())
    }
}

/// Whether text on this stream is colored: on a terminal, unless the user has set `NO_COLOR` (no-color.org) to
/// anything, or `TERM` is `dumb`.
pub fn is_colored(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && may_be_colored()
}

/// Whether a line on this stream can be drawn again, as a progress bar is: on a terminal whose `TERM` is not `dumb`.
pub fn is_screen(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && is_able(env::var_os("TERM"))
}

/// Whether the user allows colors, wherever they go.
pub fn may_be_colored() -> bool {
    allows_colors(env::var_os("NO_COLOR")) && is_able(env::var_os("TERM"))
}

fn allows_colors(no_color: Option<OsString>) -> bool {
    no_color.is_none_or(|value| value.is_empty())
}

fn is_able(term: Option<OsString>) -> bool {
    term.is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_counts_unless_it_is_empty_and_only_dumb_terminals_are_dumb() {
        let colors = [None, Some(""), Some("0"), Some("1")].map(|value| allows_colors(value.map(OsString::from)));
        assert_eq!(colors, [true, true, false, false]);
        assert_eq!(
            [None, Some("dumb"), Some("xterm")].map(|term| is_able(term.map(OsString::from))),
            [true, false, true]
        );
    }
}
