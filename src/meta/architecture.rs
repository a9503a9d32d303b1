//! The architecture of a task's net, and the nets that only tch can compute.

use super::mlp::{InnerActivation, Mlp, Target, push_initial};
use super::orthogonal::WeightMatrix;
use super::text_nets::TextNet;
use rand_chacha::ChaCha8Rng;

/// Shape of one weight or bias, `[outer, n_in, n_out]`, row-major; an extent that is not needed is 1.
pub(super) type Block = [usize; 3];

/// Rows and columns of a block that is a weight matrix, a convolution as rest × out; none for biases and for lone rows
/// and columns.
pub(super) fn matrix_shape([outer, n_in, n_out]: Block) -> Option<[usize; 2]> {
    (outer * n_in > 1 && n_out > 1).then_some([outer * n_in, n_out])
}

/// What a net computes, apart from its widths and its activation: nets of one architecture can run together.
#[cfg_attr(not(feature = "torch"), allow(dead_code, reason = "only tch looks inside"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Architecture {
    /// A multi-layer perceptron.
    Mlp {
        /// Number of hidden layers.
        n_hidden: usize,
    },
    /// A net for gray pictures: two 3×3 convolutions without padding, the second with stride 2, then one linear layer.
    Cnn {
        /// Pixels along one side of a picture.
        side: usize,
    },
    /// A net for sequences: an Elman net (Elman 1990) with tanh, and a linear layer on its last state.
    Rnn {
        /// Number of places of a sequence.
        length: usize,
    },
    /// A net for texts, which tch cannot compute.
    Text,
}

/// The net of a task.
#[derive(Debug, Clone)]
pub(super) enum Net {
    /// A net that the kernel can compute, and tch too.
    Mlp(Mlp),
    /// A net that only the kernel can compute.
    Text(Box<TextNet>),
    /// A net that only tch can compute.
    Batched(BatchedNet),
}

/// Shape of a convolutional or recurrent net. The kernel cannot compute it: there its outputs, loss and gradient are
/// NaN.
#[cfg_attr(not(feature = "torch"), allow(dead_code, reason = "only tch looks inside"))]
#[derive(Debug, Clone)]
pub(super) struct BatchedNet {
    architecture: Architecture,
    activation: InnerActivation,
    /// Shape of each weight and bias, and the number of inputs that an output is a sum of.
    blocks: Vec<(Block, usize)>,
    n_out: usize,
    /// Number of values at one place of an example.
    n_channels: usize,
}

/// Number of places along one side at which a 3×3 convolution without padding can stand.
pub(super) fn convolved(side: usize, stride: usize) -> usize {
    (side - 3) / stride + 1
}

impl BatchedNet {
    /// A convolutional net with these numbers of channels.
    pub fn cnn(side: usize, [first, second]: [usize; 2], n_out: usize, activation: InnerActivation) -> Self {
        let places = convolved(convolved(side, 1), 2).pow(2);
        let (inner, top) = (9 * first, places * second);
        let blocks = vec![
            ([9, 1, first], 9),
            ([1, 1, first], 9),
            ([9, first, second], inner),
            ([1, 1, second], inner),
            ([places, second, n_out], top),
            ([1, 1, n_out], top),
        ];
        Self { architecture: Architecture::Cnn { side }, activation, blocks, n_out, n_channels: 1 }
    }

    /// A recurrent net.
    pub fn rnn(length: usize, n_channels: usize, width: usize, n_out: usize) -> Self {
        let blocks = vec![
            ([1, n_channels, width], width),
            ([1, width, width], width),
            ([1, 1, width], width),
            ([1, width, n_out], width),
            ([1, 1, n_out], width),
        ];
        Self {
            architecture: Architecture::Rnn { length },
            activation: InnerActivation::Tanh,
            blocks,
            n_out,
            n_channels,
        }
    }
}

impl Net {
    /// Number of parameters.
    pub fn n_params(&self) -> usize {
        match self {
            Self::Mlp(net) => net.n_params(),
            Self::Text(net) => net.n_params(),
            Self::Batched(net) => net.blocks.iter().map(|(block, _)| block.iter().product::<usize>()).sum(),
        }
    }

    /// Shapes of its weights and biases, in the order in which they stand in the flat slice.
    pub fn blocks(&self) -> Vec<Block> {
        match self {
            Self::Mlp(net) => net.layers().flat_map(|(n_in, n_out)| [[1, n_in, n_out], [1, 1, n_out]]).collect(),
            Self::Text(net) => net.blocks().collect(),
            Self::Batched(net) => net.blocks.iter().map(|&(block, _)| block).collect(),
        }
    }

    /// Number of targets of an example: one, or one at each place.
    pub fn n_places(&self) -> usize {
        match self {
            Self::Mlp(_) | Self::Batched(_) => 1,
            Self::Text(net) => net.length(),
        }
    }

    /// Its weight matrices, in the order in which they stand in the flat slice. Embeddings are none: each of their rows
    /// is used alone.
    pub fn matrices(&self) -> Vec<WeightMatrix> {
        let is_embedding = |i: usize| matches!(self, Self::Text(net) if net.is_embedding(i));
        let mut end = 0;
        let matrix = |(i, block): (usize, Block)| {
            let at = end;
            end += block.iter().product::<usize>();
            matrix_shape(block).filter(|_| !is_embedding(i)).map(|shape| WeightMatrix { at, shape })
        };
        self.blocks().into_iter().enumerate().filter_map(matrix).collect()
    }

    /// PyTorch's default initial weights, U(±1/√n) for sums over n inputs (in a recurrent layer n is its width), times
    /// `gain`. Nets for texts: see [`TextNet::init`].
    pub fn init(&self, gain: f32, rng: &mut ChaCha8Rng) -> Vec<f32> {
        match self {
            Self::Mlp(net) => net.init(gain, rng),
            Self::Text(net) => net.init(gain, rng),
            Self::Batched(net) => {
                let mut params = Vec::with_capacity(self.n_params());
                for (block, n_inputs) in &net.blocks {
                    push_initial(&mut params, block.iter().product(), *n_inputs, gain, rng);
                }
                params
            }
        }
    }

    /// See [`Mlp::forward`] and [`TextNet::forward`].
    pub fn forward(&mut self, params: &[f32], inputs: &[f32]) -> &[f32] {
        match self {
            Self::Mlp(net) => net.forward(params, inputs),
            Self::Text(net) => net.forward(params, inputs),
            Self::Batched(_) => &[f32::NAN],
        }
    }

    /// See [`Mlp::loss`] and [`TextNet::loss`].
    pub fn loss(&mut self, params: &[f32], inputs: &[f32], target: &Target, rows: &[usize]) -> f32 {
        match self {
            Self::Mlp(net) => net.loss(params, inputs, target, rows),
            Self::Text(net) => net.loss(params, inputs, target, rows),
            Self::Batched(_) => f32::NAN,
        }
    }

    /// See [`Mlp::loss_and_grad`].
    pub fn loss_and_grad(
        &mut self,
        params: &[f32],
        inputs: &[f32],
        target: &Target,
        rows: &[usize],
        grad: &mut [f32],
    ) -> f32 {
        match self {
            Self::Mlp(net) => net.loss_and_grad(params, inputs, target, rows, grad),
            Self::Text(net) => net.loss_and_grad(params, inputs, target, rows, grad),
            Self::Batched(_) => {
                grad.fill(f32::NAN);
                f32::NAN
            }
        }
    }
}

#[cfg(feature = "torch")]
impl Net {
    /// Its architecture.
    pub fn architecture(&self) -> Architecture {
        match self {
            Self::Mlp(net) => Architecture::Mlp { n_hidden: net.n_hidden() },
            Self::Text(_) => Architecture::Text,
            Self::Batched(net) => net.architecture,
        }
    }

    /// Activation between its layers.
    pub fn activation(&self) -> InnerActivation {
        match self {
            Self::Mlp(net) => net.activation(),
            // What is inside of it, it does itself.
            Self::Text(_) => InnerActivation::Tanh,
            Self::Batched(net) => net.activation,
        }
    }

    /// Number of outputs.
    pub fn n_out(&self) -> usize {
        match self {
            Self::Mlp(net) => net.n_out(),
            Self::Text(net) => net.n_symbols(),
            Self::Batched(net) => net.n_out,
        }
    }

    /// Shape of an example of `n_in` numbers: `[places, channels]`.
    pub fn input_shape(&self, n_in: usize) -> [usize; 2] {
        match self {
            Self::Mlp(_) | Self::Text(_) => [1, n_in],
            Self::Batched(net) => [n_in / net.n_channels, net.n_channels],
        }
    }
}
