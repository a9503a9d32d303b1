//! Schedules that are a function of the step alone.

use super::factor_to;
use crate::policy::Signals;
use crate::policy::{Decision, Policy};
use std::f64::consts::PI;

/// Never changes the learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Constant;

impl Policy for Constant {
    fn decide(&mut self, _: &Signals) -> Decision {
        Decision::scheduled(1.0)
    }
}

/// `lr_t = lr * gamma^floor(t / every_steps)`: PyTorch's `StepLR`, whose default `gamma` is 0.1. PyTorch has no default
/// for the step size; [`Schedule::Step`](super::Schedule::Step) takes a third of the budget, as is usual in image
/// classification.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Number of steps between two cuts, at least 1.
    pub every_steps: u64,
    /// Factor on the learning rate at each cut.
    pub gamma: f64,
}

impl Policy for Step {
    fn decide(&mut self, signals: &Signals) -> Decision {
        let cuts = (signals.step / self.every_steps.max(1)).min(i32::MAX as u64) as i32;
        to(signals, self.gamma.powi(cuts))
    }
}

/// `lr_t = lr * (1 + cos(pi t / T)) / 2`: PyTorch's `CosineAnnealingLR` with `eta_min = 0` (Loshchilov and Hutter 2017,
/// arXiv 1608.03983). Past the budget the last learning rate is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cosine {
    /// The budget `T`, at least 1.
    pub total_steps: u64,
}

impl Policy for Cosine {
    fn decide(&mut self, signals: &Signals) -> Decision {
        let t = signals.step.min(self.total_steps.saturating_sub(1));
        to(signals, (1.0 + (PI * t as f64 / self.total_steps as f64).cos()) / 2.0)
    }
}

/// PyTorch's `OneCycleLR` with its defaults (Smith and Topin 2018, arXiv 1708.07120): from `lr / 25` along a cosine up
/// to `lr` at 30 % of the budget, then down to `lr / 25 / 1e4`. The learning rate of the run is the peak. Past the
/// budget the last one is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OneCycle {
    /// The budget `T`, at least 1.
    pub total_steps: u64,
}

impl OneCycle {
    const PCT_START: f64 = 0.3;
    const DIV_FACTOR: f64 = 25.0;
    const FINAL_DIV_FACTOR: f64 = 1e4;

    fn relative_lr(self, step: u64) -> f64 {
        let last = self.total_steps as f64 - 1.0;
        let t = (step as f64).min(last);
        let peak = Self::PCT_START * self.total_steps as f64 - 1.0;
        let initial = 1.0 / Self::DIV_FACTOR;
        let (from, to, fraction) = if t <= peak {
            (initial, 1.0, t / peak)
        } else {
            (1.0, initial / Self::FINAL_DIV_FACTOR, (t - peak) / (last - peak))
        };
        // A budget of a few steps has a phase without length: its fraction is 0/0, and the phase is over.
        let fraction = if fraction.is_finite() { fraction } else { 1.0 };
        to + (from - to) / 2.0 * (1.0 + (PI * fraction).cos())
    }
}

impl Policy for OneCycle {
    fn decide(&mut self, signals: &Signals) -> Decision {
        to(signals, self.relative_lr(signals.step))
    }
}

fn to(signals: &Signals, relative_lr: f64) -> Decision {
    Decision::scheduled(factor_to(signals.lr_base * relative_lr, signals.lr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_schedule_leaves_the_positive_numbers_within_or_beyond_any_budget() {
        for total_steps in 1..12 {
            let mut policies: [Box<dyn Policy>; 3] = [
                Box::new(Step { every_steps: total_steps, gamma: 0.1 }),
                Box::new(Cosine { total_steps }),
                Box::new(OneCycle { total_steps }),
            ];
            for policy in &mut policies {
                for step in 0..2 * total_steps {
                    let signals = Signals { step, lr: 0.3, lr_base: 0.3, ..Signals::default() };
                    let factor = policy.decide(&signals).lr_factor;
                    assert!(factor > 0.0 && factor <= 1.0 + 1e-12, "{factor} at step {step} of {total_steps}");
                }
            }
        }
    }
}
