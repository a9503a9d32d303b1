//! The inner optimizers on plain memory: SGD, momentum, Adam and AdamW with PyTorch's formulas and defaults.

use crate::simd::vectorized;
use serde::{Deserialize, Serialize};

/// Optimizer that trains the net of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InnerAlgorithm {
    /// Gradient descent.
    Sgd,
    /// Gradient descent with momentum 0.9.
    Momentum,
    /// Adam (Kingma and Ba 2015), weight decay as an L2 term in the gradient.
    Adam,
    /// AdamW (Loshchilov and Hutter 2019), decoupled weight decay.
    AdamW,
}

impl InnerAlgorithm {
    /// All optimizers, in the order of their weights in recipes.
    pub const ALL: [Self; 4] = [Self::Sgd, Self::Momentum, Self::Adam, Self::AdamW];

    /// Name of the optimizer, as task files spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sgd => "sgd",
            Self::Momentum => "momentum",
            Self::Adam => "adam",
            Self::AdamW => "adamw",
        }
    }

    /// Lowest and highest learning rate at the start: a range of five decades.
    pub fn start_range(self) -> [f64; 2] {
        match self {
            Self::Sgd | Self::Momentum => [1e-4, 10.0],
            Self::Adam | Self::AdamW => [1e-5, 1.0],
        }
    }
}

/// State of one inner optimizer. `clone_from` makes a snapshot without allocating.
#[derive(Debug)]
pub struct InnerOptimizer {
    algorithm: InnerAlgorithm,
    first: Vec<f32>,
    second: Vec<f32>,
    t: u64,
}

impl Clone for InnerOptimizer {
    fn clone(&self) -> Self {
        Self { algorithm: self.algorithm, first: self.first.clone(), second: self.second.clone(), t: self.t }
    }
    fn clone_from(&mut self, source: &Self) {
        self.algorithm = source.algorithm;
        self.first.clone_from(&source.first);
        self.second.clone_from(&source.second);
        self.t = source.t;
    }
}

impl InnerOptimizer {
    pub(super) const MOMENTUM: f32 = 0.9;
    pub(super) const BETA1: f32 = 0.9;
    pub(super) const BETA2: f32 = 0.999;
    pub(super) const EPS: f32 = 1e-8;

    /// A fresh optimizer for `n_params` parameters.
    pub fn new(algorithm: InnerAlgorithm, n_params: usize) -> Self {
        let (first, second) = match algorithm {
            InnerAlgorithm::Sgd => (0, 0),
            InnerAlgorithm::Momentum => (n_params, 0),
            InnerAlgorithm::Adam | InnerAlgorithm::AdamW => (n_params, n_params),
        };
        Self { algorithm, first: vec![0.0; first], second: vec![0.0; second], t: 0 }
    }

    /// Takes one step. Where weight decay is part of the gradient, it is added to `grad`.
    pub fn step(&mut self, x: &mut [f32], grad: &mut [f32], lr: f64, weight_decay: f64) {
        self.t += 1;
        let (lr32, decay) = (lr as f32, weight_decay as f32);
        if decay > 0.0 {
            match self.algorithm {
                InnerAlgorithm::AdamW => x.iter_mut().for_each(|x| *x -= lr32 * decay * *x),
                _ => grad.iter_mut().zip(&*x).for_each(|(g, &x)| *g += decay * x),
            }
        }
        match self.algorithm {
            InnerAlgorithm::Sgd => x.iter_mut().zip(&*grad).for_each(|(x, &g)| *x -= lr32 * g),
            InnerAlgorithm::Momentum => {
                for ((x, &g), m) in x.iter_mut().zip(&*grad).zip(&mut self.first) {
                    *m = Self::MOMENTUM * *m + g;
                    *x -= lr32 * *m;
                }
            }
            InnerAlgorithm::Adam | InnerAlgorithm::AdamW => {
                let correction1 = 1.0 - f64::from(Self::BETA1).powf(self.t as f64);
                let correction2 = (1.0 - f64::from(Self::BETA2).powf(self.t as f64)).sqrt() as f32;
                let size = (lr / correction1) as f32;
                let moments = self.first.iter_mut().zip(&mut self.second);
                vectorized(
                    #[inline(always)]
                    || {
                        for ((x, &g), (m, v)) in x.iter_mut().zip(&*grad).zip(moments) {
                            *m += (1.0 - Self::BETA1) * (g - *m);
                            *v = Self::BETA2 * *v + (1.0 - Self::BETA2) * g * g;
                            *x -= size * *m / (v.sqrt() / correction2 + Self::EPS);
                        }
                    },
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_steps_agree_with_the_closed_forms() {
        // f = x²/2 from x = 1 with lr 0.1. SGD: 0.9^t.
        // Momentum: m1 = 1, x1 = 0.9; m2 = 0.9 + 0.9, x2 = 0.72; m3 = 1.62 + 0.72, x3 = 0.486.
        let run = |algorithm, steps: usize| {
            let (mut x, mut optimizer) = ([1.0f32], InnerOptimizer::new(algorithm, 1));
            for _ in 0..steps {
                let mut g = x;
                optimizer.step(&mut x, &mut g, 0.1, 0.0);
            }
            x[0]
        };
        assert!((run(InnerAlgorithm::Sgd, 3) - 0.729).abs() < 1e-6);
        assert!((run(InnerAlgorithm::Momentum, 3) - 0.486).abs() < 1e-6);
        // Adam's first step has size lr whatever the gradient.
        assert!((run(InnerAlgorithm::Adam, 1) - 0.9).abs() < 1e-6);
    }

    #[test]
    fn weight_decay_is_in_the_gradient_of_adam_and_beside_it_in_adamw() {
        let run = |algorithm| {
            let (mut x, mut g) = ([1.0f32], [0.0f32]);
            InnerOptimizer::new(algorithm, 1).step(&mut x, &mut g, 0.1, 0.5);
            x[0]
        };
        assert!((run(InnerAlgorithm::Adam) - 0.9).abs() < 1e-5, "the decay alone makes a full step");
        assert!((run(InnerAlgorithm::AdamW) - 0.95).abs() < 1e-6, "x (1 - lr λ)");
        assert!((run(InnerAlgorithm::Sgd) - 0.95).abs() < 1e-6);
    }
}
