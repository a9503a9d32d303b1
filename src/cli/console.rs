//! Printing that does not panic when the reader has stopped reading (`qgd inspect lr | head -1`), and what may be
//! printed beside plain text: colors and progress bars are for terminals that want them.

use qgd::words;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, ErrorKind, IsTerminal, Write};

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
    let _ = writeln!(io::stderr(), "{}", words::visible(&text.to_string()));
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
