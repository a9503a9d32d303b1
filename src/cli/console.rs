//! Printing that does not panic when the reader has stopped reading (`qgd inspect lr | head -1`).

use std::fmt;
use std::io::{self, ErrorKind, Write};

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
    let mut stdout = io::stdout().lock();
    if let Err(error) = writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        if error.kind() == ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        note!("error: cannot write to stdout: {error}");
        std::process::exit(1);
    }
}

/// Prints a line to stderr: progress or an error. If stderr is closed, there is nobody to tell, so a failure is
/// ignored.
pub fn to_stderr(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{text}");
}
