//! Telling: how a trial goes on, and how it ended.

use super::{Outcome, Study};
use crate::tuner::error::TunerError;
use crate::tuner::pruners::Judging;
use crate::tuner::python_json;
use crate::tuner::storage::{Change, End};
use crate::tuner::trial::{CONSTRAINTS, REASON, Trial, TrialKey, TrialState};
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
            let constraints = constraints.into_iter().map(python_json::word).collect();
            system_attrs.insert(CONSTRAINTS.into(), constraints);
        }
        system_attrs.extend(reason.map(|reason| (REASON.into(), reason.into())));
        self.change(&self.key(number)?, Change::Finish { end, system_attrs })
    }

    fn checked(&self, number: usize, outcome: Outcome) -> Result<Outcome, TunerError> {
        let End::Complete(values) = &outcome.end else { return Ok(outcome.comparable()) };
        let (found, expected) = (values.len(), self.config.directions.len());
        if found != expected {
            return Err(TunerError::WrongNumberOfValues { number, found, expected });
        }
        Ok(outcome.comparable())
    }

    /// An intermediate value of a running trial: what pruners look at. A second one of the same `step` replaces the
    /// first.
    ///
    /// # Errors
    /// When the step is no 32-bit number, the trial is not running, or the storage does not answer.
    pub fn report(&self, number: usize, step: i64, value: f64) -> Result<(), TunerError> {
        let report = checked_report(step, value)?;
        self.change(&self.key(number)?, report)
    }

    /// Notes something about a running trial, for those who look at it later; it replaces an older note of the same name.
    ///
    /// # Errors
    /// When the trial is not running, or the storage does not answer.
    pub fn set_trial_attr(&self, number: usize, name: &str, value: impl Into<Json>) -> Result<(), TunerError> {
        let notes = BTreeMap::from([(name.to_owned(), value.into())]);
        self.change(&self.key(number)?, Change::UserAttrs(notes))
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
        let key = self.heart.key(number).unwrap_or_else(|| trial.key());
        drop(inner);
        if !verdict.notes.is_empty() {
            let notes = verdict.notes.into_iter().map(|(name, number)| (name, json!(number))).collect();
            self.change(&key, Change::SystemAttrs(notes))?;
        }
        Ok(verdict.prune)
    }

    /// Makes a change in the storage, and takes note of it here.
    pub(super) fn change(&self, trial: &TrialKey, change: Change) -> Result<(), TunerError> {
        let changed = self.storage.change(&self.record, trial, &change)?;
        if !changed {
            self.heart.lose(trial.number);
            return Err(self.not_running(trial.number));
        }
        if matches!(change, Change::Finish { .. }) {
            self.heart.remove(trial.number);
        }
        self.news().push((trial.number, change));
        Ok(())
    }

    /// The trial of this number, as it is in the storage.
    ///
    /// # Errors
    /// When there is none, or the storage does not answer.
    pub fn trial(&self, number: usize) -> Result<Trial, TunerError> {
        let inner = self.refreshed()?;
        let n_trials = inner.history.trials.len();
        inner.history.trials.get(number).cloned().ok_or(TunerError::NoTrial { number, n_trials })
    }

    /// A trial as it is known here; read where it is not known yet.
    pub(super) fn known(&self, number: usize) -> Result<Trial, TunerError> {
        self.trial_known(number).map_or_else(|| self.trial(number), Ok)
    }

    /// Key of a trial: as it was begun here, else as it is in the storage.
    fn key(&self, number: usize) -> Result<TrialKey, TunerError> {
        self.heart.key(number).map_or_else(|| self.trial(number).map(|trial| trial.key()), Ok)
    }

    fn not_running(&self, number: usize) -> TunerError {
        match self.trial(number) {
            Ok(trial) if trial.state == TrialState::Running => TunerError::NotOurs { number },
            Ok(trial) => TunerError::NotRunning { number, state: trial.state },
            Err(error) => error,
        }
    }
}

/// The report, if the tables of databases can hold its step.
pub(super) fn checked_report(step: i64, value: f64) -> Result<Change, TunerError> {
    if i32::try_from(step).is_ok() {
        return Ok(Change::Report { step, value });
    }
    let allowed = format!("from {} to {}, which is what databases hold", i32::MIN, i32::MAX);
    Err(TunerError::OutOfRange { key: "step", value: step.to_string(), allowed })
}
