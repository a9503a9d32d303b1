//! First step: its length shows how long the steps of this learning rate are. After one that is too long the run begins
//! again with the rate scaled down to what is allowed, instead of halving its way there.

use crate::policy::Measured;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct FirstStep {
    /// Norm of the parameters before the first step, until the length of that step is known.
    start_norm: Option<f64>,
}

impl FirstStep {
    /// Length of the first step over the longest that is `allowed` (a share of the norm of the parameters before it),
    /// where it is longer.
    pub fn check(&mut self, step: u64, measured: &Measured, allowed: f64) -> Option<f64> {
        if step == 0 {
            self.start_norm = Some(measured.param_norm);
        }
        let start_norm = self.start_norm.filter(|_| measured.distance > 0.0)?;
        self.start_norm = None;
        let excess = measured.distance / (allowed * start_norm);
        (excess > 1.0 && excess.is_finite()).then_some(excess)
    }

    /// Whether the first step is still to be measured.
    pub fn is_open(&self) -> bool {
        self.start_norm.is_some()
    }
}
