//! How far a run is: a bar on a terminal, a line now and then in a pipe. Both go to stderr; stdout is for results.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal};
use std::time::Duration;

/// Lines in a pipe: about one for every tenth of the way.
const LINES: u64 = 10;

/// Shows how far something is.
pub enum Progress {
    /// On a terminal, with news every so many units.
    Bar(ProgressBar, u64),
    /// Elsewhere.
    Lines { unit: &'static str, total: u64 },
}

impl Progress {
    /// Starts at 0 of `total` `unit`s. A bar is told news every `every` units.
    pub fn new(unit: &'static str, total: u64, every: u64) -> Self {
        Self::with_tail(unit, total, every, "{msg}  {eta:.dim}")
    }

    /// The same for units that do not all take equally long: what is left is for the message to say.
    #[cfg(feature = "torch")]
    pub fn without_eta(unit: &'static str, total: u64) -> Self {
        Self::with_tail(unit, total, 1, "{msg}")
    }

    fn with_tail(unit: &'static str, total: u64, every: u64, tail: &str) -> Self {
        if !io::stderr().is_terminal() {
            return Self::Lines { unit, total };
        }
        let template = format!("{{bar:32.cyan/238}} {{pos:>6}}/{{len}} {unit}  {tail}");
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(15));
        bar.set_style(style.progress_chars("━━─"));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self::Bar(bar, every)
    }

    /// Whether it is worth calling [`Progress::show`] with something to say after the `done`th unit: reading a loss costs time on a GPU.
    pub fn wants(&self, done: u64) -> bool {
        match self {
            Self::Bar(bar, every) => done.is_multiple_of(*every) || Some(done) == bar.length(),
            Self::Lines { total, .. } => done.is_multiple_of(total.div_ceil(LINES)) || done == *total,
        }
    }

    /// `done` units are done, and this is to be said about them.
    pub fn show(&self, done: u64, message: impl FnOnce() -> String) {
        match self {
            Self::Bar(bar, _) => {
                bar.set_position(done);
                bar.set_message(message());
            }
            Self::Lines { unit, total } => note!("{done}/{total} {unit}  {}", message()),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Self::Bar(bar, _) = self {
            bar.finish_and_clear();
        }
    }
}
