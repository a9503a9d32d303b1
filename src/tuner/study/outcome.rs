//! Outcome of a trial, and the rule of what is one: the same for programs, for `qgd ask-tell` and for closures.
//!
//! - A value is any number but NaN, with which nothing can be compared: where one is NaN, the trial fails. Infinite
//!   values are kept.
//! - Constraints are a list of numbers. The trial is feasible where none is above 0. Where one is NaN, the trial fails,
//!   as in Optuna; an infinite one is kept. Anything else in their place is an error.

use crate::tuner::python_json;
use crate::tuner::storage::End;
use serde_json::Value as Json;

/// Outcome of a trial: how it ended, with its values, constraints and reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub(super) end: End,
    pub(super) constraints: Vec<f64>,
    pub(super) reason: Option<String>,
}

/// Why JSON is no outcome.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OutcomeError {
    /// Both `value` and `values` are there.
    #[error("`value` and `values` are both there: give one of the two")]
    Both,
    /// The constraints are no list.
    #[error("`constraints` is {value}, but must be a list of numbers")]
    NoList {
        /// What was found.
        value: String,
    },
    /// A constraint is no number.
    #[error("`constraints[{i}]` is {value}, but must be a number")]
    NoNumber {
        /// Its place in the list.
        i: usize,
        /// What was found.
        value: String,
    },
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

    /// The same with constraints: the trial is feasible where none of them is above 0. Where one is NaN, the trial
    /// fails.
    #[must_use]
    pub fn with_constraints(mut self, constraints: Vec<f64>) -> Self {
        self.constraints = constraints;
        self
    }

    /// The outcome that an object of JSON states: `"value": 0.5` or `"values": [0.5, 2]`, perhaps with `"constraints":
    /// [...]`. The strings "NaN", "Infinity" and "-Infinity" count as numbers. None where it states no values.
    ///
    /// ```
    /// use qgd::tuner::Outcome;
    /// let read = |text: &str| Outcome::read(&serde_json::from_str(text).unwrap_or_default());
    /// assert_eq!(read(r#"{"value": 2, "lr": 0.1}"#), Ok(Some(Outcome::from(2.0))));
    /// assert_eq!(read(r#"{"loss": 2}"#), Ok(None));
    /// assert!(read(r#"{"value": 2, "constraints": 5}"#).is_err());
    /// ```
    ///
    /// # Errors
    /// When it has both `value` and `values`, or the constraints are no list of numbers.
    pub fn read(json: &Json) -> Result<Option<Self>, OutcomeError> {
        if Self::says_both(json) {
            return Err(OutcomeError::Both);
        }
        let list = |json: &Json| json.as_array()?.iter().map(Self::number).collect::<Option<Vec<f64>>>();
        let one = || json.get("value").and_then(Self::number).map(|value| vec![value]);
        let Some(values) = json.get("values").and_then(list).or_else(one) else { return Ok(None) };
        let constraints = json.get("constraints").map(constraints).transpose()?.unwrap_or_default();
        Ok(Some(Self::complete(values).with_constraints(constraints)))
    }

    /// Whether an object has both `value` and `values`, of which nobody can say which counts.
    pub fn says_both(json: &Json) -> bool {
        json.get("value").is_some() && json.get("values").is_some()
    }

    /// A number, or one of the strings "NaN", "Infinity" and "-Infinity", which stand for numbers that JSON does not
    /// have. None for anything else.
    pub fn number(json: &Json) -> Option<f64> {
        python_json::number(json)
    }

    /// The outcome, failed where it holds a NaN.
    pub(super) fn comparable(self) -> Self {
        let is_nan = |numbers: &[f64]| numbers.iter().any(|number| number.is_nan());
        match &self.end {
            End::Complete(values) if is_nan(values) => Self::failed("the objective is NaN"),
            End::Complete(_) | End::Pruned if is_nan(&self.constraints) => Self::failed("a constraint is NaN"),
            _ => self,
        }
    }
}

fn constraints(json: &Json) -> Result<Vec<f64>, OutcomeError> {
    let list = json.as_array().ok_or_else(|| OutcomeError::NoList { value: json.to_string() })?;
    let number = |(i, json): (usize, &Json)| {
        Outcome::number(json).ok_or_else(|| OutcomeError::NoNumber { i, value: json.to_string() })
    };
    list.iter().enumerate().map(number).collect()
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
