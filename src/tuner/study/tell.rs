//! Telling: how a trial goes on, and how it ended.

use super::{Outcome, Study};
use crate::tuner::error::TunerError;
use crate::tuner::pruners::Judging;
use crate::tuner::storage::{Change, End};
use crate::tuner::trial::{CONSTRAINTS, REASON, Trial, TrialState};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

impl Study {
    /// Says how a trial went.
    ///
    /// # Errors
    /// When it is not running, when the number of values is not that of the objectives, or when the storage does not
    /// answer.
    pub fn tell(&self, number: usize, outcome: impl Into<Outcome>) -> Result<(), TunerError> {
        let Outcome { end, constraints, reason } = self.checked(number, outcome.into())?;
        let mut system_attrs: BTreeMap<String, Json> = BTreeMap::new();
        if !constraints.is_empty() {
            system_attrs.insert(CONSTRAINTS.into(), json!(constraints));
        }
        system_attrs.extend(reason.map(|reason| (REASON.into(), reason.into())));
        self.change(self.id(number)?, number, Change::Finish { end, system_attrs })
    }

    fn checked(&self, number: usize, outcome: Outcome) -> Result<Outcome, TunerError> {
        let End::Complete(values) = &outcome.end else { return Ok(outcome) };
        let (found, expected) = (values.len(), self.config.directions.len());
        if found != expected {
            return Err(TunerError::WrongNumberOfValues { number, found, expected });
        }
        let is_nan = values.iter().any(|value| value.is_nan());
        Ok(if is_nan { Outcome::failed("the objective is NaN") } else { outcome })
    }

    /// An intermediate value of a running trial: what pruners look at. A second one of the same `step` replaces the
    /// first.
    ///
    /// # Errors
    /// When the trial is not running, or the storage does not answer.
    pub fn report(&self, number: usize, step: i64, value: f64) -> Result<(), TunerError> {
        self.change(self.id(number)?, number, Change::Report { step, value })
    }

    /// Whether the pruner would stop a running trial after its last report.
    ///
    /// # Errors
    /// When the study has several objectives, the trial is not running, or the storage does not answer.
    pub fn should_prune(&self, number: usize) -> Result<bool, TunerError> {
        let &[direction] = &self.config.directions[..] else {
            return Err(TunerError::PruningManyObjectives { n_objectives: self.config.directions.len() });
        };
        let inner = self.refreshed()?;
        let all: Vec<&Trial> = inner.history.trials.iter().collect();
        let trial = *all.get(number).ok_or(TunerError::NoTrial { number, n_trials: all.len() })?;
        match trial.state {
            TrialState::Running if trial.intermediate.is_empty() => return Ok(false),
            TrialState::Running => {}
            state => return Err(TunerError::NotRunning { number, state }),
        }
        let verdict = self.pruner.judge(&Judging { study: &self.record.name, direction, trial, trials: &all });
        let id = trial.id;
        drop(inner);
        if !verdict.notes.is_empty() {
            let notes = verdict.notes.into_iter().map(|(name, number)| (name, json!(number))).collect();
            self.change(id, number, Change::SystemAttrs(notes))?;
        }
        Ok(verdict.prune)
    }

    /// Makes a change in the storage, and takes note of it here.
    pub(super) fn change(&self, id: i64, number: usize, change: Change) -> Result<(), TunerError> {
        let changed = self.storage.change(id, &change)?;
        if matches!(change, Change::Finish { .. }) || !changed {
            self.heart.iter().for_each(|heart| heart.remove(id));
        }
        if !changed {
            return Err(self.not_running(number));
        }
        self.news().push((number, change));
        Ok(())
    }

    /// A trial as it is in the storage.
    fn trial(&self, number: usize) -> Result<Trial, TunerError> {
        let inner = self.refreshed()?;
        let n_trials = inner.history.trials.len();
        inner.history.trials.get(number).cloned().ok_or(TunerError::NoTrial { number, n_trials })
    }

    /// A trial as it is known here; read where it is not known yet.
    pub(super) fn known(&self, number: usize) -> Result<Trial, TunerError> {
        let known = self.inner().history.trials.get(number).cloned();
        known.map_or_else(|| self.trial(number), Ok)
    }

    fn id(&self, number: usize) -> Result<i64, TunerError> {
        let known = self.inner().history.trials.get(number).map(|trial| trial.id);
        known.map_or_else(|| self.trial(number).map(|trial| trial.id), Ok)
    }

    fn not_running(&self, number: usize) -> TunerError {
        match self.trial(number) {
            // It runs as far as is known here, but the storage has no such trial any more: somebody has deleted its study.
            Ok(trial) if trial.state == TrialState::Running => TunerError::NoTrial { number, n_trials: 0 },
            Ok(trial) => TunerError::NotRunning { number, state: trial.state },
            Err(error) => error,
        }
    }
}
