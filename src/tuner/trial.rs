//! One evaluation of the objective: as a storage keeps it ([`Trial`]), and as samplers and pruners see those before ([`Past`]).

use super::distribution::{Distribution, Value};
use super::space::{Point, Space};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Which values of an objective are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Small ones.
    Minimize,
    /// Large ones.
    Maximize,
}

impl Direction {
    /// `value` turned so that smaller is better.
    pub fn cost(self, value: f64) -> f64 {
        match self {
            Self::Minimize => value,
            Self::Maximize => -value,
        }
    }
}

/// Where a trial stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TrialState {
    /// Enqueued, or to be tried again: nobody has taken it yet.
    Waiting,
    /// Somebody works on it.
    Running,
    /// It has its values.
    Complete,
    /// It was stopped early.
    Pruned,
    /// It broke, or its worker died.
    Fail,
}

impl TrialState {
    /// Whether nothing about the trial will ever change.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Complete | Self::Pruned | Self::Fail)
    }
}

/// The value of one parameter in one trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Assigned {
    /// What it was drawn from.
    pub distribution: Distribution,
    /// The inner value.
    pub inner: f64,
}

/// A trial as a storage keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Identifies it in its storage.
    pub id: i64,
    /// Counts the trials of a study from 0.
    pub number: usize,
    /// Where it stands.
    pub state: TrialState,
    /// The active parameters.
    pub params: BTreeMap<String, Assigned>,
    /// One value an objective where it is complete; the last intermediate value, if any, where it was pruned.
    pub values: Vec<f64>,
    /// What was reported on the way, by step. NaN and infinities are kept.
    pub intermediate: BTreeMap<i64, f64>,
    /// Whatever the user has noted.
    pub user_attrs: BTreeMap<String, Json>,
    /// What samplers, pruners and retries have noted.
    pub system_attrs: BTreeMap<String, Json>,
    /// UTC, as `YYYY-MM-DD HH:MM:SS.ffffff`. Kept by databases only.
    pub started: Option<String>,
    /// The same for its end.
    pub completed: Option<String>,
    /// Whether its worker is watched, so that it may be waited for: it ends, or is failed when its worker falls silent.
    pub is_watched: bool,
}

impl Trial {
    /// The values of its parameters, as a user reads them.
    pub fn values_of_params(&self) -> BTreeMap<String, Value> {
        self.params.iter().map(|(name, p)| (name.clone(), p.distribution.value(p.inner))).collect()
    }

    /// Its constraints: it is feasible where none is above 0. Empty where it has none.
    pub fn constraints(&self) -> Vec<f64> {
        // Optuna knows two ways to note them: a list, and one by one under names.
        let list = self.system_attrs.get(CONSTRAINTS).and_then(Json::as_array).into_iter().flatten();
        let is_named =
            |(name, _): &(&String, &Json)| name.strip_prefix(CONSTRAINTS).is_some_and(|n| n.starts_with(':'));
        let named = self.system_attrs.iter().filter(is_named).map(|(_, constraint)| constraint);
        // What is no number was infinite or NaN, which JSON cannot say: not feasible.
        list.chain(named).map(|constraint| constraint.as_f64().unwrap_or(f64::INFINITY)).collect()
    }

    /// Whether no constraint is above 0.
    pub fn is_feasible(&self) -> bool {
        self.constraints().iter().all(|&constraint| constraint <= 0.0)
    }

    /// Why it failed, as far as that was noted.
    pub fn reason(&self) -> String {
        self.system_attrs.get(REASON).and_then(Json::as_str).unwrap_or("no reason is noted").to_owned()
    }

    /// The last step that was reported, and its value.
    pub fn last_report(&self) -> Option<(i64, f64)> {
        self.intermediate.last_key_value().map(|(&step, &value)| (step, value))
    }

    /// Its parameters in the order of `space`; None where it is no point of that space.
    pub(super) fn point(&self, space: &Space) -> Option<Point> {
        let inner = |name: &str, distribution: &Distribution| {
            self.params.get(name).filter(|found| found.distribution.agrees_with(distribution)).map(|found| found.inner)
        };
        let point: Point = space.parameters().iter().map(|p| inner(&p.name, &p.distribution)).collect();
        space.contains(&point).then_some(point)
    }
}

/// Where Optuna keeps the constraints of a trial, among its system attributes.
pub(super) const CONSTRAINTS: &str = "constraints";

/// Why a trial failed, among its system attributes.
pub(super) const REASON: &str = "qgd:reason";

/// A trial as samplers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// Counts the trials of a study from 0.
    pub number: usize,
    /// [`TrialState::Running`] where its result is not to be known yet, finished or not.
    pub state: TrialState,
    /// Its parameters; always a point of the space.
    pub point: Point,
    /// One value an objective where it is complete; the last intermediate value, if any, where it was pruned; else empty.
    pub values: Vec<f64>,
    /// What was reported on the way, by step.
    pub intermediate: BTreeMap<i64, f64>,
    /// Feasible where none is above 0.
    pub constraints: Vec<f64>,
}

impl Past {
    /// None where the trial is no point of `space`.
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

    /// The same without what came out.
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

    /// Whether it is complete and breaks no constraint.
    pub fn is_feasible(&self) -> bool {
        self.state == TrialState::Complete && self.constraints.iter().all(|&constraint| constraint <= 0.0)
    }
}
