//! What came of a trial.

use crate::tuner::trial::TrialState;

/// What came of a trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub(super) state: TrialState,
    pub(super) values: Vec<f64>,
    pub(super) constraints: Vec<f64>,
    pub(super) reason: Option<String>,
}

impl Outcome {
    /// One value an objective. Infinite ones are kept; where one is NaN, the trial fails.
    pub fn complete(values: Vec<f64>) -> Self {
        Self { state: TrialState::Complete, values, constraints: Vec::new(), reason: None }
    }

    /// Stopped early; its value is the last that was reported.
    pub fn pruned() -> Self {
        Self { state: TrialState::Pruned, values: Vec::new(), constraints: Vec::new(), reason: None }
    }

    /// It came to nothing.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { state: TrialState::Fail, values: Vec::new(), constraints: Vec::new(), reason: Some(reason.into()) }
    }

    /// The trial is feasible where none of these is above 0.
    #[must_use]
    pub fn with_constraints(mut self, constraints: Vec<f64>) -> Self {
        self.constraints = constraints;
        self
    }
}

impl From<f64> for Outcome {
    fn from(value: f64) -> Self {
        Self::complete(vec![value])
    }
}

impl From<Vec<f64>> for Outcome {
    fn from(values: Vec<f64>) -> Self {
        Self::complete(values)
    }
}
