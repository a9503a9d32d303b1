//! Outcome of a trial.

use crate::tuner::storage::End;

/// Outcome of a trial: how it ended, with its values, constraints and reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub(super) end: End,
    pub(super) constraints: Vec<f64>,
    pub(super) reason: Option<String>,
}

impl Outcome {
    /// Complete, with one value for each objective. Infinite values are kept; where one is NaN, the trial fails.
    pub fn complete(values: Vec<f64>) -> Self {
        Self { end: End::Complete(values), constraints: Vec::new(), reason: None }
    }

    /// Stopped early. The value of the trial is the last that was reported.
    pub fn pruned() -> Self {
        Self { end: End::Pruned, constraints: Vec::new(), reason: None }
    }

    /// Failed, for this reason.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { end: End::Failed, constraints: Vec::new(), reason: Some(reason.into()) }
    }

    /// Interrupted: the trial waits to be tried again with the same parameters, here or by another worker.
    pub fn given_back() -> Self {
        Self { end: End::GivenBack, constraints: Vec::new(), reason: None }
    }

    /// The same with constraints: the trial is feasible where none of them is above 0.
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
