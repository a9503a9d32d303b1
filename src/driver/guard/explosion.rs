//! Explosion: a loss far above the highest of late, or a loss or gradient that is not finite.
//!
//! A single batch with an outlier looks like an explosion too. So a high but finite loss is looked at twice: the first
//! time the driver measures another batch at the same parameters, and only if that is bad too it rolls back. Otherwise
//! the guard has learned how high the losses of a good net can be.

use super::Verdict;
use crate::policy::Reason;
use serde::{Deserialize, Serialize};

/// Decay of the peak, per decision.
const PEAK_DECAY: f64 = 0.95;

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Explosion {
    /// Highest good loss of late; none before the first.
    peak: Option<f64>,
    /// Whether the parameters at hand were restored, so that no step since then can be to blame.
    at_verified: bool,
    /// High loss that is suspected, until another batch is looked at.
    suspect: Option<f64>,
}

impl Explosion {
    /// Judges a loss that explodes above `factor × max(peak, floor)`; `None` stands for a loss or gradient that is not
    /// finite.
    pub fn check(&mut self, loss: Option<f64>, factor: f64, floor: f64) -> Verdict {
        let blameless = self.peak.is_none() || self.at_verified;
        let suspected = self.suspect.take();
        let Some(loss) = loss else {
            self.at_verified = true;
            return Verdict::RollBack { reason: Reason::NonFinite, halve: !blameless };
        };
        let peak = self.peak.unwrap_or(loss);
        let exploded = loss > factor * peak.max(floor) && !blameless;
        if exploded && suspected.is_none() {
            self.suspect = Some(loss);
            return Verdict::Hold;
        }
        if exploded {
            self.at_verified = true;
            return Verdict::RollBack { reason: Reason::LossExploded, halve: true };
        }
        // A high loss at good parameters, be it this one or the one that was suspected, says that the peak was too low.
        self.peak = Some(loss.max(PEAK_DECAY * peak).max(suspected.unwrap_or(loss)));
        self.at_verified = false;
        Verdict::Good
    }

    /// Takes note that another rule has the parameters restored.
    pub fn restored(&mut self) {
        self.at_verified = true;
    }
}
