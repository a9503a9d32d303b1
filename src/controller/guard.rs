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
//! learning rate that led there is quartered.

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
/// | `restart` | 0.95 | at steps 16, 32, 64 … 1024, parameters that went far while the loss is still above `restart × first loss` by more than its noise are given up; 0: never | [0, 1] |
/// | `drift` | none | an average over about ten steps above `drift × max(its lowest, floor × first loss)`, and by more than its noise, is bad too: a rate too high for long, where no single step explodes | (1, ∞) |
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
    level: Option<Level>,
    at_verified: bool,
    suspect: Option<f64>,
    /// The step at which it last asked itself whether to give up.
    looked_at: u64,
}

/// At these steps, or at the first decision after, a run may be given up and begun again.
const RESTART_STEPS: [u64; 7] = [16, 32, 64, 128, 256, 512, 1024];
/// Memory of the loss average that a restart looks at, per decision: about four steps while probing.
const AVERAGE_DECAY: f64 = 0.8;

impl Guard {
    /// A guard that has seen nothing yet.
    pub fn new(config: GuardConfig) -> Self {
        Self {
            config,
            peak: None,
            first: 0.0,
            average: 0.0,
            level: None,
            at_verified: false,
            suspect: None,
            looked_at: 0,
        }
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

    /// Follows the level of the loss, and says whether it has been rising for long. If so, it is judged anew from here on, with half the rate.
    fn drifts(&mut self, window: &LossWindow) -> bool {
        let mean = window.mean - self.config.loss_floor;
        let Some(level) = &mut self.level else {
            self.level = Some(Level::at(window, mean));
            return false;
        };
        let noise = Level::STANDARD_ERRORS * level.standard_error();
        level.follow(window, mean);
        let high = |drift: f64| drift * level.lowest.max(self.config.floor * self.first);
        let drifts = self.config.drift.is_some_and(|drift| level.average > high(drift).max(level.lowest + noise));
        level.lowest = if drifts { level.average } else { level.lowest.min(level.average) };
        drifts
    }

    /// Whether [`Guard::gives_up`] may still say so after `step`.
    pub(super) fn may_give_up(&self, step: u64) -> bool {
        self.config.restart > 0.0 && RESTART_STEPS.iter().any(|&later| step < later)
    }

    /// Whether a run that `went_far` is no better for it at `step`, so that it shall begin again. The guard then expects that.
    pub(super) fn gives_up(&mut self, step: u64, went_far: bool) -> bool {
        let steps = |until| RESTART_STEPS.iter().filter(|&&at| at <= until).count();
        let is_time = steps(step) > steps(std::mem::replace(&mut self.looked_at, step));
        let noise = self.level.map_or(0.0, |level| level.standard_deviation());
        let lost = went_far && is_time && self.average - noise > self.config.restart * self.first;
        let gives_up = lost && self.config.restart > 0.0;
        if gives_up {
            (self.at_verified, self.average, self.level) = (true, self.first, None);
        }
        gives_up
    }
}

/// Level and noise of the losses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Level {
    average: f64,
    /// The lowest that the average has been.
    lowest: f64,
    /// The mean of the last window.
    previous: f64,
    /// Sum of the squares of so many single losses about their trend, the older ones counting less.
    squares: f64,
    weight: f64,
}

impl Level {
    /// Memory of the average, per step.
    const DECAY: f64 = 0.9;
    /// Memory of the noise, per step.
    const NOISE_DECAY: f64 = 0.98;
    /// So many standard errors of the average are noise: the lowest of many averages lies three below the level, and losses have heavy tails.
    const STANDARD_ERRORS: f64 = 6.0;

    fn at(window: &LossWindow, mean: f64) -> Self {
        let mut level = Self { average: mean, lowest: mean, previous: mean, squares: 0.0, weight: 0.0 };
        level.follow(window, mean);
        level
    }

    fn follow(&mut self, window: &LossWindow, mean: f64) {
        let n = f64::from(window.n);
        self.average = mean + Self::DECAY.powf(n) * (self.average - mean);
        // Losses one after another differ by their noise, whatever the trend is (von Neumann 1941).
        let squares =
            if window.n > 1 { n * window.std.powi(2) * n / (n - 1.0) } else { (mean - self.previous).powi(2) / 2.0 };
        let left = Self::NOISE_DECAY.powf(n);
        self.squares = left * self.squares + squares;
        self.weight = left * self.weight + n;
        self.previous = mean;
    }

    /// Of a single loss.
    fn standard_deviation(&self) -> f64 {
        (self.squares / self.weight).sqrt()
    }

    /// Of the average.
    fn standard_error(&self) -> f64 {
        self.standard_deviation() * ((1.0 - Self::DECAY) / (1.0 + Self::DECAY)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{standard_normal, stream};

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

    fn after(losses: &[f32]) -> Guard {
        let mut guard = Guard::new(GuardConfig::default());
        losses.iter().for_each(|&loss| assert_eq!(check(&mut guard, loss), Verdict::Good));
        guard
    }

    #[test]
    fn a_run_that_went_far_and_got_nowhere_is_given_up_at_the_steps_for_that() {
        let dead = [3.0; 16];
        assert!(after(&dead).gives_up(16, true));
        assert!(!after(&dead).gives_up(15, true) && !after(&dead).gives_up(16, false));
        assert!(!after(&[3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]).gives_up(16, true), "it has learned something");
        let never = GuardConfig { restart: 0.0, ..GuardConfig::default() };
        assert!(!Guard { config: never, ..after(&dead) }.gives_up(16, true));
    }

    #[test]
    fn where_no_decision_falls_on_such_a_step_the_next_one_counts_and_only_that() {
        let mut guard = after(&[3.0; 64]);
        assert!(!guard.gives_up(110, false) && guard.gives_up(140, true));
        assert!(!guard.gives_up(160, true) && !guard.gives_up(250, true), "before 256 it is not asked again");
        assert!(!after(&[3.0; 64]).gives_up(3000, false));
    }

    #[test]
    fn a_loss_as_high_as_the_first_one_by_chance_is_not_given_up() {
        let noisy: Vec<f32> = (0..64).map(|i| if i % 4 == 3 { 2.9 } else { 1.5 }).collect();
        let guard = after(&noisy);
        assert!(guard.average > 0.95 * guard.first);
        assert!(!guard.clone().gives_up(64, true));
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
    fn heavy_tails_about_a_constant_level_are_no_drift_but_a_rise_of_that_level_is() {
        let mut rng = stream(1, "losses");
        let mut draw = |level: f64| (level * (0.4 * standard_normal(&mut rng)).exp()) as f32;
        let mut guard = Guard::new(GuardConfig { drift: Some(1.3), explosion: 50.0, ..GuardConfig::default() });
        let mut alarms = |level: f64, n: usize| {
            let windows = (0..n).map(|_| LossWindow::of(&[(); 4].map(|()| draw(level))));
            windows.filter(|window| guard.check(window, true) != Verdict::Good).count()
        };
        assert!(alarms(1.0, 2000) <= 2, "8000 losses");
        assert!((1..=3).contains(&alarms(3.0, 50)));
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
