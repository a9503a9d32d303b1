//! First step: its length shows how long the steps of this learning rate are. After one that is too long the run begins
//! again with the rate scaled down to what is allowed, instead of halving its way there.
//!
//! Parameters that all start at zero have no length that a step could be compared with: the rule has nothing to say of
//! them.

use crate::policy::Measured;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct FirstStep {
    /// Norm of the parameters before the first step, once it is measured.
    start_norm: Option<f64>,
    /// Whether the first step was measured.
    is_over: bool,
}

impl FirstStep {
    /// Length of the first step over the longest that is `allowed` (a share of the norm of the parameters before it),
    /// where it is longer.
    pub fn check(&mut self, measured: &Measured, allowed: f64) -> Option<f64> {
        let start_norm = *self.start_norm.get_or_insert(measured.param_norm);
        if self.is_over || measured.distance.is_nan() || measured.distance <= 0.0 {
            return None;
        }
        self.is_over = true;
        let excess = measured.distance / (allowed * start_norm);
        (excess > 1.0 && excess.is_finite()).then_some(excess)
    }

    /// Whether the first step is still to be measured.
    pub fn is_open(&self) -> bool {
        !self.is_over
    }

    /// Whether a run can have left it so.
    pub fn is_sound(&self) -> bool {
        !self.start_norm.is_some_and(|norm| norm < 0.0)
    }
}
