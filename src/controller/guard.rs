//! Safety outside the network: notices a step that wrecked the net, and says when a snapshot is worth keeping.
//!
//! The loss that a training loop sees at step `t` was measured *at the parameters before step `t`*. So when it is good, those very
//! parameters are verified, and the training loop may snapshot them before it goes on; when it is bad, it restores the last snapshot.
//! A start high enough to wreck the net in one step is therefore undone: the snapshot is older than the wreck.
//!
//! A single batch with an outlier looks like an explosion too. So a loss that is high but finite is looked at twice: the guard first asks to
//! hold, that is to measure another batch at the same parameters, and only if that is bad too it rolls back.

use super::signals::LossWindow;
use crate::policy::Reason;
use serde::{Deserialize, Serialize};

/// When a loss counts as exploded.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `explosion` | 1.5 | a loss above `explosion × max(peak, floor × first loss)` is bad; peak: the highest loss of late | (1, ∞) |
/// | `floor` | 0.1 | keeps the noise of a nearly solved task from looking like an explosion | [0, ∞) |
/// | `peak_decay` | 0.98 | what is left of the peak after a decision | [0, 1) |
/// | `loss_floor` | 0 | subtracted from every loss, where losses may be negative | finite |
/// | `recovery_steps` | 8 | after a rollback, decide at every step for so long | [1, ∞) |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GuardConfig {
    /// See the table.
    pub explosion: f64,
    /// See the table.
    pub floor: f64,
    /// See the table.
    pub peak_decay: f64,
    /// See the table.
    pub loss_floor: f64,
    /// See the table.
    pub recovery_steps: u64,
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self { explosion: 1.5, floor: 0.1, peak_decay: 0.98, loss_floor: 0.0, recovery_steps: 8 }
    }
}

impl GuardConfig {
    /// The first field outside its range, as (name, value, what was allowed).
    pub fn invalid_field(&self) -> Option<(&'static str, f64, &'static str)> {
        let checks = [
            ("explosion", self.explosion, 1.0 < self.explosion && self.explosion.is_finite(), "greater than 1"),
            ("floor", self.floor, 0.0 <= self.floor && self.floor.is_finite(), "at least 0"),
            ("peak-decay", self.peak_decay, (0.0..1.0).contains(&self.peak_decay), "in [0, 1)"),
            ("loss-floor", self.loss_floor, self.loss_floor.is_finite(), "finite"),
            ("recovery-steps", self.recovery_steps as f64, 1 <= self.recovery_steps, "at least 1"),
        ];
        checks.into_iter().find(|check| !check.2).map(|(name, value, _, allowed)| (name, value, allowed))
    }
}

/// What the guard says of the parameters at which the newest losses were measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Verified: snapshot them, decide, go on.
    Good,
    /// Suspect: do not apply the step, leave everything as it is, and show the guard another loss at the same parameters.
    Hold,
    /// Do not apply the step; restore the last snapshot.
    RollBack {
        /// What was wrong.
        reason: Reason,
        /// Whether the step size is to blame. It is not where the loss is bad at parameters that were verified before.
        halve: bool,
    },
}

/// Watches the losses of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guard {
    config: GuardConfig,
    peak: Option<f64>,
    first: f64,
    at_verified: bool,
    suspect: bool,
}

impl Guard {
    /// A guard that has seen nothing yet.
    pub fn new(config: GuardConfig) -> Self {
        Self { config, peak: None, first: 0.0, at_verified: false, suspect: false }
    }

    /// The configuration.
    pub fn config(&self) -> &GuardConfig {
        &self.config
    }

    /// Judges the newest losses and, through them, the parameters they were measured at.
    pub fn check(&mut self, window: &LossWindow, grad_is_finite: bool) -> Verdict {
        // Until the first good loss, and right after a rollback, no step of ours led here.
        let blameless = self.peak.is_none() || self.at_verified;
        let loss = window.recent - self.config.loss_floor;
        let suspected = std::mem::take(&mut self.suspect);
        if !window.is_finite() || !grad_is_finite {
            self.at_verified = true;
            return Verdict::RollBack { reason: Reason::NonFinite, halve: !blameless };
        }
        let peak = self.peak.unwrap_or(loss);
        if self.peak.is_none() {
            self.first = loss;
        }
        let exploded = loss > self.config.explosion * peak.max(self.config.floor * self.first);
        if exploded && !blameless && !suspected {
            self.suspect = true;
            return Verdict::Hold;
        }
        if exploded && !blameless {
            self.at_verified = true;
            return Verdict::RollBack { reason: Reason::LossExploded, halve: true };
        }
        // Here also comes a high loss at parameters known to be good: it says that the peak was too low, not that they are bad.
        self.peak = Some(loss.max(self.config.peak_decay * peak));
        self.at_verified = false;
        Verdict::Good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(guard: &mut Guard, loss: f32) -> Verdict {
        guard.check(&LossWindow::of(&[loss]), true)
    }

    #[test]
    fn an_explosion_is_blamed_on_the_step_and_a_nan_too() {
        let mut guard = Guard::new(GuardConfig::default());
        assert_eq!(check(&mut guard, 2.0), Verdict::Good);
        assert_eq!(check(&mut guard, 9.0), Verdict::Hold);
        assert_eq!(check(&mut guard, 9.0), Verdict::RollBack { reason: Reason::LossExploded, halve: true });
        assert_eq!(check(&mut guard, 2.0), Verdict::Good);
        assert_eq!(check(&mut guard, f32::NAN), Verdict::RollBack { reason: Reason::NonFinite, halve: true });
    }

    #[test]
    fn a_nan_at_restored_parameters_does_not_halve_for_ever() {
        let mut guard = Guard::new(GuardConfig::default());
        check(&mut guard, 2.0);
        check(&mut guard, f32::NAN);
        assert_eq!(check(&mut guard, f32::NAN), Verdict::RollBack { reason: Reason::NonFinite, halve: false });
    }

    #[test]
    fn a_high_loss_at_verified_parameters_raises_the_peak() {
        let mut guard = Guard::new(GuardConfig::default());
        check(&mut guard, 1.0);
        assert_eq!(check(&mut guard, 50.0), Verdict::Hold);
        assert_ne!(check(&mut guard, 50.0), Verdict::Good);
        assert_eq!(check(&mut guard, 50.0), Verdict::Good, "the restored parameters are not at fault");
        assert_eq!(check(&mut guard, 60.0), Verdict::Good);
    }

    #[test]
    fn the_noise_of_a_nearly_solved_task_is_no_explosion() {
        let mut guard = Guard::new(GuardConfig::default());
        check(&mut guard, 3.0);
        for _ in 0..100 {
            assert_eq!(check(&mut guard, 1e-3), Verdict::Good);
        }
        assert_eq!(check(&mut guard, 0.5), Verdict::Good);
        assert_ne!(check(&mut guard, 2.0), Verdict::Good);
    }

    #[test]
    fn one_batch_with_an_outlier_costs_one_step_and_no_halving() {
        let mut guard = Guard::new(GuardConfig::default());
        check(&mut guard, 1.0);
        for _ in 0..5 {
            assert_eq!(check(&mut guard, 30.0), Verdict::Hold);
            assert_eq!(check(&mut guard, 1.0), Verdict::Good);
        }
    }

    #[test]
    fn a_loss_above_that_of_the_untrained_net_is_an_explosion_until_training_shows_such_noise() {
        let mut guard = Guard::new(GuardConfig::default());
        check(&mut guard, 3.0);
        assert_eq!(check(&mut guard, 5.0), Verdict::Hold);
        assert_eq!(check(&mut guard, 5.0), Verdict::RollBack { reason: Reason::LossExploded, halve: true });
        assert_eq!(check(&mut guard, 5.0), Verdict::Good, "a batch of heavy tails at the parameters of the start");
        assert_eq!(check(&mut guard, 5.0), Verdict::Good);
    }

    #[test]
    fn every_edge_of_the_table_is_checked() {
        let bad = [
            GuardConfig { explosion: 1.0, ..Default::default() },
            GuardConfig { floor: -0.1, ..Default::default() },
            GuardConfig { peak_decay: 1.0, ..Default::default() },
            GuardConfig { loss_floor: f64::NAN, ..Default::default() },
            GuardConfig { recovery_steps: 0, ..Default::default() },
        ];
        assert!(bad.iter().all(|config| config.invalid_field().is_some()));
        assert!(GuardConfig::default().invalid_field().is_none());
    }
}
