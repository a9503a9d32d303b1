//! Initial values, drawn from our own stream: PyTorch's defaults, but for two kinds of nets.
//!
//! ```text
//! linear, convolution   weight and bias   U(-1/sqrt(fan_in), 1/sqrt(fan_in))    kaiming_uniform_ with a = sqrt(5)
//! recurrent layer       all               U(-1/sqrt(hidden), 1/sqrt(hidden))
//! embedding                               N(0, 1)
//! batch and layer norm                    weight 1, bias 0, running mean 0, running variance 1
//!
//! resnet                convolutions      N(0, 2/fan_out), as torchvision's
//! transformer           all matrices      N(0, 0.02^2); those that add to the residual stream N(0, 0.02^2 / (2 layers));
//!                       biases            0; so GPT-2
//! ```
//!
//! Sources: `reset_parameters` of each module in PyTorch 2.11 (tch starts batch-norm weights in U(0, 1) and recurrent
//! layers with Kaiming's bounds and zero biases, so its layers are not used); `ResNet` in torchvision; Radford et al.
//! 2019 and their code.

use super::{NetError, SavedValues};
use crate::rng::standard_normal;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tch::{Tensor, nn};

/// Largest number of parameters. Chosen by us: 1 GiB, of which an optimizer keeps up to three copies.
const MAX_PARAMETERS: usize = 1 << 28;

/// Initial values of one parameter.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    /// U(-bound, bound) with bound = 1 / sqrt of this number.
    Uniform(usize),
    /// Normal with mean 0 and this deviation.
    Normal(f64),
    /// The same number everywhere.
    Constant(f32),
}

/// Where the values of a net come from.
pub(super) enum Source<'a> {
    /// Initial values, drawn from this stream.
    Drawn(&'a mut ChaCha8Rng),
    /// The values of a trained net.
    Saved(&'a SavedValues<'a>),
}

/// Makes the parameters of a net, one after the other, and counts them.
pub(super) struct Maker<'a> {
    source: Source<'a>,
    /// Parameters with at least two dimensions: matrices, filters, embeddings.
    pub(super) weights: Vec<Tensor>,
    pub(super) n_parameters: usize,
}

impl<'a> Maker<'a> {
    pub(super) fn new(source: Source<'a>) -> Self {
        Self { source, weights: Vec::new(), n_parameters: 0 }
    }

    /// Makes a trainable variable.
    pub(super) fn parameter(
        &mut self,
        path: &nn::Path,
        name: &str,
        shape: &[usize],
        start: Start,
    ) -> Result<Tensor, NetError> {
        let n = shape.iter().try_fold(1, |n: usize, size| n.checked_mul(*size));
        let total = n.and_then(|n| self.n_parameters.checked_add(n)).filter(|total| *total <= MAX_PARAMETERS);
        self.n_parameters = total.ok_or(NetError::TooManyParameters { allowed: MAX_PARAMETERS })?;
        let values = match &mut self.source {
            Source::Drawn(rng) => values(rng, n.unwrap_or(0), start),
            Source::Saved(saved) => saved.of(&path.path(name), shape)?,
        };
        let tensor = path.add(name, tensor(&values, shape, path)?, true);
        if shape.len() >= 2 {
            self.weights.push(tensor.shallow_clone());
        }
        Ok(tensor)
    }

    /// Makes a variable that is saved and restored with the others, but not trained.
    pub(super) fn buffer(&self, path: &nn::Path, name: &str, size: usize, value: f32) -> Result<Tensor, NetError> {
        let values = match &self.source {
            Source::Drawn(_) => vec![value; size],
            Source::Saved(saved) => saved.of(&path.path(name), &[size])?,
        };
        Ok(path.add(name, tensor(&values, &[size], path)?, false))
    }
}

fn tensor(values: &[f32], shape: &[usize], path: &nn::Path) -> Result<Tensor, NetError> {
    let shape: Vec<i64> = shape.iter().map(|size| *size as i64).collect();
    Ok(Tensor::f_from_slice(values)?.f_reshape(shape)?.f_to_kind(path.kind())?.f_to_device(path.device())?)
}

fn values(rng: &mut ChaCha8Rng, n: usize, start: Start) -> Vec<f32> {
    match start {
        Start::Constant(value) => vec![value; n],
        Start::Normal(deviation) => (0..n).map(|_| (standard_normal(rng) * deviation) as f32).collect(),
        Start::Uniform(fan_in) => {
            let bound = 1.0 / (fan_in.max(1) as f64).sqrt();
            (0..n).map(|_| ((2.0 * rng.random::<f64>() - 1.0) * bound) as f32).collect()
        }
    }
}
