//! Dead start: a run that went far and is no better for it.
//!
//! Some wrecks do not explode. A net whose units have all died or saturated has a loss like that of the untrained net,
//! and learns no more. Nothing is lost when such a run begins again, at a quarter of the learning rate that led there.
//!
//! How far is *far* can be told only of a start that has a length. From parameters that all start at zero every step
//! would go far, so the rule has nothing to say of them.

use crate::policy::Measured;
use serde::{Deserialize, Serialize};

/// Steps at which, or at the first decision after which, a run may be given up.
const RESTART_STEPS: [u64; 7] = [16, 32, 64, 128, 256, 512, 1024];
/// Memory of the loss average, per decision: about four steps while probing.
const AVERAGE_DECAY: f64 = 0.8;
/// Share of the norm of the parameters beyond which the distance from the start is far. It is this share where the way
/// taken is at a right angle to the start and as long as the start is from zero.
const FAR: f64 = std::f64::consts::FRAC_1_SQRT_2;
/// Factor of the learning rate of a run that is given up and begins again.
pub(super) const GIVEN_UP: f64 = 0.25;

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct DeadStart {
    /// Average of the good losses over decisions.
    average: Option<f64>,
    /// Whether the last decision was taken far from the start.
    went_far: bool,
    /// Whether all parameters were zero at the first decision, once that is known.
    from_zero: Option<bool>,
    /// Step at which the rule was last asked.
    looked_at: u64,
}

impl DeadStart {
    /// Takes in a good loss.
    pub fn follow(&mut self, loss: f64) {
        let average = self.average.unwrap_or(loss);
        self.average = Some(average + (1.0 - AVERAGE_DECAY) * (loss - average));
    }

    /// Takes in how far from its start the run is at a decision.
    pub fn measured(&mut self, measured: &Measured) {
        let from_zero = *self.from_zero.get_or_insert(measured.param_norm <= 0.0);
        self.went_far = !from_zero && measured.distance > FAR * measured.param_norm;
    }

    /// Takes note that the parameters were restored: their distance from the start is not known until it is measured
    /// anew.
    pub fn restored(&mut self) {
        self.went_far = false;
    }

    /// Whether the run is to begin again at `step`: whether it went far, and its average loss, less its `noise`, is
    /// still above `restart × first`.
    pub fn check(&mut self, step: u64, first: f64, restart: f64, noise: f64) -> bool {
        let n_steps = |until| RESTART_STEPS.iter().filter(|&&at| at <= until).count();
        let is_time = n_steps(step) > n_steps(std::mem::replace(&mut self.looked_at, step));
        let average = self.average.unwrap_or(first);
        let gives_up = restart > 0.0 && self.went_far && is_time && average - noise > restart * first;
        if gives_up {
            (self.average, self.went_far) = (Some(first), false);
        }
        gives_up
    }

    /// Whether a later step may still find the start dead.
    pub fn is_open(&self) -> bool {
        RESTART_STEPS.iter().any(|&later| self.looked_at < later)
    }

    /// Whether a run can have left it so.
    pub fn is_sound(&self) -> bool {
        self.average.is_none_or(f64::is_finite)
    }
}
