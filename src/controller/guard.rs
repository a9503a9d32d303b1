//! Safety outside the network: notices a step that wrecked the net, and says when a snapshot is worth keeping.
//!
//! The loss that a training loop sees at step `t` was measured *at the parameters before step `t`*. So when it is good, those very
//! parameters are verified, and the training loop may snapshot them before it goes on; when it is bad, it restores the last snapshot.
//! A start high enough to wreck the net in one step is therefore undone: the snapshot is older than the wreck.
//!
//! A single batch with an outlier looks like an explosion too. So a loss that is high but finite is looked at twice: the guard first asks to
//! hold, that is to measure another batch at the same parameters, and only if that is bad too it rolls back. Else it has learned how high
//! the losses of a good net can be.
//!
//! Some wrecks do not explode: a net whose units have all died or saturated has a loss like that of the untrained net, and learns no more.
//! So where a run went far in its first steps and is no better for it, it starts again from where it began: there is nothing to lose. The
//! learning rate that was found meanwhile is kept.

use super::signals::LossWindow;
use crate::policy::Reason;
use serde::{Deserialize, Serialize};

/// When a loss counts as exploded.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `explosion` | 2 | a loss above `explosion × max(peak, floor × first loss)` is bad; peak: the highest loss of late | (1, ∞) |
/// | `floor` | 0.1 | keeps the noise of a nearly solved task from looking like an explosion | [0, ∞) |
/// | `peak_decay` | 0.95 | what is left of the peak after a decision | [0, 1) |
/// | `restart` | 0.95 | at steps 16, 32 and 64, parameters that went far while the loss is still above `restart × first loss` are given up; 0: never | [0, 1] |
/// | `drift` | none | an average over about ten steps above `drift × max(its lowest, floor × first loss)` is bad too: a rate too high for long, where no single step explodes | (1, ∞) |
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
    pub restart: f64,
    /// See the table.
    pub drift: Option<f64>,
    /// See the table.
    pub loss_floor: f64,
    /// See the table.
    pub recovery_steps: u64,
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self {
            explosion: 2.0,
            floor: 0.1,
            peak_decay: 0.95,
            restart: 0.95,
            drift: None,
            loss_floor: 0.0,
            recovery_steps: 8,
        }
    }
}

impl GuardConfig {
    /// The first field outside its range, as (name, value, what was allowed).
    pub fn invalid_field(&self) -> Option<(&'static str, f64, &'static str)> {
        let drift = self.drift.unwrap_or(2.0);
        let checks = [
            ("drift", drift, 1.0 < drift && drift.is_finite(), "greater than 1"),
            ("explosion", self.explosion, 1.0 < self.explosion && self.explosion.is_finite(), "greater than 1"),
            ("floor", self.floor, 0.0 <= self.floor && self.floor.is_finite(), "at least 0"),
            ("peak-decay", self.peak_decay, (0.0..1.0).contains(&self.peak_decay), "in [0, 1)"),
            ("restart", self.restart, (0.0..=1.0).contains(&self.restart), "in [0, 1]"),
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
    /// Do not apply the step; restore the state before the very first step.
    Restart,
}

/// Watches the losses of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guard {
    config: GuardConfig,
    peak: Option<f64>,
    first: f64,
    average: f64,
    /// The average over about ten steps, and its lowest.
    drifting: Option<[f64; 2]>,
    at_verified: bool,
    suspect: Option<f64>,
}

/// The steps at which a run may be given up and begun again.
const RESTART_STEPS: [u64; 3] = [16, 32, 64];
/// Memory of the loss average that a restart looks at, per decision: about four steps while probing.
const AVERAGE_DECAY: f64 = 0.8;
/// Memory per step of the loss average that tells of a drift.
const DRIFT_DECAY: f64 = 0.9;

impl Guard {
    /// A guard that has seen nothing yet.
    pub fn new(config: GuardConfig) -> Self {
        Self { config, peak: None, first: 0.0, average: 0.0, drifting: None, at_verified: false, suspect: None }
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
            (self.first, self.average) = (loss, loss);
        }
        let exploded = loss > self.config.explosion * peak.max(self.config.floor * self.first);
        if exploded && !blameless && suspected.is_none() {
            self.suspect = Some(loss);
            return Verdict::Hold;
        }
        if exploded && !blameless {
            self.at_verified = true;
            return Verdict::RollBack { reason: Reason::LossExploded, halve: true };
        }
        // A high loss at good parameters, be it this one or the one that was suspected, says that the peak was too low.
        self.peak = Some(loss.max(self.config.peak_decay * peak).max(suspected.unwrap_or(loss)));
        self.average += (1.0 - AVERAGE_DECAY) * (loss - self.average);
        self.at_verified = false;
        if self.drifts(window) {
            self.at_verified = true;
            return Verdict::RollBack { reason: Reason::LossDrifted, halve: true };
        }
        Verdict::Good
    }

    /// Whether the loss has been rising for long: its average over about ten steps is far above the lowest that this average has been.
    fn drifts(&mut self, window: &LossWindow) -> bool {
        let Some(drift) = self.config.drift else { return false };
        let loss = window.mean - self.config.loss_floor;
        let [average, lowest] = self.drifting.unwrap_or([loss, loss]);
        let average = loss + DRIFT_DECAY.powi(window.n as i32) * (average - loss);
        let drifts = average > drift * lowest.max(self.config.floor * self.first);
        // Judged anew from here on, with half the rate.
        self.drifting = Some([average, if drifts { average } else { lowest.min(average) }]);
        drifts
    }

    /// Whether [`Guard::gives_up`] may still say so after `step`.
    pub(super) fn may_give_up(&self, step: u64) -> bool {
        self.config.restart > 0.0 && RESTART_STEPS.iter().any(|&later| step < later)
    }

    /// Whether a run that `went_far` is no better for it at `step`, so that it shall begin again. The guard then expects that.
    pub(super) fn gives_up(&mut self, step: u64, went_far: bool) -> bool {
        let lost = went_far && RESTART_STEPS.contains(&step) && self.average > self.config.restart * self.first;
        let gives_up = lost && self.config.restart > 0.0;
        if gives_up {
            (self.at_verified, self.average) = (true, self.first);
        }
        gives_up
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
        assert_eq!(check(&mut guard, 30.0), Verdict::Hold);
        for _ in 0..5 {
            assert_eq!(check(&mut guard, 1.0), Verdict::Good);
            assert_eq!(check(&mut guard, 30.0), Verdict::Good);
        }
    }

    #[test]
    fn a_false_alarm_teaches_how_high_losses_can_be() {
        let mut guard = Guard::new(GuardConfig::default());
        check(&mut guard, 1.0);
        assert_eq!(
            [check(&mut guard, 3.0), check(&mut guard, 1.0), check(&mut guard, 3.0)],
            [Verdict::Hold, Verdict::Good, Verdict::Good]
        );
    }

    #[test]
    fn a_run_that_went_far_and_got_nowhere_is_given_up_at_the_steps_for_that() {
        let after = |losses: &[f32]| {
            let mut guard = Guard::new(GuardConfig::default());
            losses.iter().for_each(|&loss| assert_eq!(check(&mut guard, loss), Verdict::Good));
            guard
        };
        let dead = [3.0; 16];
        assert!(after(&dead).gives_up(16, true));
        assert!(!after(&dead).gives_up(17, true) && !after(&dead).gives_up(16, false));
        assert!(!after(&[3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]).gives_up(16, true), "it has learned something");
        let never = GuardConfig { restart: 0.0, ..GuardConfig::default() };
        assert!(!Guard { config: never, ..after(&dead) }.gives_up(16, true));
    }

    #[test]
    fn a_loss_above_that_of_the_untrained_net_is_an_explosion_until_training_shows_such_noise() {
        let mut guard = Guard::new(GuardConfig::default());
        check(&mut guard, 3.0);
        assert_eq!(check(&mut guard, 7.0), Verdict::Hold);
        assert_eq!(check(&mut guard, 7.0), Verdict::RollBack { reason: Reason::LossExploded, halve: true });
        assert_eq!(check(&mut guard, 7.0), Verdict::Good, "a batch of heavy tails at the parameters of the start");
        assert_eq!(check(&mut guard, 7.0), Verdict::Good);
    }

    #[test]
    fn a_loss_that_rises_for_long_is_noticed_and_then_judged_anew() {
        let config = GuardConfig { drift: Some(1.5), ..GuardConfig::default() };
        let (mut guard, mut free) = (Guard::new(config), Guard::new(GuardConfig::default()));
        let rising = (0..40).map(|i| 1.0 + 0.05 * i as f32);
        let verdicts: Vec<Verdict> =
            rising.clone().map(|loss| guard.check(&LossWindow::of(&[loss; 8]), true)).collect();
        let drifted = Verdict::RollBack { reason: Reason::LossDrifted, halve: true };
        assert_eq!(
            verdicts.iter().position(|&verdict| verdict == drifted),
            Some(11),
            "a loss of 1.55, late by an average"
        );
        assert!(verdicts.iter().filter(|&&verdict| verdict == drifted).count() <= 2, "{verdicts:?}");
        assert!(rising.clone().all(|loss| free.check(&LossWindow::of(&[loss; 8]), true) == Verdict::Good));
        let noise = (0..400).map(|i| if i % 10 == 0 { 3.0 } else { 1.0 });
        let mut guard = Guard::new(GuardConfig { drift: Some(1.5), ..GuardConfig::default() });
        assert!(
            noise.map(|loss| check(&mut guard, loss)).all(|verdict| verdict != drifted),
            "one bad batch in ten is noise"
        );
    }

    #[test]
    fn every_edge_of_the_table_is_checked() {
        let bad = [
            GuardConfig { explosion: 1.0, ..Default::default() },
            GuardConfig { floor: -0.1, ..Default::default() },
            GuardConfig { peak_decay: 1.0, ..Default::default() },
            GuardConfig { restart: 1.1, ..Default::default() },
            GuardConfig { drift: Some(1.0), ..Default::default() },
            GuardConfig { loss_floor: f64::NAN, ..Default::default() },
            GuardConfig { recovery_steps: 0, ..Default::default() },
        ];
        assert!(bad.iter().all(|config| config.invalid_field().is_some()));
        assert!(GuardConfig::default().invalid_field().is_none());
    }
}
