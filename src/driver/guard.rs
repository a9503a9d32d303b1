//! Guard: is the net well? Safety outside the policy: it notices a step that wrecked the net, and says when a state is
//! worth keeping.
//!
//! The loss that a training loop sees at step `t` was measured *at the parameters before step `t`*. So when it is good,
//! those very parameters are verified, and the training loop may remember them before it goes on. When it is bad, the
//! loop goes back to what it remembered last, which is older than the wreck. So even a start that wrecks the net in one
//! step is undone.
//!
//! Four rules are asked in this order; the first that finds something wrong decides:
//!
//! | rule | finds | answer |
//! |---|---|---|
//! | explosion | a loss or gradient that is not finite, or a loss far above the highest of late | leave the step out and look again; if that is bad too, roll back and halve |
//! | drift | a level of the loss that rises for long | roll back and halve |
//! | dead start | a run that went far and is no better for it | begin again at a quarter of the rate |
//! | first step | a first step longer than allowed | begin again at the rate whose first step is as long as allowed |
//!
//! Losses that have been below their floor are no distances: of them only what is not finite is bad.
//!
//! The rate at which a step was last undone (the *ceiling*) is shown to the policy. After a step was undone, and after
//! a run was given up, each of the next [`RECOVERY_STEPS`] steps is a decision.

mod dead_start;
mod drift;
mod explosion;
mod first_step;
#[cfg(test)]
mod tests;

use crate::limits::{OutOfRange, is_positive, within};
use crate::policy::{LossWindow, Measured, Reason};
use dead_start::{DeadStart, GIVEN_UP};
use drift::Drift;
use explosion::Explosion;
use first_step::FirstStep;
use serde::{Deserialize, Serialize};

/// Share of the first loss below which losses count as noise. So the noise of a nearly solved task looks neither like
/// an explosion nor like a drift.
const FLOOR: f64 = 0.1;
/// Number of steps after a rollback or a dead start at each of which a decision is taken.
pub const RECOVERY_STEPS: u64 = 8;

/// Configuration of the guard's rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuardConfig {
    /// Factor above which a loss is bad: `explosion × max(peak, 0.1 × first loss)`, where the peak is the highest loss
    /// of late. In (1, ∞), default 2.
    pub explosion: f64,
    /// Factor above which the level of the loss, an average over about ten steps, is bad, if by more than its noise:
    /// `drift × max(its lowest, 0.1 × first loss)`. In (1, ∞), default none: the level may rise.
    pub drift: Option<f64>,
    /// Share of the first loss that a run must get below. Where the average loss is above it by more than its noise at
    /// step 16, 32, 64, ... or 1024, and the parameters went far, the run begins again. In [0, 1], default 0.95; 0:
    /// never.
    pub restart: f64,
    /// Longest first step that is allowed, as a share of the norm of the parameters. After a longer one the run begins
    /// again, with the learning rate whose first step has that length. In (0, ∞), default none: any length.
    pub first_update: Option<f64>,
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self { explosion: 2.0, drift: None, restart: 0.95, first_update: None }
    }
}

impl GuardConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// When one is outside its range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let above_one = |v: f64| 1.0 < v && v.is_finite();
        let (drift, first_update) = (self.drift.unwrap_or(2.0), self.first_update.unwrap_or(1.0));
        within("explosion", self.explosion, above_one(self.explosion), "greater than 1")?;
        within("drift", drift, above_one(drift), "greater than 1")?;
        within("restart", self.restart, (0.0..=1.0).contains(&self.restart), "in [0, 1]")?;
        within("first_update", first_update, is_positive(first_update), "positive")
    }
}

/// Verdict on the parameters at which the newest losses were measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Verdict {
    /// Good: the parameters are verified.
    Good,
    /// Suspect: another batch is to be looked at.
    Hold { reason: Reason },
    /// Bad: back to what was verified last. `halve`: whether the learning rate is to blame. It is not where these very
    /// parameters had been verified.
    RollBack { reason: Reason, halve: bool },
    /// Hopeless: back to the start, with the learning rate times `lr_factor`.
    Restart { reason: Reason, lr_factor: f64 },
}

/// Guard of one run: its rules, with what they remember.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Guard {
    config: GuardConfig,
    /// The first finite loss.
    first: Option<f64>,
    ceiling: Option<f64>,
    /// Whether a loss was below the floor, so that ratios of losses mean nothing.
    below_floor: bool,
    explosion: Explosion,
    drift: Drift,
    dead_start: DeadStart,
    first_step: FirstStep,
}

impl Guard {
    /// Makes a guard that has seen nothing yet.
    pub fn new(config: GuardConfig) -> Self {
        Self {
            config,
            first: None,
            ceiling: None,
            below_floor: false,
            explosion: Explosion::default(),
            drift: Drift::default(),
            dead_start: DeadStart::default(),
            first_step: FirstStep::default(),
        }
    }

    /// Judges the losses since the last decision, all finite, and through them the parameters that the newest were
    /// measured at. `may_restart`: whether the host still has the state before the first step.
    pub fn check(&mut self, window: &LossWindow, step: u64, may_restart: bool) -> Verdict {
        let loss = window.recent;
        let first = *self.first.get_or_insert(loss);
        let (factor, floor) = self.explodes_at();
        let verdict = self.explosion.check(loss, factor, floor);
        if verdict == Verdict::Good && !self.below_floor {
            self.dead_start.follow(loss);
            return self.check_level(window, first, step, may_restart);
        }
        self.take_note(verdict)
    }

    /// Judges a step whose loss or gradient is not finite.
    pub fn check_broken(&mut self) -> Verdict {
        let verdict = self.explosion.check_broken();
        self.take_note(verdict)
    }

    /// Whether a loss that was not finite waits for a second look.
    pub fn suspects_broken(&self) -> bool {
        self.explosion.suspects_broken()
    }

    /// Takes that second look, between two decisions: at a finite loss.
    pub fn look_again(&mut self, loss: f64) -> Verdict {
        let (factor, floor) = self.explodes_at();
        let verdict = self.explosion.look_again(loss, factor, floor);
        self.take_note(verdict)
    }

    /// Takes note of a step before the coming one, told only now: the host left it out by itself unless its loss is
    /// finite. The parameters stayed where they were, so a finite loss after others is their second look.
    pub fn told(&mut self, is_finite: bool) {
        if is_finite { self.explosion.acquit() } else { self.explosion.left_out() }
    }

    /// Number of batches whose loss or gradient was not finite, at parameters that are sound.
    pub fn broken_batches(&self) -> u64 {
        self.explosion.n_broken()
    }

    /// Takes note that a loss was below the floor.
    pub fn losses_are_below_floor(&mut self) {
        self.below_floor = true;
    }

    /// Configuration.
    pub fn config(&self) -> &GuardConfig {
        &self.config
    }

    /// Factor and floor of the rule of explosions.
    fn explodes_at(&self) -> (f64, f64) {
        if self.below_floor { (f64::INFINITY, 1.0) } else { (self.config.explosion, FLOOR * self.first.unwrap_or(0.0)) }
    }

    fn take_note(&mut self, verdict: Verdict) -> Verdict {
        if let Verdict::RollBack { .. } = verdict {
            self.dead_start.restored();
        }
        verdict
    }

    /// Asks the rules that look at more than one loss.
    fn check_level(&mut self, window: &LossWindow, first: f64, step: u64, may_restart: bool) -> Verdict {
        if self.drift.check(window, self.config.drift, FLOOR * first) {
            self.explosion.restored();
            self.dead_start.restored();
            return Verdict::RollBack { reason: Reason::LossDrifted, halve: true };
        }
        if may_restart && self.dead_start.check(step, first, self.config.restart, self.drift.noise()) {
            self.explosion.restored();
            self.drift.forget();
            return Verdict::Restart { reason: Reason::GotNowhere, lr_factor: GIVEN_UP };
        }
        Verdict::Good
    }

    /// Judges the length of the first step, once that is measured.
    pub fn check_first_step(&mut self, measured: &Measured, may_restart: bool) -> Verdict {
        let excess = self.config.first_update.and_then(|allowed| self.first_step.check(measured, allowed));
        match excess.filter(|_| may_restart) {
            Some(excess) => Verdict::Restart { reason: Reason::FirstStepTooFar, lr_factor: 1.0 / excess },
            None => Verdict::Good,
        }
    }

    /// Takes note of the measurement of a decision.
    pub fn measured(&mut self, measured: &Measured) {
        self.dead_start.measured(measured);
    }

    /// Takes note of the learning rate at which a step was undone.
    pub fn undone_at(&mut self, lr: f64) {
        self.ceiling = Some(lr);
    }

    /// Learning rate at which a step was last undone.
    pub fn ceiling(&self) -> Option<f64> {
        self.ceiling
    }

    /// Whether a later check may still say [`Verdict::Restart`].
    pub fn may_restart(&self) -> bool {
        let dead_start = self.config.restart > 0.0 && self.dead_start.is_open();
        dead_start || (self.config.first_update.is_some() && self.first_step.is_open())
    }

    /// Whether a run can have left it so.
    pub fn is_sound(&self) -> bool {
        let numbers = self.first.is_none_or(f64::is_finite) && self.ceiling.is_none_or(is_positive);
        let rules = self.explosion.is_sound() && self.drift.is_sound();
        numbers && rules && self.dead_start.is_sound() && self.first_step.is_sound()
    }
}
