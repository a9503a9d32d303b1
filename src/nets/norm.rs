//! Layers that give their inputs mean 0 and deviation 1, and then a scale and a shift that are learned.

use super::NetError;
use super::init::{Maker, Start};
use tch::{Tensor, nn};

/// PyTorch's defaults.
const MOMENTUM: f64 = 0.1;
const EPS: f64 = 1e-5;

/// Each channel over the batch and its pixels (Ioffe and Szegedy 2015).
#[derive(Debug)]
pub(super) struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
}

impl BatchNorm {
    pub(super) fn build(maker: &mut Maker<'_>, path: &nn::Path, size: usize) -> Result<Self, NetError> {
        Ok(Self {
            weight: maker.parameter(path, "weight", &[size], Start::Constant(1.0))?,
            bias: maker.parameter(path, "bias", &[size], Start::Constant(0.0))?,
            running_mean: maker.buffer(path, "running_mean", size, 0.0)?,
            running_var: maker.buffer(path, "running_var", size, 1.0)?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor, NetError> {
        Ok(x.f_batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.running_mean),
            Some(&self.running_var),
            train,
            MOMENTUM,
            EPS,
            true,
        )?)
    }
}

/// The features of each position (Ba, Kiros and Hinton 2016).
#[derive(Debug)]
pub(super) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    pub(super) fn build(maker: &mut Maker<'_>, path: &nn::Path, size: usize) -> Result<Self, NetError> {
        Ok(Self {
            weight: maker.parameter(path, "weight", &[size], Start::Constant(1.0))?,
            bias: maker.parameter(path, "bias", &[size], Start::Constant(0.0))?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, NetError> {
        Ok(x.f_layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), EPS, true)?)
    }
}
