//! The outputs of many nets of one architecture at once.

use crate::meta::architecture::{Architecture, Block};
use crate::meta::mlp::Activation;
use tch::{Device, TchError, Tensor};

/// The nonlinearity of every net.
pub(super) enum Activations {
    Relu,
    Tanh,
    /// Whether it is tanh, `[n_nets, 1, 1]`.
    Mixed(Tensor),
}

impl Activations {
    pub fn new(of: &[Activation], device: Device) -> Result<Self, TchError> {
        let is_tanh: Vec<bool> = of.iter().map(|&activation| activation == Activation::Tanh).collect();
        if is_tanh.iter().all(|&tanh| tanh == is_tanh[0]) {
            return Ok(if is_tanh.first() == Some(&true) { Self::Tanh } else { Self::Relu });
        }
        Ok(Self::Mixed(Tensor::f_from_slice(&is_tanh)?.f_to_device(device)?.f_view([-1, 1, 1])?))
    }

    /// Those of some nets, as `pick` makes them of a column.
    pub fn pick(&self, pick: impl Fn(&Tensor) -> Result<Tensor, TchError>) -> Result<Self, TchError> {
        Ok(match self {
            Self::Relu => Self::Relu,
            Self::Tanh => Self::Tanh,
            Self::Mixed(is_tanh) => Self::Mixed(pick(is_tanh)?),
        })
    }

    fn apply(&self, z: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Self::Relu => z.f_relu(),
            Self::Tanh => z.f_tanh(),
            Self::Mixed(is_tanh) => z.f_tanh()?.f_where_self(is_tanh, &z.f_relu()?),
        }
    }
}

/// Every weight and bias of `x` `[n_nets, n_params]` as `[n_nets, outer * n_in, n_out]`, sharing its memory.
pub(super) fn views(x: &Tensor, blocks: &[Block]) -> Result<Vec<Tensor>, TchError> {
    let mut at = 0;
    let view = |&[outer, n_in, n_out]: &Block| {
        let (n_rows, n_out) = ((outer * n_in) as i64, n_out as i64);
        let part = x.f_narrow(1, at, n_rows * n_out)?;
        at += n_rows * n_out;
        part.f_view([-1, n_rows, n_out])
    };
    blocks.iter().map(view).collect()
}

/// The outputs `[n_nets, n, n_out]` for the inputs `[n_nets, n, n_columns]`; `layers` are [`views`].
pub(super) fn forward(
    architecture: Architecture,
    activations: &Activations,
    layers: &[Tensor],
    inputs: &Tensor,
) -> Result<Tensor, TchError> {
    match architecture {
        Architecture::Mlp { n_hidden } => {
            let mut y = linear(inputs, &layers[0], &layers[1])?;
            for l in 1..=n_hidden {
                y = linear(&activations.apply(&y)?, &layers[2 * l], &layers[2 * l + 1])?;
            }
            Ok(y)
        }
    }
}

fn linear(x: &Tensor, weights: &Tensor, biases: &Tensor) -> Result<Tensor, TchError> {
    biases.f_baddbmm(x, weights, 1.0, 1.0)
}
