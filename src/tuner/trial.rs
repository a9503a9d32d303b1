//! A trial is one evaluation of the objective: as a storage keeps it ([`Trial`]), and as samplers see it ([`Past`]).

use super::distribution::{Distribution, Value};
use super::python_json;
use super::space::{Point, Space};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fmt;

/// State of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TrialState {
    /// Enqueued, or to be tried again: no worker has taken it yet.
    Waiting,
    /// A worker evaluates it.
    Running,
    /// It ended with values.
    Complete,
    /// It was stopped early.
    Pruned,
    /// It ended without a result, or its worker died.
    Fail,
}

impl TrialState {
    /// Whether the trial has ended: then nothing about it changes any more.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Complete | Self::Pruned | Self::Fail)
    }
}

impl fmt::Display for TrialState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Pruned => "pruned",
            Self::Fail => "failed",
        })
    }
}

/// Number of trials in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Number of trials that no worker has taken yet.
    pub waiting: usize,
    /// Number of trials that a worker evaluates.
    pub running: usize,
    /// Number of trials that ended with values.
    pub complete: usize,
    /// Number of trials that were stopped early.
    pub pruned: usize,
    /// Number of trials that ended without a result, or whose worker died.
    pub failed: usize,
}

impl Counts {
    /// The counts of these trials.
    pub fn of(trials: &[Trial]) -> Self {
        let mut counts = Self::default();
        trials.iter().for_each(|trial| *counts.of_state(trial.state) += 1);
        counts
    }

    /// Number of complete and pruned trials.
    pub fn done(self) -> usize {
        self.complete + self.pruned
    }

    pub(super) fn of_state(&mut self, state: TrialState) -> &mut usize {
        match state {
            TrialState::Waiting => &mut self.waiting,
            TrialState::Running => &mut self.running,
            TrialState::Complete => &mut self.complete,
            TrialState::Pruned => &mut self.pruned,
            TrialState::Fail => &mut self.failed,
        }
    }
}

/// The value of one parameter in one trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Assigned {
    /// Distribution that it was drawn from.
    pub distribution: Distribution,
    /// Value as storages keep it: a number.
    pub inner: f64,
}

/// Key of a trial that was begun: what says that it is this one, and not a later one to which the database has given
/// the same id, nor the same one that somebody else has begun anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialKey {
    /// Number of the trial in its storage.
    pub id: i64,
    /// Number of the trial in its study.
    pub number: usize,
    /// Time of its begin, as [`Trial::started`].
    pub started: Option<String>,
}

/// A trial as a storage keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Number that identifies the trial in its storage.
    pub id: i64,
    /// Number of the trial in its study, counted from 0.
    pub number: usize,
    /// State of the trial.
    pub state: TrialState,
    /// Active parameters.
    pub params: BTreeMap<String, Assigned>,
    /// Values, one for each objective, of a complete trial; the last intermediate value, if any, of a pruned one.
    pub values: Vec<f64>,
    /// Intermediate values, by step. NaN and infinities are kept.
    pub intermediate: BTreeMap<i64, f64>,
    /// Notes of the user.
    pub user_attrs: BTreeMap<String, Json>,
    /// Notes of samplers, pruners and retries.
    pub system_attrs: BTreeMap<String, Json>,
    /// Time of its begin in UTC, as `YYYY-MM-DD HH:MM:SS.ffffff`. Kept by databases only.
    pub started: Option<String>,
    /// Time of its end, in the same form.
    pub completed: Option<String>,
    /// Whether its worker sends heartbeats. Only such a trial is waited for, and counts among those that a study is to
    /// have: it ends, or is failed when its worker falls silent. Those of Optuna's that have been silent for five
    /// minutes are no such trials.
    pub is_watched: bool,
}

impl Trial {
    /// Key of the trial as it is here.
    pub fn key(&self) -> TrialKey {
        TrialKey { id: self.id, number: self.number, started: self.started.clone() }
    }

    /// Values of its parameters, as a user reads them.
    pub fn values_of_params(&self) -> BTreeMap<String, Value> {
        self.params.iter().map(|(name, p)| (name.clone(), p.distribution.value(p.inner))).collect()
    }

    /// Constraints of the trial, which is feasible where none is above 0. Empty where it has none.
    pub fn constraints(&self) -> Vec<f64> {
        // Optuna notes them in two ways: as a list (null where its function broke), and one by one under names.
        let list = match self.system_attrs.get(CONSTRAINTS) {
            Some(Json::Array(list)) => list.iter().collect(),
            None | Some(Json::Null) => Vec::new(),
            Some(other) => vec![other],
        };
        let is_named =
            |(name, _): &(&String, &Json)| name.strip_prefix(CONSTRAINTS).is_some_and(|n| n.starts_with(':'));
        let named = self.system_attrs.iter().filter(is_named).map(|(_, constraint)| constraint);
        // A list is what a constraint stands in, so a number alone is none. What nobody can compare with 0 is not kept.
        let is_list = matches!(self.system_attrs.get(CONSTRAINTS), Some(Json::Array(_)));
        let kept = |json: &Json| python_json::number(json).filter(|number| !number.is_nan());
        let listed = list.into_iter().map(|json| kept(json).filter(|_| is_list));
        listed.chain(named.map(kept)).map(|constraint| constraint.unwrap_or(f64::INFINITY)).collect()
    }

    /// Whether no constraint is above 0.
    pub fn is_feasible(&self) -> bool {
        self.constraints().iter().all(|&constraint| constraint <= 0.0)
    }

    /// Reason why it failed, as far as one was noted.
    pub fn reason(&self) -> String {
        self.system_attrs.get(REASON).and_then(Json::as_str).unwrap_or("no reason is noted").to_owned()
    }

    /// The last intermediate value, with its step.
    pub fn last_report(&self) -> Option<(i64, f64)> {
        self.intermediate.last_key_value().map(|(&step, &value)| (step, value))
    }

    /// Values of its parameters in the order of `space`; None where the trial is no point of that space.
    pub(super) fn point(&self, space: &Space) -> Option<Point> {
        let inner = |name: &str, distribution: &Distribution| {
            self.params.get(name).filter(|found| found.distribution.agrees_with(distribution)).map(|found| found.inner)
        };
        let point: Point = space.parameters().iter().map(|p| inner(&p.name, &p.distribution)).collect();
        space.contains(&point).then_some(point)
    }
}

/// Name of the system attribute in which Optuna keeps the constraints of a trial.
pub(super) const CONSTRAINTS: &str = "constraints";

/// Name of the system attribute that says why a trial failed.
pub(super) const REASON: &str = "qgd:reason";

/// A trial as samplers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// Number of the trial in its study, counted from 0.
    pub number: usize,
    /// State of the trial; [`TrialState::Running`] where its result is not to be used yet, even if there is one.
    pub state: TrialState,
    /// Parameters, which are always a point of the space.
    pub point: Point,
    /// Values, one for each objective, of a complete trial; the last intermediate value, if any, of a pruned one; else
    /// empty.
    pub values: Vec<f64>,
    /// Intermediate values, by step.
    pub intermediate: BTreeMap<i64, f64>,
    /// Constraints; the trial is feasible where none is above 0.
    pub constraints: Vec<f64>,
}

impl Past {
    /// A trial whose result may be used. None where it is no point of `space`.
    pub(super) fn settled(trial: &Trial, space: &Space) -> Option<Self> {
        Some(Self {
            number: trial.number,
            state: trial.state,
            point: trial.point(space)?,
            values: trial.values.clone(),
            intermediate: trial.intermediate.clone(),
            constraints: trial.constraints(),
        })
    }

    /// A trial whose result is not to be used yet. None where it is no point of `space`.
    pub(super) fn pending(trial: &Trial, space: &Space) -> Option<Self> {
        Some(Self {
            number: trial.number,
            state: TrialState::Running,
            point: trial.point(space)?,
            values: Vec::new(),
            intermediate: BTreeMap::new(),
            constraints: Vec::new(),
        })
    }

    /// Whether the trial is complete and breaks no constraint.
    pub fn is_feasible(&self) -> bool {
        self.state == TrialState::Complete && self.constraints.iter().all(|&constraint| constraint <= 0.0)
    }
}
