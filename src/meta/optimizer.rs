//! The inner optimizers on plain memory: SGD, momentum, Adam and AdamW with PyTorch's formulas and defaults.

use super::orthogonal::{Orthogonalizer, WeightMatrix};
use crate::polar::FILTER;
use crate::simd::vectorized;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

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
    conditioning: Option<Conditioning>,
}

/// What is done to the changes of weight matrices.
#[derive(Debug)]
struct Conditioning {
    degree: f64,
    /// By their place, the first one first.
    matrices: Arc<[WeightMatrix]>,
    change: Vec<f32>,
    orthogonalizer: Orthogonalizer,
}

impl Clone for Conditioning {
    /// With working memory of its own, which it allocates when it takes a step.
    fn clone(&self) -> Self {
        Self {
            degree: self.degree,
            matrices: self.matrices.clone(),
            change: Vec::new(),
            orthogonalizer: Orthogonalizer::default(),
        }
    }
}

impl Clone for InnerOptimizer {
    fn clone(&self) -> Self {
        Self {
            algorithm: self.algorithm,
            first: self.first.clone(),
            second: self.second.clone(),
            t: self.t,
            conditioning: self.conditioning.clone(),
        }
    }
    fn clone_from(&mut self, source: &Self) {
        self.algorithm = source.algorithm;
        self.first.clone_from(&source.first);
        self.second.clone_from(&source.second);
        self.t = source.t;
        self.conditioning.clone_from(&source.conditioning);
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
        Self { algorithm, first: vec![0.0; first], second: vec![0.0; second], t: 0, conditioning: None }
    }

    /// The same optimizer, fresh, with the changes of these weight matrices orthogonalized by a degree in (0, 1].
    ///
    /// Plain gradient descent has no memory, so the gradients of these matrices go through Muon's filter first, as in
    /// `torch::Orthogonal`.
    pub(super) fn conditioned(mut self, degree: f64, matrices: Vec<WeightMatrix>) -> Self {
        if self.algorithm == InnerAlgorithm::Sgd {
            self.first = vec![0.0; matrices.last().map_or(0, WeightMatrix::end)];
        }
        let (change, orthogonalizer) = (Vec::new(), Orthogonalizer::default());
        self.conditioning = Some(Conditioning { degree, matrices: matrices.into(), change, orthogonalizer });
        self
    }

    /// Takes one step. Where weight decay is part of the gradient, it is added to `grad`.
    pub fn step(&mut self, x: &mut [f32], grad: &mut [f32], lr: f64, weight_decay: f64) {
        self.t += 1;
        let decay = weight_decay as f32;
        if decay > 0.0 {
            match self.algorithm {
                InnerAlgorithm::AdamW => x.iter_mut().for_each(|x| *x -= lr as f32 * decay * *x),
                _ => grad.iter_mut().zip(&*x).for_each(|(g, &x)| *g += decay * x),
            }
        }
        let rule = Rule::new(self.algorithm, lr, self.t);
        let Some(conditioning) = &mut self.conditioning else {
            return rule.apply(x, grad, &mut self.first, &mut self.second);
        };
        let mut end = 0;
        for matrix in &*conditioning.matrices {
            rule.apply_to(end..matrix.at, x, grad, &mut self.first, &mut self.second);
            end = matrix.end();
            let own = matrix.at..end;
            if self.algorithm == InnerAlgorithm::Sgd {
                filter(&mut grad[own.clone()], &mut self.first[own.clone()]);
            }
            let change = &mut conditioning.change;
            change.clear();
            change.resize(own.len(), 0.0);
            let [first, second] = [&mut self.first, &mut self.second].map(|moment| part(moment, own.clone()));
            rule.apply(change, &grad[own.clone()], first, second);
            conditioning.orthogonalizer.condition(change, matrix.shape, conditioning.degree);
            x[own].iter_mut().zip(&*change).for_each(|(x, change)| *x += change);
        }
        rule.apply_to(end..x.len(), x, grad, &mut self.first, &mut self.second);
    }
}

/// What one step adds to every parameter.
enum Rule {
    Sgd { lr: f32 },
    Momentum { lr: f32 },
    Adam { size: f32, correction2: f32 },
}

impl Rule {
    /// The rule of step number `t`, from 1.
    fn new(algorithm: InnerAlgorithm, lr: f64, t: u64) -> Self {
        let correction = |beta: f32| 1.0 - f64::from(beta).powf(t as f64);
        match algorithm {
            InnerAlgorithm::Sgd => Self::Sgd { lr: lr as f32 },
            InnerAlgorithm::Momentum => Self::Momentum { lr: lr as f32 },
            InnerAlgorithm::Adam | InnerAlgorithm::AdamW => Self::Adam {
                size: (lr / correction(InnerOptimizer::BETA1)) as f32,
                correction2: correction(InnerOptimizer::BETA2).sqrt() as f32,
            },
        }
    }

    /// Adds to `x`; the moments that the rule has are as long as it.
    fn apply(&self, x: &mut [f32], grad: &[f32], first: &mut [f32], second: &mut [f32]) {
        match *self {
            Self::Sgd { lr } => x.iter_mut().zip(grad).for_each(|(x, &g)| *x -= lr * g),
            Self::Momentum { lr } => {
                for ((x, &g), m) in x.iter_mut().zip(grad).zip(first) {
                    *m = InnerOptimizer::MOMENTUM * *m + g;
                    *x -= lr * *m;
                }
            }
            Self::Adam { size, correction2 } => {
                let [beta1, beta2, eps] = [InnerOptimizer::BETA1, InnerOptimizer::BETA2, InnerOptimizer::EPS];
                vectorized(
                    #[inline(always)]
                    || {
                        for ((x, &g), (m, v)) in x.iter_mut().zip(grad).zip(first.iter_mut().zip(second)) {
                            *m += (1.0 - beta1) * (g - *m);
                            *v = beta2 * *v + (1.0 - beta2) * g * g;
                            *x -= size * *m / (v.sqrt() / correction2 + eps);
                        }
                    },
                );
            }
        }
    }

    /// The same for some of the parameters.
    fn apply_to(&self, range: Range<usize>, x: &mut [f32], grad: &[f32], first: &mut [f32], second: &mut [f32]) {
        let (first, second) = (part(first, range.clone()), part(second, range.clone()));
        self.apply(&mut x[range.clone()], &grad[range], first, second);
    }
}

/// A part of a moment; nothing of one that the algorithm does not have.
fn part(moment: &mut [f32], range: Range<usize>) -> &mut [f32] {
    moment.get_mut(range).unwrap_or_default()
}

/// Muon's filter, in Nesterov's form: `b <- b + 0.05 (g - b)`, `g <- g + 0.95 (b - g)`.
fn filter(grad: &mut [f32], mean: &mut [f32]) {
    let (keeps, takes) = (FILTER as f32, (1.0 - FILTER) as f32);
    for (g, b) in grad.iter_mut().zip(mean) {
        *b += takes * (*g - *b);
        *g += keeps * (*b - *g);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{standard_normal_f32, stream};

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

    /// Two matrices, each with its biases behind it.
    #[cfg(feature = "torch")]
    const SHAPES: [[usize; 2]; 4] = [[5, 7], [1, 7], [7, 3], [1, 3]];
    const N_PARAMS: usize = 35 + 7 + 21 + 3;

    fn matrices() -> Vec<WeightMatrix> {
        vec![WeightMatrix { at: 0, shape: [5, 7] }, WeightMatrix { at: 42, shape: [7, 3] }]
    }

    /// Parameters at the start, and the gradients of some steps, which do not depend on where they are taken.
    fn drawn() -> (Vec<f32>, Vec<Vec<f32>>) {
        let mut rng = stream(1, "conditioned");
        let mut draw = || (0..N_PARAMS).map(|_| standard_normal_f32(&mut rng)).collect::<Vec<f32>>();
        (draw(), (0..12).map(|_| draw()).collect())
    }

    fn length(values: impl Iterator<Item = f32>) -> f64 {
        values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn conditioning_turns_the_changes_of_matrices_keeps_their_norms_and_leaves_biases_alone() {
        let (start, gradients) = drawn();
        for algorithm in InnerAlgorithm::ALL {
            let (mut turned, mut plain) = (start.clone(), start.clone());
            let mut conditioned = InnerOptimizer::new(algorithm, N_PARAMS).conditioned(1.0, matrices());
            let mut base = InnerOptimizer::new(algorithm, N_PARAMS);
            let mut mean = vec![0.0; N_PARAMS];
            for (step, gradient) in gradients.iter().enumerate() {
                let before = turned.clone();
                conditioned.step(&mut turned, &mut gradient.clone(), 0.1, 0.0);
                let proposed_from = plain.clone();
                base.step(&mut plain, &mut gradient.clone(), 0.1, 0.0);
                let change = |i: usize| turned[i] - before[i];
                let mut proposal: Vec<f32> = plain.iter().zip(&proposed_from).map(|(a, b)| a - b).collect();
                if algorithm == InnerAlgorithm::Sgd {
                    // Muon's filter, as its author writes it.
                    for ((p, m), g) in proposal.iter_mut().zip(&mut mean).zip(gradient) {
                        *m = 0.95 * *m + 0.05 * g;
                        *p = -0.1 * (0.05 * g + 0.95 * *m);
                    }
                }
                for matrix in matrices() {
                    let own = matrix.at..matrix.end();
                    let kept = length(own.clone().map(change)) / length(own.clone().map(|i| proposal[i]));
                    assert!((kept - 1.0).abs() < 1e-4, "{algorithm:?}, step {step}: {kept}");
                    let off = length(own.clone().map(|i| change(i) - proposal[i]));
                    assert!(off > 0.05 * length(own.map(|i| proposal[i])), "{algorithm:?}, step {step}: not turned");
                }
                let biases = (35..42).chain(63..66);
                assert!(
                    biases.clone().all(|i| turned[i].to_bits() == plain[i].to_bits()),
                    "{algorithm:?}, step {step}"
                );
            }
        }
    }

    #[test]
    fn a_snapshot_goes_on_as_what_it_was_taken_of() {
        let (start, gradients) = drawn();
        for algorithm in InnerAlgorithm::ALL {
            let (mut x, mut optimizer) =
                (start.clone(), InnerOptimizer::new(algorithm, N_PARAMS).conditioned(0.5, matrices()));
            let mut snapshot = optimizer.clone();
            let go_on = |x: &mut Vec<f32>, optimizer: &mut InnerOptimizer, steps: Range<usize>| {
                gradients[steps].iter().for_each(|gradient| optimizer.step(x, &mut gradient.clone(), 0.1, 0.01));
            };
            go_on(&mut x, &mut optimizer, 0..5);
            snapshot.clone_from(&optimizer);
            let mut kept = x.clone();
            go_on(&mut x, &mut optimizer, 5..12);
            go_on(&mut kept, &mut snapshot, 5..12);
            assert_eq!(x, kept, "{algorithm:?}");
        }
    }

    /// The oracle: the optimizer of users' nets, which an SVD is the oracle of.
    #[cfg(feature = "torch")]
    #[test]
    fn conditioned_steps_are_those_of_the_optimizer_in_tch() {
        use crate::torch::{Algorithm, Conditioning, OptimConfig, Optimizer, Orthogonal};
        use tch::{Device, Kind, Tensor, nn::VarStore};
        let (start, gradients) = drawn();
        for (algorithm, theirs) in InnerAlgorithm::ALL.into_iter().zip([
            Algorithm::SGD,
            Algorithm::MOMENTUM,
            Algorithm::ADAM,
            Algorithm::ADAMW,
        ]) {
            for degree in [0.3, 1.0] {
                let (mut x, mut ours) =
                    (start.clone(), InnerOptimizer::new(algorithm, N_PARAMS).conditioned(degree, matrices()));
                let vs = VarStore::new(Device::Cpu);
                let shapes = SHAPES.map(|shape| shape.map(|n| n as i64));
                let variables = [0, 1, 2, 3].map(|i| vs.root().zeros(&format!("v{i}"), &shapes[i]));
                let parts = |flat: &[f32]| Tensor::from_slice(flat).split_with_sizes([35, 7, 21, 3], 0);
                tch::no_grad(|| {
                    let starts = parts(&start);
                    variables.iter().zip(starts).for_each(|(v, s)| v.shallow_clone().copy_(&s.view_as(v)));
                });
                let config = OptimConfig {
                    weight_decay: 0.1,
                    conditioning: Conditioning::Orthogonal(Orthogonal { degree, ..Orthogonal::default() }),
                    ..OptimConfig::new(theirs, 0.1)
                };
                let mut theirs = Optimizer::new(&vs, config).unwrap();
                for (step, gradient) in gradients.iter().enumerate() {
                    ours.step(&mut x, &mut gradient.clone(), 0.1, 0.1);
                    let terms = variables.iter().zip(parts(gradient)).map(|(v, g)| (v * g.view_as(v)).sum(Kind::Float));
                    theirs.backward_step(&terms.reduce(|a, b| a + b).unwrap()).unwrap();
                    let flat: Vec<Tensor> = variables.iter().map(|v| v.detach().flatten(0, -1)).collect();
                    let found = Vec::<f32>::try_from(Tensor::cat(&flat, 0)).unwrap();
                    let off = length(x.iter().zip(&found).map(|(a, b)| a - b)) / length(found.iter().copied());
                    assert!(off < 1e-5, "{algorithm:?}, degree {degree}, step {step}: {off}");
                }
            }
        }
    }
}
