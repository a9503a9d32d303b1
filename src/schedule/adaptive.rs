//! Schedules that watch the loss: plateau and greedy.
//!
//! Both draw a conclusion from the loss of step `t` after that step, and apply it at the next decision. They decide at
//! every step.

use super::bytes::{pack, unpack};
use super::{factor_to, is_next_rate};
use crate::policy::Signals;
use crate::policy::{Decision, Policy, PolicyStateError};
use std::collections::VecDeque;

/// PyTorch's `ReduceLROnPlateau` (factor 0.1, relative threshold 1e-4, no cooldown) with patience 20, on an exponential
/// moving average (decay 0.95) of the minibatch loss. A loss that is not finite counts as 1e9, and so does the average
/// from then on.
#[derive(Debug, Clone, PartialEq)]
pub struct Plateau {
    ema: f64,
    best: f64,
    n_bad: u64,
    next_lr: f64,
}

impl Plateau {
    const FACTOR: f64 = 0.1;
    const PATIENCE_STEPS: u64 = 20;
    const THRESHOLD: f64 = 1e-4;
    /// PyTorch's `eps`: a smaller change of the learning rate is not made.
    const SMALLEST_CHANGE: f64 = 1e-8;
    const EMA_DECAY: f64 = 0.95;
    const STANDS_FOR_NON_FINITE: f64 = 1e9;

    fn observe(&mut self, loss: f64, lr: f64) -> f64 {
        // As long as there is no best metric, no loss has been seen.
        let first = self.best == f64::INFINITY;
        self.ema = if first { loss } else { Self::EMA_DECAY * self.ema + (1.0 - Self::EMA_DECAY) * loss };
        let metric = if self.ema.is_finite() { self.ema } else { Self::STANDS_FOR_NON_FINITE };
        if metric < self.best * (1.0 - Self::THRESHOLD) {
            self.best = metric;
            self.n_bad = 0;
        } else {
            self.n_bad += 1;
        }
        if self.n_bad <= Self::PATIENCE_STEPS {
            return lr;
        }
        self.n_bad = 0;
        let reduced = lr * Self::FACTOR;
        if lr - reduced > Self::SMALLEST_CHANGE { reduced } else { lr }
    }
}

impl Default for Plateau {
    fn default() -> Self {
        Self { ema: f64::NAN, best: f64::INFINITY, n_bad: 0, next_lr: f64::NAN }
    }
}

impl Policy for Plateau {
    fn decide(&mut self, signals: &Signals) -> Decision {
        let lr = if self.next_lr.is_nan() { signals.lr } else { self.next_lr };
        self.next_lr = self.observe(signals.window.mean, lr);
        Decision::scheduled(factor_to(lr, signals.lr))
    }

    fn save(&self) -> Vec<u8> {
        pack("plateau", &[self.ema.to_bits(), self.best.to_bits(), self.n_bad, self.next_lr.to_bits()])
    }

    fn load(&mut self, state: &[u8]) -> Result<(), PolicyStateError> {
        let numbers = unpack("plateau", state)?;
        let [ema, best, n_bad, next_lr] = numbers[..] else {
            return Err(PolicyStateError { found_bytes: state.len() });
        };
        let [ema, best, next_lr] = [ema, best, next_lr].map(f64::from_bits);
        // The average may be anything: a loss that is not finite stays in it for ever.
        let is_sound = is_next_rate(next_lr) && !best.is_nan() && n_bad <= Self::PATIENCE_STEPS;
        if !is_sound {
            return Err(PolicyStateError { found_bytes: state.len() });
        }
        *self = Self { ema, best, n_bad, next_lr };
        Ok(())
    }
}

/// GreedyLR (arXiv 2512.14527) with its published defaults. It watches the mean of the last 50 losses. After more than
/// 10 steps in a row with a new lowest mean, lr becomes lr / 0.95; after more than 10 steps in a row without one, lr *
/// 0.95; always within [1e-8, 10].
#[derive(Debug, Clone, PartialEq)]
pub struct Greedy {
    losses: VecDeque<f64>,
    best: f64,
    n_good: u64,
    n_bad: u64,
    next_lr: f64,
}

impl Greedy {
    const FACTOR: f64 = 0.95;
    const PATIENCE_STEPS: u64 = 10;
    const WINDOW_STEPS: usize = 50;
    const LR_BOUNDS: [f64; 2] = [1e-8, 10.0];

    fn observe(&mut self, loss: f64, lr: f64) -> f64 {
        self.losses.push_back(loss);
        if self.losses.len() > Self::WINDOW_STEPS {
            self.losses.pop_front();
        }
        let smoothed = self.losses.iter().sum::<f64>() / self.losses.len() as f64;
        if smoothed < self.best {
            (self.best, self.n_good, self.n_bad) = (smoothed, self.n_good + 1, 0);
        } else {
            (self.n_good, self.n_bad) = (0, self.n_bad + 1);
        }
        let factor = if self.n_good > Self::PATIENCE_STEPS {
            1.0 / Self::FACTOR
        } else if self.n_bad > Self::PATIENCE_STEPS {
            Self::FACTOR
        } else {
            return lr.clamp(Self::LR_BOUNDS[0], Self::LR_BOUNDS[1]);
        };
        (self.n_good, self.n_bad) = (0, 0);
        (lr * factor).clamp(Self::LR_BOUNDS[0], Self::LR_BOUNDS[1])
    }
}

impl Default for Greedy {
    fn default() -> Self {
        Self { losses: VecDeque::new(), best: f64::INFINITY, n_good: 0, n_bad: 0, next_lr: f64::NAN }
    }
}

impl Policy for Greedy {
    fn decide(&mut self, signals: &Signals) -> Decision {
        let lr = if self.next_lr.is_nan() { signals.lr } else { self.next_lr };
        self.next_lr = self.observe(signals.window.mean, lr);
        Decision::scheduled(factor_to(lr, signals.lr))
    }

    fn save(&self) -> Vec<u8> {
        let head = [self.best.to_bits(), self.n_good, self.n_bad, self.next_lr.to_bits()];
        let numbers: Vec<u64> = head.into_iter().chain(self.losses.iter().map(|loss| loss.to_bits())).collect();
        pack("greedy", &numbers)
    }

    fn load(&mut self, state: &[u8]) -> Result<(), PolicyStateError> {
        let numbers = unpack("greedy", state)?;
        let [best, n_good, n_bad, next_lr, ref losses @ ..] = numbers[..] else {
            return Err(PolicyStateError { found_bytes: state.len() });
        };
        let [best, next_lr] = [best, next_lr].map(f64::from_bits);
        let [lowest, highest] = Self::LR_BOUNDS;
        let is_sound = losses.len() <= Self::WINDOW_STEPS
            && (next_lr.is_nan() || (lowest..=highest).contains(&next_lr))
            && !best.is_nan()
            && n_good.max(n_bad) <= Self::PATIENCE_STEPS;
        if !is_sound {
            return Err(PolicyStateError { found_bytes: state.len() });
        }
        let losses = losses.iter().copied().map(f64::from_bits).collect();
        *self = Self { losses, best, n_good, n_bad, next_lr };
        Ok(())
    }
}
