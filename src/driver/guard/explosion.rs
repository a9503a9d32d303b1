//! Explosion: a loss far above the highest of late, or a loss or gradient that is not finite.
//!
//! A single batch with an outlier looks like an explosion too, and a single broken example like a wrecked net. So a bad
//! loss is looked at twice: the first time the driver leaves the step out and measures another batch at the same
//! parameters, and only if that is bad too it rolls back. Otherwise the batch was at fault: the guard has learned how
//! high the losses of a good net can be, and a loss that is not finite is only counted. Where such batches are known to
//! be among the data, more than two must be broken in a row before the step is blamed.
//!
//! A classifier whose weights have exploded gets most of its batches right, and its outputs are so large that these have a
//! loss of exactly 0. Such a look acquits nobody of a loss out of all proportion.

use super::Verdict;
use crate::limits::is_count;
use crate::policy::Reason;
use serde::{Deserialize, Serialize};

/// Number of batches in a row, at the same parameters, that must be broken before the step is to blame.
const LOOKS: u64 = 2;
/// The same in a run that has met broken batches before: where one in sixteen is, two in a row come soon.
const LOOKS_AT_BROKEN_DATA: u64 = 4;
/// Factor above the losses that explode beyond which a loss is out of all proportion: no outlier of the data.
const BEYOND_OUTLIERS: f64 = 1000.0;
/// Decay of the peak, per decision.
const PEAK_DECAY: f64 = 0.95;

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Explosion {
    /// Highest good loss of late; none before the first.
    peak: Option<f64>,
    /// Whether the parameters at hand were restored, so that no step since then can be to blame.
    at_verified: bool,
    /// High loss that is suspected, until another batch is looked at; infinite for one that is not finite.
    suspect: Option<f64>,
    /// Number of batches that wait for a second look, because their loss or gradient was not finite.
    n_suspected: u64,
    /// Number of those that were at fault: the parameters turned out to be sound.
    n_broken: u64,
}

impl Explosion {
    /// Judges a loss, which is finite. It explodes above `factor × max(peak, floor)`.
    pub fn check(&mut self, loss: f64, factor: f64, floor: f64) -> Verdict {
        let blameless = self.is_blameless();
        let suspected = self.suspect.take();
        let peak = self.peak.unwrap_or(loss);
        let limit = factor * peak.max(floor);
        let exploded = loss > limit && !blameless;
        if exploded && suspected.is_none() {
            self.suspect = Some(loss);
            return Verdict::Hold { reason: Reason::LossExploded };
        }
        let is_beyond = |suspected: f64| suspected.is_finite() && suspected > BEYOND_OUTLIERS * limit;
        let is_saturated = loss <= 0.0 && suspected.is_some_and(is_beyond);
        if exploded || is_saturated {
            return self.roll_back(Reason::LossExploded);
        }
        // A high loss at good parameters, be it this one or the one that was suspected, says that the peak was too low.
        let seen = suspected.filter(|suspected| suspected.is_finite()).unwrap_or(loss);
        self.peak = Some(loss.max(PEAK_DECAY * peak).max(seen));
        self.acquit();
        self.at_verified = false;
        Verdict::Good
    }

    /// Judges a loss or gradient that is not finite. Parameters that nothing speaks against are not blamed; others are
    /// looked at once more.
    pub fn check_broken(&mut self) -> Verdict {
        let looks = if self.n_broken > 0 { LOOKS_AT_BROKEN_DATA } else { LOOKS };
        let exploded = self.suspect.is_some_and(f64::is_finite);
        if !self.is_blameless() && (exploded || self.n_suspected + 1 >= looks) {
            return self.roll_back(Reason::NonFinite);
        }
        self.left_out();
        Verdict::Hold { reason: Reason::NonFinite }
    }

    /// Takes note of a step that was left out, because its loss or gradient was not finite.
    pub fn left_out(&mut self) {
        if self.is_blameless() {
            self.n_broken += 1;
        } else {
            self.suspect = Some(f64::INFINITY);
            self.n_suspected += 1;
        }
    }

    /// Takes note of a finite loss at the parameters at which another was not finite: the batch was at fault.
    pub fn acquit(&mut self) {
        self.n_broken += std::mem::take(&mut self.n_suspected);
        self.suspect = self.suspect.filter(|suspect| suspect.is_finite());
    }

    fn roll_back(&mut self, reason: Reason) -> Verdict {
        (self.suspect, self.n_suspected, self.at_verified) = (None, 0, true);
        Verdict::RollBack { reason, halve: true }
    }

    /// Whether no step can be to blame: nothing good was seen yet, or the parameters at hand were restored.
    fn is_blameless(&self) -> bool {
        self.peak.is_none() || self.at_verified
    }

    /// Whether a loss that was not finite waits for a second look.
    pub fn suspects_broken(&self) -> bool {
        self.suspect.is_some_and(f64::is_infinite)
    }

    /// Takes the second look, between two decisions: at a finite loss.
    pub fn look_again(&mut self, loss: f64, factor: f64, floor: f64) -> Verdict {
        if self.peak.is_some_and(|peak| loss > factor * peak.max(floor)) {
            return self.roll_back(Reason::LossExploded);
        }
        self.acquit();
        Verdict::Good
    }

    /// Number of batches that were at fault.
    pub fn n_broken(&self) -> u64 {
        self.n_broken
    }

    /// Takes note that another rule has the parameters restored.
    pub fn restored(&mut self) {
        self.at_verified = true;
    }

    /// Whether a run can have left it so.
    pub fn is_sound(&self) -> bool {
        let counts = [self.n_suspected, self.n_broken];
        self.peak.is_none_or(f64::is_finite)
            && !self.suspect.is_some_and(f64::is_nan)
            && counts.into_iter().all(is_count)
    }
}
