//! Losses: what must be true of them, and what is noticed where it is not.
//!
//! Guard and controllers compare losses as ratios: twice the highest of late, a tenth of the first, the logarithm of
//! one over another. So a loss must be a *distance*: at least 0 (or `loss_floor`, where one is given), and near that for
//! a net that has learned all there is to learn. Two kinds are none, and each is said once:
//!
//! - A loss below the floor (the critic of a Wasserstein GAN, a log-likelihood, a reward with its sign turned). From
//!   there on only what is not finite counts as bad, and a controller leaves the rates as they are.
//! - A loss that falls, by far more than its noise, and still by less than a tenth after [`ASKED_AT`] steps: a constant
//!   may be part of it, under which all progress looks small. Nothing is done about that.

use serde::{Deserialize, Serialize};

/// Share of the first loss by which a loss may lie below the floor for reasons of rounding.
const ROUNDING: f64 = 1e-6;
/// Number of steps after which the fall of the losses is looked at.
const ASKED_AT: u64 = 512;
/// Number of steps at the start, and before the look, whose losses are compared.
const COMPARED: u64 = 64;
/// Share of the loss below which its fall is small.
const SMALL: f64 = 0.1;
/// Number of standard errors above which the fall is no noise.
const STANDARD_ERRORS: f64 = 6.0;

/// What is known of the losses as such, less the floor.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Losses {
    first: Option<f64>,
    /// Whether one was below the floor.
    below_floor: bool,
    early: Block,
    late: Block,
    /// Whether the fall was looked at.
    is_asked: bool,
}

/// Sums over some losses.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Block {
    n: f64,
    sum: f64,
    squares: f64,
}

/// Something about the losses that is to be said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Notice {
    /// A loss was below the floor.
    BelowFloor,
    /// The losses fall, but only a little of them.
    Hovers,
}

impl Losses {
    /// Takes in a loss at a step. Returns what is noticed for the first time.
    pub fn see(&mut self, loss: f64, step: u64) -> Option<Notice> {
        if !loss.is_finite() {
            return None;
        }
        let first = *self.first.get_or_insert(loss);
        if loss < -ROUNDING * first.abs() && !self.below_floor {
            self.below_floor = true;
            return Some(Notice::BelowFloor);
        }
        if self.is_asked {
            return None;
        }
        match step {
            step if step < COMPARED => self.early.add(loss),
            step if step >= ASKED_AT => {
                self.is_asked = true;
                return (!self.below_floor && self.hovers()).then_some(Notice::Hovers);
            }
            step if step >= ASKED_AT - COMPARED => self.late.add(loss),
            _ => {}
        }
        None
    }

    /// Whether a loss was below the floor.
    pub fn below_floor(&self) -> bool {
        self.below_floor
    }

    fn hovers(&self) -> bool {
        let ([early, early_error], [late, late_error]) = (self.early.mean(), self.late.mean());
        let fall = early - late;
        fall > STANDARD_ERRORS * (early_error + late_error).sqrt() && fall < SMALL * late
    }

    /// Whether a run can have left it so.
    pub fn is_sound(&self) -> bool {
        let sums = |block: Block| block.n >= 0.0 && block.n.is_finite() && block.sum.is_finite();
        self.first.is_none_or(f64::is_finite) && sums(self.early) && sums(self.late)
    }
}

impl Block {
    fn add(&mut self, loss: f64) {
        self.n += 1.0;
        self.sum += loss;
        self.squares += loss * loss;
    }

    /// Mean, and the square of its standard error; NaN where there is nothing.
    fn mean(&self) -> [f64; 2] {
        let mean = self.sum / self.n;
        [mean, (self.squares / self.n - mean * mean).max(0.0) / self.n]
    }
}

impl Notice {
    /// Says it, in a warning.
    pub fn say(self, step: u64, loss: f64) {
        match self {
            Self::BelowFloor => tracing::warn!(
                step,
                loss,
                "a loss is below its floor: it is no distance from zero, so ratios of losses mean nothing; the learning rate \
                 stays as it is from here on, and only losses and gradients that are not finite are undone. Where there is \
                 a number below all losses, give it as the loss floor"
            ),
            Self::Hovers => tracing::warn!(
                step,
                loss,
                "the loss falls, but by less than a tenth of it so far: if a constant is part of the loss, give that as the \
                 loss floor, because progress is judged by ratios"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notices(loss: impl Fn(u64) -> f64) -> Vec<(u64, Notice)> {
        let mut losses = Losses::default();
        (0..2000).filter_map(|step| losses.see(loss(step), step).map(|notice| (step, notice))).collect()
    }

    /// Noise without a pattern, between -1 and 1.
    fn noise(step: u64) -> f64 {
        (step as f64 * 12.9898).sin()
    }

    #[test]
    fn a_loss_below_the_floor_is_noticed_once_and_rounding_is_not() {
        assert_eq!(notices(|step| 1.0 - 0.01 * step as f64), [(101, Notice::BelowFloor)]);
        assert_eq!(notices(|_| -3.0), [(0, Notice::BelowFloor)]);
        assert_eq!(notices(|step| if step == 0 { 1.0 } else { -1e-7 }), []);
        assert_eq!(notices(|step| if step == 3 { f64::NEG_INFINITY } else { 1.0 / (1 + step) as f64 }), []);
    }

    #[test]
    fn a_constant_that_hides_the_progress_is_noticed_and_a_loss_that_is_hard_to_learn_is_not() {
        let falling = |step: u64| (-0.01 * step as f64).exp() + 0.1 * noise(step).abs();
        assert_eq!(notices(|step| 100.0 + falling(step)), [(512, Notice::Hovers)]);
        assert_eq!(notices(falling), []);
        assert_eq!(notices(|step| 2.3 + 0.3 * noise(step)), [], "it does not fall");
        assert_eq!(notices(|_| 2.3), []);
        assert_eq!(notices(|step| if step < 600 { f64::NAN } else { 1.0 }), []);
    }
}
