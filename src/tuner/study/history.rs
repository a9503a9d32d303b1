//! The trials of a study as they were last read or changed here, and the part of them that a sampler may see.

use crate::tuner::space::Space;
use crate::tuner::storage::{Change, Seen};
use crate::tuner::trial::{Counts, Past, Trial, TrialKey, TrialState};

/// The trials of a study as they were last read or changed here, and the part of them that a sampler may see.
#[derive(Default)]
pub(super) struct History {
    /// All trials, by number.
    pub trials: Vec<Trial>,
    /// Numbers of the trials that the next reading asks for again, since their end has not been read yet.
    pub open: Vec<usize>,
    /// Number of trials in each state.
    pub counts: Counts,
    last_id: i64,
    settled: Vec<Past>,
    /// All trials before this one are settled, but for `overdue`.
    next: usize,
    /// Trials that nobody waits for, since their workers send no heartbeats.
    overdue: Vec<usize>,
}

impl History {
    pub fn seen(&self) -> Seen {
        let unfinished = self.open.iter().map(|&number| self.trials[number].id).collect();
        Seen { up_to: self.last_id, unfinished }
    }

    /// Takes over what was read: all trials that [`History::seen`] asked for.
    pub fn update(&mut self, read: Vec<Trial>) {
        read.into_iter().for_each(|trial| self.put(trial));
        self.open.retain(|&number| !self.trials[number].state.is_finished());
    }

    /// Takes over a trial that was begun here.
    pub fn put(&mut self, trial: Trial) {
        self.last_id = self.last_id.max(trial.id);
        *self.counts.of_state(trial.state) += 1;
        match self.trials.get_mut(trial.number) {
            Some(known) => {
                *self.counts.of_state(known.state) -= 1;
                *known = trial;
            }
            None => {
                self.open.push(self.trials.len());
                self.trials.push(trial);
            }
        }
    }

    /// Takes over a change that was made here. The trial stays open, so that the next reading brings what the storage
    /// added.
    pub fn apply(&mut self, number: usize, change: &Change) {
        let Some(trial) = self.trials.get_mut(number).filter(|trial| trial.state == TrialState::Running) else {
            return;
        };
        *self.counts.of_state(trial.state) -= 1;
        change.apply(trial);
        *self.counts.of_state(trial.state) += 1;
    }

    /// Takes over that a waiting trial was claimed here, and answers its number. None where it was not known to wait.
    pub fn claim(&mut self, key: &TrialKey) -> Option<usize> {
        let known = self.trials.get(key.number)?;
        if known.id != key.id || known.state != TrialState::Waiting {
            return None;
        }
        let (started, state) = (key.started.clone(), TrialState::Running);
        let trial = Trial { state, started, is_watched: true, ..known.clone() };
        self.put(trial);
        Some(key.number)
    }

    pub fn first_waiting(&self) -> Option<usize> {
        self.open.iter().copied().find(|&number| self.trials[number].state == TrialState::Waiting)
    }

    pub fn needs_proposal(&self, number: usize, space: &Space) -> bool {
        self.trials[number].point(space).is_none()
    }

    /// Number of trials that did not fail, or have not failed yet. Those that nobody will end are left out.
    pub fn n_not_failed(&self) -> usize {
        let is_lost = |&&number: &&usize| {
            let trial = &self.trials[number];
            trial.state == TrialState::Running && !trial.is_watched
        };
        self.trials.len() - self.counts.failed - self.open.iter().filter(is_lost).count()
    }

    /// The trials that trial `number` may depend on: those before `boundary` with their results, the others with their
    /// parameters only.
    pub fn split(&mut self, boundary: usize, number: usize, space: &Space) -> (&[Past], Vec<Past>) {
        let Self { trials, settled, overdue, .. } = self;
        overdue.retain(|&late| {
            let is_over = trials[late].state.is_finished();
            settled.extend(is_over.then(|| Past::settled(&trials[late], space)).flatten());
            !is_over
        });
        while self.next < boundary.min(trials.len()) {
            let trial = &trials[self.next];
            if trial.state.is_finished() {
                settled.extend(Past::settled(trial, space));
            } else {
                overdue.push(self.next);
            }
            self.next += 1;
        }
        let between = boundary.min(trials.len())..number.min(trials.len());
        let pending = overdue.iter().copied().filter(|&late| late < number).chain(between);
        let pending = pending.filter_map(|n| Past::pending(&trials[n], space)).collect();
        // Nearly always all are before the boundary. An enqueued trial may come after later ones have settled.
        let known = match self.next <= boundary {
            true => settled.len(),
            false => settled.iter().take_while(|past| past.number < boundary).count(),
        };
        (&settled[..known], pending)
    }
}

impl Trial {
    /// Whether the trial will be finished by somebody.
    pub(super) fn is_awaited(&self) -> bool {
        match self.state {
            TrialState::Running => self.is_watched,
            state => state == TrialState::Waiting,
        }
    }
}
