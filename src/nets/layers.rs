//! Layers that the nets share.

use super::init::{Maker, Start};
use super::{Mode, NetError};
use crate::task::Activation;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tch::{Tensor, nn};

/// y = x Wᵀ + b, W `[out, in]`.
#[derive(Debug)]
pub(super) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    pub(super) fn build(
        maker: &mut Maker<'_>,
        path: &nn::Path,
        n_inputs: usize,
        n_outputs: usize,
    ) -> Result<Self, NetError> {
        let start = Start::Uniform(n_inputs);
        Self::started(maker, path, [n_outputs, n_inputs], [start, start])
    }

    /// The same with other initial values than PyTorch's default: those of W `[out, in]`, and of b.
    pub(super) fn started(
        maker: &mut Maker<'_>,
        path: &nn::Path,
        shape: [usize; 2],
        [of_weight, of_bias]: [Start; 2],
    ) -> Result<Self, NetError> {
        let weight = maker.parameter(path, "weight", &shape, of_weight)?;
        Ok(Self { weight, bias: maker.parameter(path, "bias", &shape[..1], of_bias)? })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, NetError> {
        Ok(x.f_linear(&self.weight, Some(&self.bias))?)
    }
}

impl Activation {
    pub(super) fn apply(self, x: &Tensor) -> Result<Tensor, NetError> {
        Ok(match self {
            Self::Relu => x.f_relu()?,
            Self::Tanh => x.f_tanh()?,
            Self::Sigmoid => x.f_sigmoid()?,
            Self::Gelu => x.f_gelu("none")?,
        })
    }
}

/// Sets each value to zero with this probability and scales the others by 1 / (1 - p) (Srivastava et al. 2014).
#[derive(Debug)]
pub(super) struct Dropout(pub(super) f64);

impl Dropout {
    pub(super) fn apply(&self, x: Tensor, mode: &mut Mode<'_>) -> Result<Tensor, NetError> {
        match mode {
            Mode::Train(rng) if self.0 > 0.0 => Ok(x.f_mul(&self.mask(&x, rng)?)?),
            _ => Ok(x),
        }
    }

    fn mask(&self, x: &Tensor, rng: &mut ChaCha8Rng) -> Result<Tensor, NetError> {
        let kept = (1.0 / (1.0 - self.0)) as f32;
        let mask: Vec<f32> = (0..x.numel()).map(|_| if rng.random::<f64>() < self.0 { 0.0 } else { kept }).collect();
        Ok(Tensor::f_from_slice(&mask)?.f_reshape(x.size())?.f_to_kind(x.kind())?.f_to_device(x.device())?)
    }
}
