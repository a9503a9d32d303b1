//! State of a driver: what it holds, and what of it a run can have left so.

use super::cooldown::Rate;
use super::guard::{Guard, RECOVERY_STEPS};
use super::losses::Losses;
use super::{DecisionCounts, DriverConfig, DriverError};
use crate::artifact::exact;
use crate::limits::{OutOfRange, is_count, is_positive, within};
use serde::{Deserialize, Serialize};

/// State of a driver: everything in it that later steps depend on.
///
/// With serde it comes back to the bit from every format: in formats of text, such as JSON, it is one text of
/// hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriverState(#[serde(with = "exact")] pub(super) State);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) rate: Rate,
    pub(super) lr_base: f64,
    /// Learning rate at the start or, where the first step was too long, the one after that.
    pub(super) lr_first: f64,
    pub(super) weight_decay: f64,
    pub(super) weight_decay_base: f64,
    pub(super) step: u64,
    pub(super) next_decision: u64,
    pub(super) recover_until: u64,
    /// Losses since the last decision, less the floor.
    pub(super) window: Vec<f32>,
    /// Number of steps since the last loss was told: a host may hand its losses over at the next decision.
    pub(super) untold: u64,
    pub(super) losses: Losses,
    pub(super) validation: Option<f64>,
    pub(super) guard: Option<Guard>,
    /// Whether the host still has the state that was kept first.
    pub(super) first_is_kept: bool,
    pub(super) counts: DecisionCounts,
    pub(super) rollbacks: u64,
    pub(super) policy: Vec<u8>,
}

impl State {
    /// State at step 0.
    pub(super) fn new(lr: f64, weight_decay: f64, config: &DriverConfig) -> Self {
        Self {
            rate: Rate { lr, cooldown: None },
            lr_base: lr,
            lr_first: lr,
            weight_decay,
            weight_decay_base: weight_decay,
            step: 0,
            next_decision: 0,
            recover_until: 0,
            window: Vec::new(),
            untold: 0,
            losses: Losses::default(),
            validation: None,
            guard: config.guard.clone().map(Guard::new),
            first_is_kept: true,
            counts: DecisionCounts::default(),
            rollbacks: 0,
            policy: Vec::new(),
        }
    }

    /// Checks that a driver of this configuration can have left it so.
    pub(super) fn check(&self, config: &DriverConfig) -> Result<(), DriverError> {
        config.check(self.rate.lr, self.weight_decay)?;
        self.rate.check(self.step)?;
        config.check(self.lr_base, self.weight_decay_base)?;
        within("lr_first", self.lr_first, is_positive(self.lr_first), "a positive number")?;
        match (&self.guard, &config.guard) {
            (Some(guard), Some(own)) if guard.config() != own => return Err(DriverError::GuardConfig),
            (Some(_), Some(_)) | (None, None) => {}
            (Some(_), None) => return Err(DriverError::Guard { saved: "with" }),
            (None, Some(_)) => return Err(DriverError::Guard { saved: "without" }),
        }
        self.check_counts(config)?;
        let sound = self.losses.is_sound() && self.guard.as_ref().is_none_or(Guard::is_sound);
        if sound { Ok(()) } else { Err(DriverError::Damaged) }
    }

    fn check_counts(&self, config: &DriverConfig) -> Result<(), OutOfRange> {
        let DecisionCounts { halve, accept, grow } = self.counts;
        let (step, allowed) = (self.step, "a number of steps that a run can have");
        let counts =
            [("step", step), ("rollbacks", self.rollbacks), ("halve", halve), ("accept", accept), ("grow", grow)];
        for (key, n) in counts {
            within(key, n as f64, is_count(n), allowed)?;
        }
        // A decision that is due later was taken by another pace, or by none.
        let latest = step.saturating_add(config.pace.interval(step));
        within("next_decision", self.next_decision as f64, self.next_decision <= latest, allowed)?;
        let recovers = self.recover_until <= step + RECOVERY_STEPS;
        within("recover_until", self.recover_until as f64, recovers, allowed)?;
        within("untold", self.untold as f64, self.untold <= step, allowed)
    }
}
