//! The whole terminal as a view of a run: drawn by a thread of its own five times a second, on the second screen that
//! terminals have, so that the first one comes back as it was. It is left whichever way the program ends: at the end of
//! the run, with an error, a signal or a panic. What is said on stderr meanwhile is shown in the view, and said when it
//! has closed.

pub mod curve;
pub mod panel;

use super::console::{self, is_colored, is_screen};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use ratatui::crossterm::{cursor, execute, terminal};
use ratatui::prelude::{CrosstermBackend, Frame, Terminal};
use signal_hook::consts::SIGINT;
use std::io::{self, BufWriter, Stderr};
use std::mem::ManuallyDrop;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

type Screened = Terminal<CrosstermBackend<BufWriter<Stderr>>>;

/// What a view shows. It is copied for each picture, so that a run never waits for one.
pub trait Scene: Clone + Send + 'static {
    /// Draws it, with the last lines that were said on stderr. A terminal may be of any size, and may have no colors.
    fn draw(&self, frame: &mut Frame<'_>, said: &[String], colored: bool);
}

/// The view that has the terminal. It closes when this is dropped.
pub struct Screen;

/// Time between two pictures.
pub const TICK: Duration = Duration::from_millis(200);

/// How long to wait for a picture that is being drawn before the terminal is given back in the middle of it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Number of lines from stderr that a view may show.
const N_SAID: usize = 20;

static IS_OPEN: AtomicBool = AtomicBool::new(false);
/// Held while a picture is drawn.
static DRAWING: Mutex<()> = Mutex::new(());

impl Screen {
    /// Takes the terminal. None where there is none: a stream is redirected, the terminal is `dumb` or has no size.
    pub fn open(scene: Arc<Mutex<impl Scene>>) -> Option<Self> {
        let is_terminal = is_screen(&io::stdin()) && is_screen(&io::stdout()) && is_screen(&io::stderr());
        let has_size = is_terminal && terminal::size().is_ok_and(|(width, height)| width > 0 && height > 0);
        if !has_size || terminal::enable_raw_mode().is_err() {
            return None;
        }
        close_on_panic();
        console::hold();
        IS_OPEN.store(true, Ordering::Release);
        let screen = Self;
        execute!(io::stderr(), EnterAlternateScreen, cursor::Hide).ok()?;
        let mut terminal = Terminal::new(CrosstermBackend::new(BufWriter::new(io::stderr()))).ok()?;
        draw(&scene, &mut terminal);
        Builder::new().name("view".to_owned()).spawn(move || show(&scene, terminal)).ok()?;
        Some(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        close();
    }
}

/// Gives the terminal back, if a view has it, and says what has waited.
pub fn close() {
    let picture = wait_for_picture();
    if !IS_OPEN.swap(false, Ordering::AcqRel) {
        return;
    }
    // Where the terminal is gone there is nothing to give back.
    let _ = execute!(io::stderr(), LeaveAlternateScreen, cursor::Show);
    let _ = terminal::disable_raw_mode();
    drop(picture);
    console::let_go();
}

/// Waits while a picture is drawn. A thread that panics while it draws waits for itself, and no longer than that.
fn wait_for_picture() -> Option<MutexGuard<'static, ()>> {
    let begun = Instant::now();
    loop {
        match DRAWING.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(guard)) => return Some(guard.into_inner()),
            Err(TryLockError::WouldBlock) if begun.elapsed() > PATIENCE => return None,
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// What a panic says is for the terminal as it was.
fn close_on_panic() {
    let said = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        close();
        said(panic);
    }));
}

/// Draws until the view is closed.
fn show(scene: &Mutex<impl Scene>, terminal: Screened) {
    // Never dropped: it would show the cursor of a terminal that is not ours any more.
    let mut terminal = ManuallyDrop::new(terminal);
    while IS_OPEN.load(Ordering::Acquire) {
        let next = Instant::now() + TICK;
        while let Some(rest) = next.checked_duration_since(Instant::now()) {
            match event::poll(rest).and_then(|came| if came { event::read().map(Some) } else { Ok(None) }) {
                Ok(Some(Event::Key(key))) if asks_to_stop(key) => interrupt(),
                Ok(_) => {}
                // Nobody can press a key any more.
                Err(_) => thread::sleep(rest),
            }
        }
        draw(scene, &mut terminal);
    }
}

/// Draws a picture, unless the view is closed.
fn draw(scene: &Mutex<impl Scene>, terminal: &mut Screened) {
    let scene = scene.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let _drawing = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
    if IS_OPEN.load(Ordering::Acquire) {
        // A terminal that is gone is noticed by its signal.
        let _ = terminal.draw(|frame| scene.draw(frame, &console::held(N_SAID), is_colored(&io::stderr())));
    }
}

/// Whether a key asks the run to stop: q, or Ctrl-C, which sends no signal while a view has the terminal.
fn asks_to_stop(key: KeyEvent) -> bool {
    let is_ctrl_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press && (is_ctrl_c || matches!(key.code, KeyCode::Char('q' | 'Q')))
}

/// Does what Ctrl-C does where there is no view.
fn interrupt() {
    // Where the signal cannot be sent, the key does nothing.
    let _ = signal_hook::low_level::raise(SIGINT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_and_ctrl_c_stop_and_no_other_key_does() {
        let asks = |code, modifiers| asks_to_stop(KeyEvent::new(code, modifiers));
        let (none, control) = (KeyModifiers::NONE, KeyModifiers::CONTROL);
        assert!(asks(KeyCode::Char('q'), none) && asks(KeyCode::Char('c'), control));
        for (code, modifiers) in [('c', none), ('x', control), ('z', control), (' ', none)] {
            assert!(!asks(KeyCode::Char(code), modifiers), "{code}");
        }
        assert!(!asks(KeyCode::Esc, none) && !asks(KeyCode::Enter, none));
    }
}
