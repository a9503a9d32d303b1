//! Progress of a run: a bar on a terminal, or a line now and then in a pipe and on a dumb terminal. Both go to stderr;
//! stdout is for results. Where a view has the terminal, it shows the progress.

use super::console::{is_colored, is_screen};
use super::screen;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The bar that is on the terminal, if there is one.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Notes a bar that was put on the terminal.
pub fn shown(bar: &ProgressBar) {
    *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
}

/// Removes the bar or the view that is on the terminal, if there is one.
pub fn clear() {
    screen::close();
    if let Some(bar) = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).take() {
        bar.finish_and_clear();
    }
}

/// Number of lines in a pipe, about.
const LINES: u64 = 10;

/// Shows the progress of a run.
pub enum Progress {
    /// A bar on a terminal, and the number of units after which its message changes.
    Bar(ProgressBar, u64),
    /// Lines in a pipe.
    Lines { unit: &'static str, total: u64 },
    /// Nothing, because a view shows it: when that was last told.
    View(Mutex<Instant>),
}

impl Progress {
    /// Starts at 0 of `total` units, whose name is `unit`. The message of a bar changes every `every` units.
    pub fn new(unit: &'static str, total: u64, every: u64) -> Self {
        Self::with_tail(unit, total, every, "{msg}  {eta}")
    }

    /// The same for units that take different times: it does not estimate the time that is left, but its messages may.
    #[cfg(feature = "torch")]
    pub fn without_eta(unit: &'static str, total: u64) -> Self {
        Self::with_tail(unit, total, 1, "{msg}")
    }

    /// Progress that a view shows.
    pub fn in_view() -> Self {
        Self::View(Mutex::new(Instant::now()))
    }

    fn with_tail(unit: &'static str, total: u64, every: u64, tail: &str) -> Self {
        if !is_screen(&io::stderr()) {
            return Self::Lines { unit, total };
        }
        let (color, dim) = if is_colored(&io::stderr()) { (".cyan/238", ":.dim") } else { ("", "") };
        let tail = tail.replace("{eta}", &format!("{{eta{dim}}}"));
        let template = format!("{{bar:32{color}}} {{pos:>6}}/{{len}} {unit}  {tail}");
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(15));
        bar.set_style(style.progress_chars("━━─"));
        bar.enable_steady_tick(Duration::from_millis(200));
        shown(&bar);
        Self::Bar(bar, every)
    }

    /// Whether [`Progress::show`] wants a message after this number of units. Others need no message: to read a loss
    /// takes time on a GPU.
    pub fn wants(&self, done: u64) -> bool {
        match self {
            Self::Bar(bar, every) => done.is_multiple_of(*every) || Some(done) == bar.length(),
            Self::Lines { total, .. } => done.is_multiple_of(total.div_ceil(LINES)) || done == *total,
            Self::View(told) => {
                let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                let is_due = told.elapsed() >= screen::TICK;
                if is_due {
                    *told = Instant::now();
                }
                is_due
            }
        }
    }

    /// Shows that `done` units are done, with a message.
    pub fn show(&self, done: u64, message: impl FnOnce() -> String) {
        match self {
            Self::Bar(bar, _) => {
                bar.set_position(done);
                bar.set_message(message());
            }
            Self::Lines { unit, total } => note!("{done}/{total} {unit}  {}", message()),
            Self::View(_) => {}
        }
    }

    /// Removes the bar or the view.
    pub fn finish(&self) {
        if !matches!(self, Self::Lines { .. }) {
            clear();
        }
    }
}
