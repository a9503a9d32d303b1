//! Waiting for the trials of others, and what is said about it.

use super::Study;
use super::turn::Attempt;
use crate::tuner::error::TunerError;
use crate::tuner::storage::Silence;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time after which a worker that waits for the trials of others says so.
const IDLE: Duration = Duration::from_secs(5);

/// Time from one look at the workers of others to the next.
const LOOK: Duration = Duration::from_millis(250);

/// What is said once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hint {
    /// The lag leaves workers idle.
    Idle,
    /// The sampler has nothing left.
    Exhausted,
    /// The worker of this trial does not answer.
    Silent(usize),
}

/// What has been said already.
#[derive(Default)]
pub(super) struct Hints(Mutex<BTreeSet<Hint>>);

impl Hints {
    /// Says something, unless it has been said.
    pub fn once(&self, hint: Hint, text: impl FnOnce() -> String) {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(hint) {
            tracing::warn!("{}", text());
        }
    }
}

/// A time of waiting.
pub(super) struct Wait {
    begun: Instant,
    looked: Instant,
}

impl Wait {
    pub fn begin() -> Self {
        Self { begun: Instant::now(), looked: Instant::now() }
    }
}

/// What is known of the worker of a trial.
enum Worker {
    /// It has sent a heartbeat since the waiting began, or is of a kind that sends none.
    Alive,
    /// Its next heartbeat is not due yet.
    Unknown,
    /// It does not answer; the error says so.
    Silent(TunerError),
}

impl Study {
    /// Says, once and after a while, what is waited for: there may be a reason that the user can change.
    pub(super) fn explain(
        &self,
        attempt: &Result<Attempt<'_>, TunerError>,
        hints: &Hints,
        wait: &mut Wait,
    ) -> Result<(), TunerError> {
        if let Err(error @ TunerError::Exhausted { .. }) = attempt {
            hints.once(Hint::Exhausted, || error.to_string());
        }
        if wait.looked.elapsed() < LOOK {
            return Ok(());
        }
        wait.looked = Instant::now();
        let by_lag = match attempt {
            Err(TunerError::Waits { awaited, .. }) => Some(*awaited),
            _ => None,
        };
        let Some(awaited) = by_lag.or_else(|| self.first_awaited()) else { return Ok(()) };
        let waited = wait.begun.elapsed();
        match self.worker_of(awaited, waited)? {
            Worker::Silent(error) => hints.once(Hint::Silent(awaited), || error.to_string()),
            Worker::Alive if by_lag.is_some() && waited > IDLE => hints.once(Hint::Idle, || self.idle(1)),
            Worker::Alive | Worker::Unknown => {}
        }
        Ok(())
    }

    /// The error of one who has to wait: the lag, unless a worker does not answer.
    pub(super) fn true_reason(&self, error: TunerError) -> Result<TunerError, TunerError> {
        let TunerError::Waits { awaited, .. } = error else { return Ok(error) };
        Ok(match self.worker_of(awaited, Duration::ZERO)? {
            Worker::Silent(silent) => silent,
            Worker::Alive | Worker::Unknown => error,
        })
    }

    fn worker_of(&self, awaited: usize, waited: Duration) -> Result<Worker, TunerError> {
        if self.heart.key(awaited).is_some() {
            return Ok(Worker::Alive);
        }
        let Some(silence) = self.storage.silence(&self.record, awaited)? else { return Ok(Worker::Alive) };
        let Silence { silent_s, heartbeat_s } = silence;
        Ok(match silence.is_overdue() {
            true => Worker::Silent(TunerError::Silent { awaited, silent_s, given_up_s: 2.0 * heartbeat_s }),
            false if silent_s < waited.as_secs_f64() => Worker::Alive,
            false => Worker::Unknown,
        })
    }

    /// The first trial that somebody is to end.
    fn first_awaited(&self) -> Option<usize> {
        let history = &self.inner().history;
        history.open.iter().copied().find(|&number| history.trials[number].is_awaited())
    }

    /// What to say when `n_workers` workers here have less to do than they could.
    pub(super) fn idle(&self, n_workers: usize) -> String {
        let (name, lag) = (&self.record.name, self.config.lag);
        let who = if n_workers == 1 {
            "a worker waits here".to_owned()
        } else {
            format!("of {n_workers} workers some will wait")
        };
        format!(
            "{who}: the lag of study {name} is {lag}, so at most that many trials run at a time, on all machines together; \
             a study that is made with a larger one (`--lag`, under another name) keeps more workers busy"
        )
    }
}
