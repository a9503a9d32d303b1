//! Blocks of 3×3 convolution (padding 1), optional batch norm (Ioffe and Szegedy 2015), activation and 2×2 max-pooling,
//! then an mlp.

use super::init::{Maker, Start};
use super::layers::Dropout;
use super::mlp::Mlp;
use super::norm::BatchNorm;
use super::{Mode, NetError};
use crate::task::{Activation, NetSpec};
use tch::{Tensor, nn};

const KERNEL: usize = 3;

/// What the blocks are built from.
pub(super) struct Blocks<'a> {
    /// Shape of one picture: channels, height, width.
    pub(super) shape: [usize; 3],
    pub(super) channels: &'a [usize],
    pub(super) batch_norm: bool,
}

#[derive(Debug)]
pub(super) struct Cnn {
    blocks: Vec<Block>,
    activation: Activation,
    top: Mlp,
}

#[derive(Debug)]
struct Block {
    weight: Tensor,
    bias: Tensor,
    norm: Option<BatchNorm>,
}

impl Cnn {
    pub(super) fn build(
        maker: &mut Maker<'_>,
        path: &nn::Path,
        parts: &Blocks<'_>,
        spec: &NetSpec,
        n_outputs: usize,
    ) -> Result<Self, NetError> {
        let [mut n_channels, height, width] = parts.shape;
        let mut blocks = Vec::with_capacity(parts.channels.len());
        let (mut h, mut w) = (height, width);
        for (number, channels) in parts.channels.iter().enumerate() {
            blocks.push(Block::build(maker, path, number, (n_channels, *channels), parts.batch_norm)?);
            (n_channels, h, w) = (*channels, h / 2, w / 2);
        }
        if h == 0 || w == 0 {
            return Err(NetError::TooSmall { height, width, n_blocks: blocks.len() });
        }
        let top = Mlp::build(maker, path, n_channels * h * w, &spec.hidden, spec.activation, n_outputs)?;
        Ok(Self { blocks, activation: spec.activation, top })
    }

    pub(super) fn forward(&self, x: &Tensor, dropout: &Dropout, mode: &mut Mode<'_>) -> Result<Tensor, NetError> {
        let mut x = x.shallow_clone();
        for block in &self.blocks {
            let features = self.activation.apply(&block.forward(&x, mode.is_train())?)?;
            x = features.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)?;
        }
        self.top.forward(&x.f_flatten(1, -1)?, dropout, mode, true)
    }
}

impl Block {
    fn build(
        maker: &mut Maker<'_>,
        path: &nn::Path,
        number: usize,
        (n_inputs, n_outputs): (usize, usize),
        batch_norm: bool,
    ) -> Result<Self, NetError> {
        let start = Start::Uniform(n_inputs * KERNEL * KERNEL);
        let conv = path.sub(format!("conv_{number}"));
        let weight = maker.parameter(&conv, "weight", &[n_outputs, n_inputs, KERNEL, KERNEL], start)?;
        let bias = maker.parameter(&conv, "bias", &[n_outputs], start)?;
        let norm = path.sub(format!("norm_{number}"));
        let norm = batch_norm.then(|| BatchNorm::build(maker, &norm, n_outputs)).transpose()?;
        Ok(Self { weight, bias, norm })
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor, NetError> {
        let x = x.f_conv2d(&self.weight, Some(&self.bias), [1, 1], [1, 1], [1, 1], 1)?;
        self.norm.as_ref().map_or(Ok(x.shallow_clone()), |norm| norm.forward(&x, train))
    }
}
