//! Target nets from a [`NetSpec`], with PyTorch's layers, losses and default initial values (of a resnet torchvision's, of a
//! transformer GPT-2's).
//!
//! ```text
//! mlp        (linear, activation) for each hidden size, linear
//! cnn        (3x3 convolution with padding 1, [batch norm], activation, 2x2 max-pooling) for each number of channels,
//!            then as an mlp
//! gru, lstm  embedding, one recurrent layer, linear at every position, at the last or on the mean
//! transformer  embeddings of tokens and positions, (attention, mlp of four times the width) for each layer, linear as above
//! resnet     3x3 convolution, stages of (two 3x3 convolutions with batch norm, and the input again), mean, linear
//! ```
//!
//! Initial weights and dropout masks come from the caller's random streams, none from libtorch, so that a seed fixes a
//! run. Every parameter is a variable of its own in the `VarStore`; the running moments of batch norm are variables
//! too, but not trainable. Inputs are `[batch, columns]`, `[batch, channels, height, width]` (float) or `[batch,
//! length]` (token numbers).

mod cnn;
mod error;
mod evaluate;
mod file;
mod init;
mod layers;
mod memory;
mod mlp;
mod norm;
mod reader;
mod resnet;
mod rnn;
mod saved;
mod split;
mod transformer;

pub use error::NetError;
pub use evaluate::{Evaluation, evaluate, loss, outputs};
pub use file::{NetFile, NetFileError, to_bytes};
pub use memory::{check_memory, check_memory_of_runs};
pub use saved::SavedValues;
pub use split::TensorSplit;

use crate::data::{Dataset, Inputs, TargetKind};
use crate::task::{NetKind, NetSpec};
use init::{Maker, Source};
use layers::Dropout;
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor, nn};

/// A net to be trained.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use qgd::nets::{self, Mode, Net, TensorSplit};
/// use qgd::{data, rng, task::TaskSpec};
///
/// let task = TaskSpec::load("examples/tasks/digits.toml".as_ref())?;
/// let dataset = data::load(&task.data, task.directory(), None, 0)?;
/// let vs = tch::nn::VarStore::new(tch::Device::Cpu);
/// let net = Net::build(&task.net, &vs.root(), &dataset, &mut rng::stream(0, "init"))?;
///
/// let train = TensorSplit::new(&dataset.train, tch::Device::Cpu)?;
/// let mut dropout = rng::stream(0, "dropout");
/// let (inputs, targets) = train.batch(Some(&[0, 1, 2]))?;
/// let output = net.forward(&inputs, Mode::Train(&mut dropout))?;
/// let loss = net.training_loss(dataset.kind, &output, &targets)?;
/// assert_eq!((output.size(), loss.dim()), (vec![3, 10], 0));
/// assert!(nets::evaluate(&net, &train)?.loss > 1.0);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Net {
    body: Body,
    dropout: Dropout,
    l1: f64,
    /// Parameters that the penalty `l1` is on.
    weights: Vec<Tensor>,
    /// Weight of each class in the training loss.
    class_weights: Option<Tensor>,
    n_parameters: usize,
}

#[derive(Debug)]
enum Body {
    Mlp(mlp::Mlp),
    Cnn(cnn::Cnn),
    Rnn(rnn::Rnn),
    Transformer(transformer::Transformer),
    Resnet(resnet::Resnet),
}

/// How a net is run.
#[derive(Debug)]
pub enum Mode<'a> {
    /// With dropout, whose masks are drawn from this stream; batch norm uses the moments of the batch.
    Train(&'a mut ChaCha8Rng),
    /// Without dropout; batch norm uses the running moments.
    Eval,
}

impl Mode<'_> {
    fn is_train(&self) -> bool {
        matches!(self, Self::Train(_))
    }
}

impl Net {
    /// Builds the net that `spec` describes for this data, with its variables under `path` and initial values drawn
    /// from `rng`.
    ///
    /// # Errors
    /// When the net does not fit the data, is too large, or libtorch cannot allocate it.
    pub fn build(spec: &NetSpec, path: &nn::Path, dataset: &Dataset, rng: &mut ChaCha8Rng) -> Result<Self, NetError> {
        Self::assemble(spec, path, dataset, Maker::new(Source::Drawn(rng)))
    }

    /// Builds the net that `spec` describes for this data, with the values of a trained one.
    ///
    /// # Errors
    /// When the net does not fit the data or the values, or libtorch cannot allocate it.
    pub fn restore(
        spec: &NetSpec,
        path: &nn::Path,
        dataset: &Dataset,
        saved: &SavedValues<'_>,
    ) -> Result<Self, NetError> {
        Self::assemble(spec, path, dataset, Maker::new(Source::Saved(saved)))
    }

    fn assemble(spec: &NetSpec, path: &nn::Path, dataset: &Dataset, mut maker: Maker<'_>) -> Result<Self, NetError> {
        let body = match (&spec.kind, &dataset.train.inputs) {
            (NetKind::Mlp, Inputs::Float { shape, .. }) => Body::Mlp(mlp::Mlp::build(
                &mut maker,
                path,
                shape.iter().product(),
                &spec.hidden,
                spec.activation,
                dataset.n_outputs,
            )?),
            (NetKind::Cnn { channels, batch_norm }, Inputs::Float { shape, .. }) if shape.len() == 3 => {
                let blocks = cnn::Blocks { shape: [shape[0], shape[1], shape[2]], channels, batch_norm: *batch_norm };
                Body::Cnn(cnn::Cnn::build(&mut maker, path, &blocks, spec, dataset.n_outputs)?)
            }
            (NetKind::Gru { embedding, head }, Inputs::Tokens { .. }) => {
                Body::Rnn(rnn::Rnn::build(&mut maker, path, rnn::Cell::Gru, (*embedding, *head), spec, dataset)?)
            }
            (NetKind::Lstm { embedding, head }, Inputs::Tokens { .. }) => {
                Body::Rnn(rnn::Rnn::build(&mut maker, path, rnn::Cell::Lstm, (*embedding, *head), spec, dataset)?)
            }
            (NetKind::Transformer { embedding, layers, heads, head }, Inputs::Tokens { length, .. }) => {
                let sizes = transformer::Sizes { width: *embedding, layers: *layers, heads: *heads, length: *length };
                Body::Transformer(transformer::Transformer::build(&mut maker, path, sizes, *head, dataset)?)
            }
            (NetKind::Resnet { channels, blocks }, Inputs::Float { shape, .. }) if shape.len() == 3 => {
                let stages = resnet::Stages { shape: [shape[0], shape[1], shape[2]], channels, blocks: *blocks };
                Body::Resnet(resnet::Resnet::build(&mut maker, path, &stages, dataset.n_outputs)?)
            }
            (kind, inputs) => return Err(NetError::misfit(kind, inputs)),
        };
        let Maker { weights, n_parameters, .. } = maker;
        let class_weights = match &dataset.class_weights {
            Some(weights) => Some(Tensor::f_from_slice(weights)?.f_to_device(path.device())?),
            None => None,
        };
        Ok(Self { body, dropout: Dropout(spec.dropout), l1: spec.l1, weights, class_weights, n_parameters })
    }

    /// Number of trainable parameters.
    pub fn n_parameters(&self) -> usize {
        self.n_parameters
    }

    /// Outputs for a batch: `[batch, n_outputs]`, or `[batch, length, n_outputs]` with head = each.
    ///
    /// # Errors
    /// When the inputs have another shape than those the net was built for.
    pub fn forward(&self, inputs: &Tensor, mut mode: Mode<'_>) -> Result<Tensor, NetError> {
        Ok(match &self.body {
            Body::Mlp(net) => net.forward(&inputs.f_flatten(1, -1)?, &self.dropout, &mut mode, false)?,
            Body::Cnn(net) => net.forward(inputs, &self.dropout, &mut mode)?,
            Body::Rnn(net) => net.forward(inputs, &self.dropout, &mut mode)?,
            Body::Transformer(net) => net.forward(inputs, &self.dropout, &mut mode)?,
            Body::Resnet(net) => net.forward(inputs, &self.dropout, &mut mode)?,
        })
    }

    /// The loss that the net is trained on: [`loss`], with the class weights where there are any (the mean is then one
    /// by weight, as PyTorch's), plus l1 · Σ|w| over matrices, filters and embeddings (not over biases or batch norm).
    ///
    /// # Errors
    /// When output and target do not fit together.
    pub fn training_loss(&self, kind: TargetKind, output: &Tensor, target: &Tensor) -> Result<Tensor, NetError> {
        let mut total = evaluate::weighted_loss(kind, output, target, self.class_weights.as_ref())?;
        if self.l1 > 0.0 {
            for weight in &self.weights {
                total = total.f_add(&weight.f_abs()?.f_sum(Kind::Float)?.f_mul_scalar(self.l1)?)?;
            }
        }
        Ok(total)
    }
}

#[cfg(test)]
mod tests;
