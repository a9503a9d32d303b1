//! The trials of a study as they were last read, and what of them a sampler may see.

use crate::tuner::space::Space;
use crate::tuner::storage::Seen;
use crate::tuner::trial::{Past, Trial, TrialState};

/// The trials as they were last read, and what of them a sampler may see.
#[derive(Default)]
pub(super) struct History {
    /// By number.
    pub trials: Vec<Trial>,
    /// Numbers of those that are not finished.
    pub unfinished: Vec<usize>,
    settled: Vec<Past>,
    /// All trials before this one are settled, but for `overdue`.
    next: usize,
    /// Trials nobody waits for, since nobody watches their workers.
    overdue: Vec<usize>,
}

impl History {
    pub fn seen(&self) -> Seen {
        let unfinished = self.unfinished.iter().map(|&number| self.trials[number].id).collect();
        Seen { up_to: self.trials.iter().map(|trial| trial.id).max().unwrap_or(0), unfinished }
    }

    pub fn update(&mut self, changed: Vec<Trial>) {
        for trial in changed {
            match self.trials.get_mut(trial.number) {
                Some(known) => *known = trial,
                None => {
                    self.unfinished.push(self.trials.len());
                    self.trials.push(trial);
                }
            }
        }
        self.unfinished.retain(|&number| !self.trials[number].state.is_finished());
    }

    pub fn first_waiting(&self) -> Option<usize> {
        self.unfinished.iter().copied().find(|&number| self.trials[number].state == TrialState::Waiting)
    }

    pub fn needs_proposal(&self, number: usize, space: &Space) -> bool {
        self.trials[number].point(space).is_none()
    }

    pub fn n_not_failed(&self) -> usize {
        self.trials.iter().filter(|trial| trial.state != TrialState::Fail).count()
    }

    /// What trial `number` may know: the results of trials before `boundary`, the parameters of those from there on.
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
        // An enqueued trial may come after later ones have settled.
        let known = settled.iter().take_while(|past| past.number < boundary).count();
        (&settled[..known], pending)
    }
}

impl Trial {
    /// Whether it will be finished by somebody.
    pub(super) fn is_awaited(&self) -> bool {
        match self.state {
            TrialState::Running => self.is_watched,
            state => state == TrialState::Waiting,
        }
    }
}
