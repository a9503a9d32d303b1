//! One trial as a child process: started, listened to, stopped.

use super::events::StudyEvents;
use super::leash::{self, Ending, Leash, MARK, Order, Started};
use super::lines;
use super::output::{self, Said};
use super::template::{Template, variable};
use crate::cli::interrupt;
use anyhow::Context;
use qgd::tuner::{ActiveTrial, Outcome, TunerError};
use qgd::words::plain;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// How long to go on listening when a program has ended: a process that it started may still print.
const ECHO: Duration = Duration::from_millis(500);

/// How long a program that is to be pruned may take to end by itself: one that was at its end anyway is complete. Also
/// how long a signal that ended a program may take to reach this process.
const GRACE: Duration = Duration::from_millis(200);

/// Interval at which a program that prints nothing is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// Number of intermediate values that may wait for the storage. A program that prints more of them waits too.
const QUEUE: usize = 1 << 16;

/// Runs trials.
pub struct Runner {
    pub template: Template,
    /// Time after which a trial is stopped and counts as failed.
    pub timeout: Option<Duration>,
    /// Folder for the log of each trial.
    pub logs: PathBuf,
    /// Whether the study can prune.
    pub prunes: bool,
    pub leash: Leash,
    pub numbers: Numbers,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

impl Runner {
    /// Runs the command with the parameters of a trial to its end.
    pub fn run(&self, trial: &ActiveTrial<'_>, events: &StudyEvents) -> Result<Outcome, Error> {
        let (number, log) = (self.numbers.take(), self.logs.join(format!("{:06}.log", trial.number())));
        let file = File::options().create(true).append(true).open(&log);
        let file = file.with_context(|| format!("cannot write the log {}", log.display()))?;
        // An earlier attempt at this trial may have written into it.
        let begin = file.metadata().map_or(0, |log| log.len());
        let mut program = Program::start(&self.leash, &self.order(trial, number.0)?, file)?;
        let heard = self.listen(&mut program, trial, events);
        let said_late = program.end();
        if program.ending == Some(Ending::Lost) {
            self.leash.replace(program.generation);
        }
        let why = match heard? {
            Heard::Interrupted => return Ok(Outcome::given_back()),
            Heard::Pruned => return Ok(Outcome::pruned()),
            Heard::TooLong(limit) => Err(format!("it did not end within {} s", limit.as_secs_f64())),
            Heard::End { mut result, would_prune } => {
                for said in said_late {
                    note(trial, events, said, &mut result)?;
                }
                judged(program.ending.as_ref(), result, would_prune)
            }
        };
        Ok(why.unwrap_or_else(|reason| {
            let said = last_words(&log, begin).map_or(String::new(), |words| format!(": {words}"));
            Outcome::failed(format!("{reason}{said}; see {}", log.display()))
        }))
    }

    fn order(&self, trial: &ActiveTrial<'_>, number: usize) -> Result<Order, Error> {
        let mut environment = BTreeMap::from([
            ("QGD_TRIAL".to_owned(), trial.number().to_string()),
            ("QGD_PARAMS".to_owned(), serde_json::to_string(trial.params())?),
            (MARK.to_owned(), number.to_string()),
        ]);
        environment.extend(trial.params().iter().map(|(name, value)| (variable(name), value.to_string())));
        Ok(Order { arguments: self.template.fill(trial), environment })
    }

    fn listen(&self, program: &mut Program, trial: &ActiveTrial<'_>, events: &StudyEvents) -> Result<Heard, Error> {
        let (start, mut result, mut pruned, mut ended) = (Instant::now(), None, None::<Instant>, None::<Instant>);
        loop {
            match program.next() {
                Some(Event::Said(said)) => {
                    let judges = note(trial, events, said, &mut result)? && self.prunes && pruned.is_none();
                    if judges && trial.should_prune()? {
                        pruned = Some(Instant::now());
                    }
                }
                Some(Event::Ended) => ended = Some(Instant::now()),
                Some(Event::Silent) | None => {}
            }
            if let Some(ended) = ended {
                if program.was_stopped_from_outside() && ended.elapsed() < GRACE && interrupt::signal().is_none() {
                    continue;
                }
                if program.was_stopped_from_outside() && interrupt::signal().is_some() {
                    return Ok(Heard::Interrupted);
                }
                if program.is_silent || ended.elapsed() > ECHO {
                    return Ok(Heard::End { result, would_prune: pruned.is_some() });
                }
            } else if interrupt::signal().is_some() {
                return Ok(Heard::Interrupted);
            } else if pruned.is_some_and(|since| since.elapsed() > GRACE) {
                return Ok(Heard::Pruned);
            } else if let Some(limit) = self.timeout.filter(|limit| start.elapsed() >= *limit) {
                return Ok(Heard::TooLong(limit));
            }
        }
    }
}

/// How listening to a program ended.
enum Heard {
    /// It ended by itself, perhaps after the pruner would have stopped it.
    End { result: Option<Outcome>, would_prune: bool },
    /// The pruner stops it.
    Pruned,
    /// Its time is over.
    TooLong(Duration),
    /// A signal ends the whole study.
    Interrupted,
}

/// Takes note of what a program said. Answers whether it was an intermediate value.
fn note(
    trial: &ActiveTrial<'_>,
    events: &StudyEvents,
    said: Said,
    result: &mut Option<Outcome>,
) -> Result<bool, TunerError> {
    match said {
        Said::Step(step, value) => {
            trial.report(step, value)?;
            events.reports(trial.number(), step, value);
            Ok(true)
        }
        Said::Result(outcome) => {
            *result = Some(outcome);
            Ok(false)
        }
    }
}

fn judged(ending: Option<&Ending>, result: Option<Outcome>, would_prune: bool) -> Result<Outcome, String> {
    match ending {
        Some(Ending::Code(0)) if would_prune && result.is_none() => Ok(Outcome::pruned()),
        Some(Ending::Code(0)) => result.ok_or_else(|| "it printed no line like {\"value\": 0.5}".to_owned()),
        Some(Ending::Code(code)) => Err(format!("exit code {code}")),
        Some(Ending::Signal(signal)) => Err(format!("killed by signal {signal}")),
        Some(Ending::NotBegun(why)) => Err(why.clone()),
        Some(Ending::Lost) | None => Err("the process that started it was killed".into()),
    }
}

/// News of a program.
enum Event {
    Said(Said),
    /// It will print no more.
    Silent,
    /// It has ended. What it started may still be there.
    Ended,
}

/// A program that was started.
struct Program {
    events: Receiver<Event>,
    control: UnixStream,
    generation: usize,
    ending: Option<Ending>,
    endings: Receiver<Ending>,
    is_silent: bool,
}

impl Program {
    fn start(leash: &Leash, order: &Order, log: File) -> Result<Self, Error> {
        let Started { stdout, control, generation } = leash.run(order, &log)?;
        let (sender, events) = mpsc::sync_channel(QUEUE);
        let (tells_ending, endings) = mpsc::sync_channel(1);
        let (is_over, heard) = (Arc::new(AtomicBool::new(false)), control.try_clone()?);
        let (over, watcher) = (is_over.clone(), sender.clone());
        Builder::new().spawn(move || {
            leash::watch(heard, |ending| {
                // Whoever has stopped listening needs no news.
                let _ = tells_ending.send(ending).map(|()| watcher.send(Event::Ended));
            });
            over.store(true, Ordering::Release);
        })?;
        Builder::new().spawn(move || {
            lines::copy(stdout, log, &is_over, |said| tell(&sender, Event::Said(said)));
            tell(&sender, Event::Silent);
        })?;
        Ok(Self { events, control, generation, ending: None, endings, is_silent: false })
    }

    /// The next event; None where there is none for a moment.
    fn next(&mut self) -> Option<Event> {
        match self.events.recv_timeout(GLANCE) {
            Ok(event) => {
                self.is_silent |= matches!(event, Event::Silent);
                if matches!(event, Event::Ended) {
                    self.ending = self.endings.recv().ok();
                }
                Some(event)
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                self.is_silent = true;
                std::thread::sleep(GLANCE);
                None
            }
        }
    }

    /// Whether it was ended by a signal with which people, shells and batch systems end a whole job.
    fn was_stopped_from_outside(&self) -> bool {
        let ends = |signal: i32| interrupt::SIGNALS.contains(&signal) || signal == 9;
        match self.ending {
            Some(Ending::Signal(signal)) => ends(signal),
            Some(Ending::Code(code)) => ends(code - 128),
            _ => false,
        }
    }

    /// Ends it, with all that it started, and answers what it said meanwhile.
    fn end(&mut self) -> Vec<Said> {
        leash::ask_to_end(&self.control);
        let mut late = Vec::new();
        while let Ok(event) = self.events.recv() {
            match event {
                Event::Said(said) => late.push(said),
                Event::Ended => self.ending = self.endings.recv().ok(),
                Event::Silent => {}
            }
        }
        late
    }
}

/// Tells the listener something. Where nobody listens any more nobody needs to know.
fn tell(listener: &SyncSender<Event>, event: Event) {
    let _ = listener.send(event);
}

/// Numbers of workers, from 0: no two trials that run at the same time have the same one.
#[derive(Default)]
pub struct Numbers {
    taken: Mutex<BTreeSet<usize>>,
}

/// A number that is given back when it is dropped.
pub struct Taken<'n>(usize, &'n Numbers);

impl Numbers {
    fn take(&self) -> Taken<'_> {
        let mut taken = self.taken();
        let free = (0..).find(|number| !taken.contains(number)).unwrap_or_default();
        taken.insert(free);
        Taken(free, self)
    }

    fn taken(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.1.taken().remove(&self.0);
    }
}

/// Number of lines, and of bytes before the end of a log, in which a failed program says why it failed.
const LAST_LINES: usize = 2;
const LAST_BYTES: u64 = 2000;

/// The last lines of a log behind `begin`, on one line. None where there is nothing, or nothing but results.
fn last_words(log: &Path, begin: u64) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let end = file.metadata().ok()?.len();
    let (from, mut bytes) = (begin.max(end.saturating_sub(LAST_BYTES)), Vec::new());
    file.seek(SeekFrom::Start(from)).ok()?;
    file.take(LAST_BYTES).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    // A bar of progress goes back to the beginning of its line.
    let shown = |line: &str| line.trim_end().rsplit('\r').next().unwrap_or_default().trim().to_owned();
    let says_more = |line: &String| !line.is_empty() && output::read(line).is_none();
    let mut lines: Vec<String> = text.lines().rev().map(shown).filter(says_more).take(LAST_LINES).collect();
    lines.reverse();
    (!lines.is_empty()).then(|| plain(&lines.join(" / ")).into_owned())
}

/// Makes the folder for logs.
pub fn make_folder(logs: &PathBuf) -> anyhow::Result<()> {
    fs::create_dir_all(logs).with_context(|| format!("cannot make the folder for logs {}", logs.display()))
}
