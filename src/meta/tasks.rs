//! The tasks of meta-training: small problems on random data, drawn anew for every episode.
//!
//! | Family | Problem | Varied |
//! |---|---|---|
//! | quadratic | `½ mean (x - ξ)ᵀ H (x - ξ)`, ξ drawn at every step | size, condition number 1 to 1e4, scale, noise |
//! | logistic | softmax regression | inputs, classes, batch size, spectrum and scale of inputs, separable or not |
//! | mlp | classification by an MLP, one or two hidden layers by default | the same, depth, widths, activation, gain |
//! | regression | the same MLPs with squared error | the same, noise |
//! | cnn | a small convolutional net on pictures | channels, classes, picture size, noise, separable or not |
//! | rnn | a small recurrent net on sequences | width, channels, classes, length, memory, separable or not |
//!
//! Some tasks of the family mlp may be pieces of text, read by a GRU or a decoder
//! ([`TaskConfig::texts`](super::TaskConfig::texts)). The gain is a factor on the initial weights. The last two families can be computed only in batches, by tch
//! ([`Engine::Tch`](super::Engine)); the plain-Rust kernel answers NaN for them.
//!
//! Data come from random teacher networks or from clusters. None of them comes from a data set that controllers are
//! evaluated on.

mod data;
mod draw;
mod held_out;
mod markov;
mod pictures_and_sequences;
mod problem;
mod user_data;

pub(super) use held_out::HeldOut;
pub use problem::{NetProblem, Problem};
#[cfg(feature = "torch")]
pub(super) use problem::{above_floor, draw_row};
pub use user_data::ProblemError;

use super::optimizer::{InnerAlgorithm, InnerOptimizer};
use crate::dqn::Judge;
use crate::driver::DriverConfig;
#[cfg(feature = "torch")]
pub(super) use crate::rng::standard_normal_f32 as normal;
use rand_chacha::ChaCha8Rng;

/// The kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Noisy quadratics.
    Quadratic,
    /// Softmax regression.
    Logistic,
    /// Classification by a multi-layer perceptron.
    Mlp,
    /// Regression by a multi-layer perceptron.
    Regression,
    /// Classification of pictures by a convolutional net; not in the kernel.
    Cnn,
    /// Classification of sequences by a recurrent net; not in the kernel.
    Rnn,
}

impl Family {
    /// All families, in the order of [`TaskConfig::families`](super::TaskConfig::families).
    pub const ALL: [Self; 6] = [Self::Quadratic, Self::Logistic, Self::Mlp, Self::Regression, Self::Cnn, Self::Rnn];
    /// Number of families, the first ones in [`Family::ALL`], that the kernel can compute.
    pub const N_IN_KERNEL: usize = 4;

    /// Name of the family in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quadratic => "quadratic",
            Self::Logistic => "logistic",
            Self::Mlp => "mlp",
            Self::Regression => "regression",
            Self::Cnn => "cnn",
            Self::Rnn => "rnn",
        }
    }
}

/// One inner training problem with its optimizer, start and horizon.
#[derive(Debug, Clone)]
pub struct Task {
    /// Kind of problem.
    pub family: Family,
    /// What is minimized.
    pub problem: Problem,
    /// Optimizer that trains it.
    pub algorithm: InnerAlgorithm,
    /// Share of the orthogonalized direction in the changes of weight matrices, in [0, 1]: 0 for no conditioning, to
    /// the bit.
    pub degree: f64,
    /// Learning rate at the start.
    pub lr: f64,
    /// Weight decay at the start.
    pub weight_decay: f64,
    /// Number of inner steps.
    pub horizon: u64,
    /// Whether the controller is told the horizon.
    pub known_budget: bool,
    /// Number of inner steps in which every example is seen once, if the controller is told it.
    pub steps_per_epoch: Option<f64>,
    /// Parameters at the start.
    pub start: Vec<f32>,
    /// Seed of the minibatches.
    pub batch_seed: u64,
    /// Whether every step sees the whole evaluation batch instead of a minibatch. False in a task just drawn.
    pub full_batch: bool,
    /// Whether the controller is told the validation loss at every decision. False in a task just drawn.
    pub reports_validation: bool,
    pub(super) judge: Judge,
}

impl Task {
    /// The horizon, if the controller is told it.
    pub fn budget(&self) -> Option<u64> {
        self.known_budget.then_some(self.horizon)
    }

    /// How often it sees each of its examples; infinitely often where it has none.
    pub(super) fn exposures(&self) -> f64 {
        match &self.problem {
            Problem::Net(net) => (self.horizon * net.batch_size as u64) as f64 / net.n_train as f64,
            Problem::Quadratic { .. } => f64::INFINITY,
        }
    }

    /// Configuration of a driver, with what the controller is told about the task.
    pub fn told(&self, config: DriverConfig) -> DriverConfig {
        DriverConfig { total_steps: self.budget(), steps_per_epoch: self.steps_per_epoch, ..config }
    }

    /// The optimizer that trains it, before its first step.
    pub(super) fn optimizer(&self) -> InnerOptimizer {
        let plain = InnerOptimizer::new(self.algorithm, self.start.len());
        if self.degree > 0.0 { plain.conditioned(self.degree, self.problem.matrices()) } else { plain }
    }

    /// Loss and gradient of one step: on a minibatch drawn by `rng`, or on the full batch.
    pub fn loss_and_grad(&mut self, x: &[f32], grad: &mut [f32], rng: &mut ChaCha8Rng) -> f32 {
        if self.full_batch { self.problem.full_batch(x, grad) } else { self.problem.loss_and_grad(x, grad, rng) }
    }
}
