//! The whole loop: ask, evaluate and tell until there are enough trials.

use super::turn::Attempt;
use super::wait::{Hint, Hints, Wait};
use super::{ActiveTrial, Outcome, Study};
use crate::tuner::error::TunerError;
use crate::tuner::trial::{Trial, TrialState};
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// How long [`Study::optimize`] goes on, and with how many threads.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `n_trials` | 100 | number of complete and pruned trials that the study is to have in all | any |
/// | `n_jobs` | 1 | number of threads; more than the lag of the study do not help | at least 1 |
/// | `max_failures` | 20 | number of failed trials in a row after which it ends with an error | at least 1 |
/// | `timeout` | none | time after which no trial is begun | any |
/// | `on_trial` | nothing | function that is called after each trial that ended here | |
#[derive(Clone, Copy)]
pub struct Optimize<'a> {
    /// Number of complete and pruned trials that the study is to have, with those that it had before. Failed ones do
    /// not count.
    pub n_trials: usize,
    /// Number of threads.
    pub n_jobs: usize,
    /// Number of failed trials in a row after which it ends with an error: more would fail too.
    pub max_failures: usize,
    /// Time after which no trial is begun.
    pub timeout: Option<Duration>,
    /// Function that is called after each trial that ended here, by the thread that ran it. `started` and `completed`
    /// of that trial are None: they are read with the next trial.
    pub on_trial: &'a (dyn Fn(&Study, &Trial) + Sync),
}

impl Default for Optimize<'_> {
    fn default() -> Self {
        Self { n_trials: 100, n_jobs: 1, max_failures: 20, timeout: None, on_trial: &|_, _| {} }
    }
}

/// Answer of an objective. An error fails the trial, and the study goes on.
type Answer = Result<Outcome, Box<dyn Error + Send + Sync>>;

/// First and longest pause between two looks at trials that others are running.
const PAUSES: [Duration; 2] = [Duration::from_micros(200), Duration::from_millis(20)];

impl Study {
    /// Evaluates `objective` until the study has `options.n_trials` complete and pruned trials, and none is left
    /// running. Several threads and processes that do so with one study share the trials.
    ///
    /// ```
    /// use qgd::tuner::{Distribution, Optimize, Outcome, Parameter, Space, Study, StudyConfig};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let space = Space::new([Parameter::new("x", Distribution::float(-10.0, 10.0))])?;
    /// let study = Study::in_memory(space, StudyConfig { lag: 2, ..StudyConfig::default() })?;
    /// study.optimize(&Optimize { n_trials: 30, n_jobs: 2, ..Optimize::default() }, |trial| {
    ///     let x = trial.float("x")?;
    ///     for step in 0..3 {
    ///         trial.report(step, x.abs())?;
    ///         if trial.should_prune()? {
    ///             return Ok(Outcome::pruned());
    ///         }
    ///     }
    ///     Ok(((x - 2.0) * (x - 2.0)).into())
    /// })?;
    /// assert_eq!(study.trials()?.len(), 30);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When trial after trial fails, or the storage does not answer. A trial that is told too late, because somebody
    /// gave it up, is no error.
    pub fn optimize(
        &self,
        options: &Optimize<'_>,
        objective: impl Fn(&ActiveTrial<'_>) -> Answer + Sync,
    ) -> Result<(), TunerError> {
        let deadline = options.timeout.map(|timeout| Instant::now() + timeout);
        self.stopped.store(false, Ordering::Relaxed);
        let hints = Hints::default();
        if options.n_jobs > self.config.lag {
            hints.once(Hint::Idle, || self.idle(options.n_jobs));
        }
        let (failed, in_a_row): (Mutex<Option<TunerError>>, _) = (Mutex::new(None), AtomicUsize::new(0));
        let work = || {
            if let Err(error) = self.work(options, deadline, &hints, &in_a_row, &objective) {
                self.stop();
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        };
        std::thread::scope(|scope| {
            for n_threads in 1..options.n_jobs {
                if let Err(error) = Builder::new().spawn_scoped(scope, work) {
                    tracing::warn!("{n_threads} threads work, not {}: {error}", options.n_jobs);
                    break;
                }
            }
            work();
        });
        failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    /// Makes every running [`Study::optimize`] of this `Study` begin no further trial.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn work(
        &self,
        options: &Optimize<'_>,
        deadline: Option<Instant>,
        hints: &Hints,
        in_a_row: &AtomicUsize,
        objective: &(impl Fn(&ActiveTrial<'_>) -> Answer + Sync),
    ) -> Result<(), TunerError> {
        while let Some(trial) = self.next(options.n_trials, deadline, hints)? {
            let outcome = objective(&trial).unwrap_or_else(|error| Outcome::failed(error.to_string()));
            let told = match self.tell(trial.number(), outcome) {
                // Such an objective fails its own trial and no others.
                Err(wrong @ TunerError::WrongNumberOfValues { .. }) => {
                    self.tell(trial.number(), Outcome::failed(wrong.to_string()))
                }
                told => told,
            };
            match told {
                Err(TunerError::NotRunning { .. } | TunerError::NotOurs { .. }) => continue,
                told => told?,
            }
            let trial = self.known(trial.number())?;
            (options.on_trial)(self, &trial);
            if trial.state != TrialState::Fail {
                in_a_row.store(0, Ordering::Relaxed);
            } else if in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= options.max_failures {
                return Err(TunerError::KeepsFailing { n: options.max_failures, reason: trial.reason() });
            }
        }
        Ok(())
    }

    /// The next trial, as soon as it may be drawn. None when no trial is to be begun any more and none is running.
    fn next(
        &self,
        n_trials: usize,
        deadline: Option<Instant>,
        hints: &Hints,
    ) -> Result<Option<ActiveTrial<'_>>, TunerError> {
        let (mut pause, mut wait) = (PAUSES[0], Wait::begin());
        loop {
            let is_over = self.stopped.load(Ordering::Relaxed) || deadline.is_some_and(|end| Instant::now() >= end);
            if is_over {
                return Ok(None);
            }
            let attempt = self.attempt(n_trials);
            self.explain(&attempt, hints, &mut wait)?;
            match attempt {
                Ok(Attempt::Trial(trial)) => return Ok(Some(trial)),
                Ok(Attempt::Full) | Err(TunerError::Exhausted { .. }) if self.is_done(n_trials) => return Ok(None),
                Ok(Attempt::Full) | Err(TunerError::Exhausted { .. } | TunerError::Waits { .. }) => {}
                Err(error) => return Err(error),
            }
            std::thread::sleep(pause);
            pause = (2 * pause).min(PAUSES[1]);
        }
    }

    /// Whether no trial is running or waiting that somebody will end.
    fn is_done(&self, n_trials: usize) -> bool {
        let history = &self.inner().history;
        let enough = history.counts.done() >= n_trials;
        let is_awaited = |&number: &usize| {
            let state = history.trials[number].state;
            history.trials[number].is_awaited() && !(enough && state == TrialState::Waiting)
        };
        !history.open.iter().any(is_awaited)
    }
}
