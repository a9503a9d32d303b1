//! Pace: when, and how far? The steps at which decisions are taken, what a move counts, the schedule underneath, and
//! the bounds.

use crate::limits::{OutOfRange, within};
use crate::policy::{Action, Decision, Reason};
use serde::{Deserialize, Serialize};

/// Steps at which decisions are taken, and what they count: every step while probing, then fixed or growing intervals
/// (docs/DESIGN.md, *When are decisions taken?*).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pace {
    /// Number of first steps at each of which a decision is taken: ×1.25 needs 41 moves for four decades. In [0, ∞),
    /// default 64.
    pub probe_steps: u64,
    /// Number of decisions per doubling of the step count after that. In [1, 1000], default 8.
    pub per_doubling: u32,
    /// Number of steps between two decisions after probing, instead of `per_doubling`. In [1, ∞), default none.
    pub fixed: Option<u64>,
    /// Share of a known budget over whose end the learning rate falls linearly to 0, underneath the decisions. In [0,
    /// 1], default 0.
    pub cooldown: f64,
    /// Number of times that a move of the weight decay counts (3: ⅛ and 1.95). The weight decay acts slowly, so small
    /// moves are lost in noise. Not used in line searches. In [1, 8], default 1.
    pub weight_decay_power: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { probe_steps: 64, per_doubling: 8, fixed: None, cooldown: 0.0, weight_decay_power: 1 }
    }
}

impl Pace {
    /// Pace with a decision at every `n_steps`-th step, and no cooldown.
    ///
    /// ```
    /// use qgd::driver::Pace;
    /// assert_eq!(Pace::every(3).interval(0), 3);
    /// ```
    pub fn every(n_steps: u64) -> Self {
        Self { probe_steps: 0, fixed: Some(n_steps), ..Self::default() }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// When one is outside its range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let (per_doubling, power) = (self.per_doubling, self.weight_decay_power);
        within("per_doubling", per_doubling.into(), (1..=1000).contains(&per_doubling), "in [1, 1000]")?;
        within("fixed", 0.0, self.fixed != Some(0), "at least 1")?;
        within("cooldown", self.cooldown, (0.0..=1.0).contains(&self.cooldown), "in [0, 1]")?;
        within("weight_decay_power", power.into(), (1..=8).contains(&power), "in [1, 8]")
    }

    /// Number of steps to the next decision, for one taken at `step`.
    ///
    /// ```
    /// use qgd::driver::Pace;
    /// let pace = Pace::default();
    /// assert_eq!([10, 100, 10_000].map(|step| pace.interval(step)), [1, 9, 905]);
    /// ```
    pub fn interval(&self, step: u64) -> u64 {
        if step < self.probe_steps {
            return 1;
        }
        let growth = 2f64.powf(1.0 / f64::from(self.per_doubling.max(1))) - 1.0;
        self.fixed.unwrap_or((step as f64 * growth) as u64).max(1)
    }

    /// Factor of the learning rate at `step`. It is 1; over the last `cooldown × total_steps` steps of a known budget
    /// it falls linearly, and would be 0 at the step after the last. A run that goes on beyond its budget keeps the
    /// factor of the last step.
    ///
    /// Linear to zero: Defazio et al. 2023 (arXiv 2310.07831) derive it as the best decay for the last iterate.
    ///
    /// ```
    /// use qgd::driver::Pace;
    ///
    /// let pace = Pace { cooldown: 0.5, ..Pace::default() };
    /// assert_eq!([0, 50, 75, 99, 200].map(|step| pace.base_factor(step, Some(100))), [1.0, 1.0, 0.5, 0.02, 0.02]);
    /// assert_eq!(pace.base_factor(99, None), 1.0);
    /// ```
    pub fn base_factor(&self, step: u64, total_steps: Option<u64>) -> f64 {
        let Some(total) = total_steps else { return 1.0 };
        let left = total.saturating_sub(step).max(1) as f64;
        (left / (self.cooldown * total as f64)).min(1.0)
    }

    /// Decision that `action` stands for.
    ///
    /// ```
    /// use qgd::driver::Pace;
    /// use qgd::{Action, Move, Reason};
    /// let pace = Pace { weight_decay_power: 3, ..Pace::default() };
    /// let decision = pace.decision(Action { lr: Move::Halve, weight_decay: Move::Halve }, Reason::Policy);
    /// assert_eq!((decision.lr_factor, decision.weight_decay_factor), (0.5, 0.125));
    /// ```
    pub fn decision(&self, action: Action, reason: Reason) -> Decision {
        let decision = Decision::of(action, reason);
        let weight_decay_factor = decision.weight_decay_factor.powi(self.weight_decay_power as i32);
        Decision { weight_decay_factor, ..decision }
    }
}

/// Bounds of the controlled values, each `[low, high]` with 0 < low ≤ high.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// Bounds of the learning rate. Default [1e-8, 100].
    pub lr: [f64; 2],
    /// Bounds of a weight decay that is not 0. Default [1e-8, 10].
    pub weight_decay: [f64; 2],
}

impl Default for Bounds {
    fn default() -> Self {
        Self { lr: [1e-8, 1e2], weight_decay: [1e-8, 10.0] }
    }
}

impl Bounds {
    /// Checks both bounds.
    ///
    /// # Errors
    /// Unless `0 < low <= high`, all finite.
    pub fn check(&self) -> Result<(), OutOfRange> {
        for (key, [low, high]) in [("lr", self.lr), ("weight_decay", self.weight_decay)] {
            within(key, low, 0.0 < low && low <= high && high.is_finite(), "[low, high] with 0 < low <= high")?;
        }
        Ok(())
    }
}

/// Cuts `value` to `bounds`, which are widened to hold the start value `base`. Zero stays zero: it means *off*.
pub(super) fn clamp(value: f64, bounds: [f64; 2], base: f64) -> f64 {
    if value == 0.0 { 0.0 } else { value.clamp(bounds[0].min(base), bounds[1].max(base)) }
}
