//! Drift: the level of the loss rises for long, where no single step explodes.

use crate::policy::LossWindow;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Drift {
    level: Option<Level>,
}

impl Drift {
    /// Follows the level of the loss, and says whether it has risen: above `factor × max(its lowest, floor)`, and above
    /// its lowest by more than its noise. After that the level of now counts as the lowest.
    pub fn check(&mut self, window: &LossWindow, factor: Option<f64>, floor: f64) -> bool {
        let Some(level) = &mut self.level else {
            self.level = Some(Level::at(window));
            return false;
        };
        let noise = Level::STANDARD_ERRORS * level.standard_error();
        level.follow(window);
        let high = |factor: f64| factor * level.lowest.max(floor);
        let drifts = factor.is_some_and(|factor| level.average > high(factor).max(level.lowest + noise));
        level.lowest = if drifts { level.average } else { level.lowest.min(level.average) };
        drifts
    }

    /// Standard deviation of a single loss about its trend; 0 before anything was seen.
    pub fn noise(&self) -> f64 {
        self.level.map_or(0.0, |level| level.standard_deviation())
    }

    /// Forgets the level: the run begins again.
    pub fn forget(&mut self) {
        self.level = None;
    }

    /// Whether a run can have left it so.
    pub fn is_sound(&self) -> bool {
        self.level.is_none_or(|level| {
            let Level { average, lowest, previous, squares, weight } = level;
            [average, lowest, previous].iter().all(|v| v.is_finite()) && squares >= 0.0 && weight > 0.0
        })
    }
}

/// Level and noise of the losses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Level {
    average: f64,
    /// Lowest value that the average has had.
    lowest: f64,
    /// Mean of the losses at the last look.
    previous: f64,
    /// Weighted sum of the squared deviations of single losses from their trend; older ones weigh less.
    squares: f64,
    /// Sum of the weights in `squares`.
    weight: f64,
}

impl Level {
    /// Memory of the average, per step.
    const DECAY: f64 = 0.9;
    /// Memory of the noise, per step.
    const NOISE_DECAY: f64 = 0.98;
    /// Number of standard errors of the average that count as noise. The lowest of many averages lies about three of
    /// them below the level, and losses have heavy tails.
    const STANDARD_ERRORS: f64 = 6.0;

    fn at(window: &LossWindow) -> Self {
        let mean = window.mean;
        let mut level = Self { average: mean, lowest: mean, previous: mean, squares: 0.0, weight: 0.0 };
        level.follow(window);
        level
    }

    fn follow(&mut self, window: &LossWindow) {
        let (mean, n) = (window.mean, f64::from(window.n));
        self.average = mean + Self::DECAY.powf(n) * (self.average - mean);
        // The difference of two losses, one after the other, shows their noise, whatever the trend is (von Neumann
        // 1941).
        let squares =
            if window.n > 1 { n * window.std.powi(2) * n / (n - 1.0) } else { (mean - self.previous).powi(2) / 2.0 };
        let left = Self::NOISE_DECAY.powf(n);
        self.squares = left * self.squares + squares;
        self.weight = left * self.weight + n;
        self.previous = mean;
    }

    /// Standard deviation of a single loss.
    fn standard_deviation(&self) -> f64 {
        (self.squares / self.weight).sqrt()
    }

    /// Standard error of the average.
    fn standard_error(&self) -> f64 {
        self.standard_deviation() * ((1.0 - Self::DECAY) / (1.0 + Self::DECAY)).sqrt()
    }
}
