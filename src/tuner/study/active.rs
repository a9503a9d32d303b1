//! A running trial, as an objective gets it.

use super::Study;
use crate::tuner::distribution::Value;
use crate::tuner::error::TunerError;
use crate::tuner::storage::Change;
use crate::tuner::trial::TrialKey;
use std::collections::BTreeMap;

/// A running trial, with its parameters and with methods to report how it goes on. [`Study::ask`] makes it.
#[derive(Debug)]
pub struct ActiveTrial<'s> {
    pub(super) study: &'s Study,
    pub(super) key: TrialKey,
    pub(super) params: BTreeMap<String, Value>,
}

impl ActiveTrial<'_> {
    /// Number of the trial in its study, counted from 0.
    pub fn number(&self) -> usize {
        self.key.number
    }

    /// Whether a heartbeat has found that the trial is not one of this worker any more: its study was deleted, or it
    /// was given up. Then its result will be refused, and it may as well be stopped. Nothing is read.
    pub fn is_lost(&self) -> bool {
        self.study.heart.has_lost(self.key.number)
    }

    /// Active parameters.
    pub fn params(&self) -> &BTreeMap<String, Value> {
        &self.params
    }

    /// A parameter, or None where it is not active.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.params.get(name)
    }

    /// A parameter that is a number.
    ///
    /// # Errors
    /// When it is not active, or no number.
    pub fn float(&self, name: &str) -> Result<f64, TunerError> {
        match self.get(name) {
            Some(Value::Float(number)) => Ok(*number),
            Some(Value::Int(whole)) => Ok(*whole as f64),
            _ => Err(self.missing("number", name)),
        }
    }

    /// A parameter that is a whole number.
    ///
    /// # Errors
    /// When it is not active, or no whole number.
    pub fn int(&self, name: &str) -> Result<i64, TunerError> {
        match self.get(name) {
            Some(Value::Int(whole)) => Ok(*whole),
            _ => Err(self.missing("whole number", name)),
        }
    }

    /// A parameter that is a word.
    ///
    /// # Errors
    /// When it is not active, or no word.
    pub fn text(&self, name: &str) -> Result<&str, TunerError> {
        match self.get(name) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(self.missing("word", name)),
        }
    }

    fn missing(&self, wanted: &'static str, name: &str) -> TunerError {
        let known = self.params.iter().map(|(name, value)| format!("{name} = {value}")).collect::<Vec<_>>().join(", ");
        TunerError::NoParameter { number: self.key.number, wanted, name: name.into(), known }
    }

    /// Reports an intermediate value, as [`Study::report`].
    ///
    /// # Errors
    /// When the step is no 32-bit number, the trial is not running any more, or the storage does not answer.
    pub fn report(&self, step: i64, value: f64) -> Result<(), TunerError> {
        self.change(super::tell::checked_report(step, value)?)
    }

    /// Whether the trial should be stopped, as [`Study::should_prune`].
    ///
    /// # Errors
    /// When the study has several objectives, the trial is not running any more, or the storage does not answer.
    pub fn should_prune(&self) -> Result<bool, TunerError> {
        self.study.should_prune(self.key.number)
    }

    /// Notes something about the trial, for those who look at it later.
    ///
    /// # Errors
    /// When the trial is not running any more, or the storage does not answer.
    pub fn set_user_attr(&self, name: &str, value: impl Into<serde_json::Value>) -> Result<(), TunerError> {
        self.change(Change::UserAttrs(BTreeMap::from([(name.into(), value.into())])))
    }

    fn change(&self, change: Change) -> Result<(), TunerError> {
        self.study.change(&self.key, change)
    }
}
