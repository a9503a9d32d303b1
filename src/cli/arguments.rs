//! The arguments of the program: how all flags that take numbers are read, and what is said where they are wrong.

use super::{console, exit};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ColorChoice, Command, Parser};
use qgd::words::{plain, shortened};
use std::error::Error;
use std::num::{IntErrorKind, ParseFloatError, ParseIntError};

/// The arguments, read. Ends the program where they cannot be, or where they ask for help.
pub fn parsed<T: Parser>() -> T {
    // By itself clap would color a dumb terminal where `CI` is set.
    let colors = if console::may_be_colored() { ColorChoice::Auto } else { ColorChoice::Never };
    let matches = numeric(T::command().color(colors)).try_get_matches();
    matches.and_then(|matches| T::from_arg_matches(&matches)).unwrap_or_else(|error| {
        let error = told(error);
        // Who has closed the pipe knows enough.
        let _ = error.print();
        exit::now(error.exit_code().try_into().unwrap_or(2))
    })
}

/// The command, with `-1` a value of every flag that takes one: what is wrong about it is for the flag to say.
fn numeric(command: Command) -> Command {
    let numeric_arg = |arg: clap::Arg| {
        let takes = arg.get_action().takes_values();
        if takes { arg.allow_negative_numbers(true) } else { arg }
    };
    command.mut_args(numeric_arg).mut_subcommands(numeric)
}

/// The same error in words of people, with values that a person can read.
fn told(mut error: clap::Error) -> clap::Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(shortened(&plain(text))),
        _ => None,
    };
    let (value, flag) = (text(ContextKind::InvalidValue), text(ContextKind::InvalidArg));
    if let (ErrorKind::ValueValidation, Some(value), Some(flag)) = (error.kind(), &value, &flag) {
        let allowed = error.source().map(allowed).unwrap_or_default();
        let said = format!("invalid value '{value}' for '{flag}'{allowed}\n\nFor more information, try '--help'.\n");
        return clap::Error::raw(error.kind(), said);
    }
    for (kind, text) in [(ContextKind::InvalidValue, value), (ContextKind::InvalidArg, flag)] {
        if let Some(text) = text {
            error.insert(kind, ContextValue::String(text));
        }
    }
    error
}

/// What a flag takes, by the error of its parser.
fn allowed(error: &(dyn Error + 'static)) -> String {
    match (error.downcast_ref::<ParseIntError>(), error.is::<ParseFloatError>()) {
        (Some(whole), _) => match whole.kind() {
            IntErrorKind::PosOverflow => ": it must be a smaller whole number".into(),
            _ => ": it must be a whole number, 0 or above".into(),
        },
        (_, true) => ": it must be a number".into(),
        _ => format!(": {}", shortened(&plain(&error.to_string()))),
    }
}

/// Number of runs or threads at the same time: that of the flag, or one for each core.
pub fn jobs(flag: Option<u16>) -> usize {
    flag.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
}
