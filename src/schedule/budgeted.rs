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

/// Number of steps of a warm-up: a twentieth of the budget, rounded up, as is usual in training transformers.
fn warmup_steps(total_steps: u64) -> u64 {
    total_steps.div_ceil(20)
}

/// `lr_t = lr * (t + 1) / W` in the first `W` steps, `W` a twentieth of the budget, then
/// `lr * (1 + cos(pi (t - W) / (T - W))) / 2`: PyTorch's `LinearLR` followed by `CosineAnnealingLR` (Loshchilov and Hutter 2017, arXiv 1608.03983; the
/// warm-up of Goyal et al. 2017, arXiv 1706.02677).
///
/// It is `get_cosine_schedule_with_warmup` of Hugging Face's Transformers, whose warm-up is `t / W`, so that its first
/// step changes nothing: here it is the first of `W` equal stairs. Past the budget the last learning rate is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WarmupCosine {
    /// The budget `T`, at least 1.
    pub total_steps: u64,
}

impl Policy for WarmupCosine {
    fn decide(&mut self, signals: &Signals) -> Decision {
        let warmup = warmup_steps(self.total_steps);
        let t = signals.step.min(self.total_steps.saturating_sub(1));
        let relative_lr = if t < warmup {
            (t + 1) as f64 / warmup as f64
        } else {
            (1.0 + (PI * (t - warmup) as f64 / (self.total_steps - warmup) as f64).cos()) / 2.0
        };
        to(signals, relative_lr)
    }
}

/// `lr_t = lr * (1 - t / T)`: PyTorch's `LinearLR` from 1 to 0 (Defazio et al. 2023, arXiv 2310.07831). Past the budget
/// the last learning rate is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linear {
    /// The budget `T`, at least 1.
    pub total_steps: u64,
}

impl Policy for Linear {
    fn decide(&mut self, signals: &Signals) -> Decision {
        let t = signals.step.min(self.total_steps.saturating_sub(1));
        to(signals, (self.total_steps - t) as f64 / self.total_steps as f64)
    }
}

/// Warm-up, stable, decay (Hu et al. 2024, arXiv 2404.06395): `lr * (t + 1) / W` in the first `W` steps, a twentieth of
/// the budget; then `lr`; then `lr * (T - t) / D` in the last `D` steps, a fifth of the budget, the share and the line
/// of Hägele et al. 2024 (arXiv 2405.18392). PyTorch's `LinearLR`, `ConstantLR` and `LinearLR`. Past the budget the
/// last learning rate is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WarmupStableDecay {
    /// The budget `T`, at least 1.
    pub total_steps: u64,
}

impl Policy for WarmupStableDecay {
    fn decide(&mut self, signals: &Signals) -> Decision {
        let (warmup, decay) = (warmup_steps(self.total_steps), self.total_steps.div_ceil(5));
        let t = signals.step.min(self.total_steps.saturating_sub(1));
        let up = (t + 1) as f64 / warmup as f64;
        let down = (self.total_steps - t) as f64 / decay as f64;
        to(signals, up.min(down).min(1.0))
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
            let mut policies: [Box<dyn Policy>; 6] = [
                Box::new(Step { every_steps: total_steps, gamma: 0.1 }),
                Box::new(Cosine { total_steps }),
                Box::new(OneCycle { total_steps }),
                Box::new(WarmupCosine { total_steps }),
                Box::new(Linear { total_steps }),
                Box::new(WarmupStableDecay { total_steps }),
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
