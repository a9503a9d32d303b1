//! Printing that does not panic when the reader has stopped reading (`qgd inspect lr | head -1`), and what a terminal can
//! show.

use std::env;
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

/// Prints a line to stderr: progress or an error. If stderr is closed, there is nobody to tell, so a failure is
/// ignored.
pub fn to_stderr(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether what is printed to `stream` may have colors: a terminal that knows them, and `NO_COLOR` (no-color.org) is not
/// set or empty.
pub fn is_colored(stream: &impl IsTerminal) -> bool {
    let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    is_screen(stream) && !no_color
}

/// Whether `stream` is a terminal on which the cursor can be moved, as a progress bar does. `TERM=dumb` is none.
pub fn is_screen(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb")
}
