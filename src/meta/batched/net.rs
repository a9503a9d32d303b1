//! The outputs of many nets of one architecture at once.

use crate::meta::architecture::{Architecture, Block, convolved};
use crate::meta::mlp::InnerActivation;
use tch::{Device, TchError, Tensor};

/// Activation of every net.
pub(super) enum Activations {
    Relu,
    Tanh,
    /// Whether it is tanh, `[n_nets, 1, 1]`.
    Mixed(Tensor),
}

impl Activations {
    pub fn new(of: &[InnerActivation], device: Device) -> Result<Self, TchError> {
        let is_tanh: Vec<bool> = of.iter().map(|&activation| activation == InnerActivation::Tanh).collect();
        if is_tanh.iter().all(|&tanh| tanh == is_tanh[0]) {
            return Ok(if is_tanh.first() == Some(&true) { Self::Tanh } else { Self::Relu });
        }
        Ok(Self::Mixed(Tensor::f_from_slice(&is_tanh)?.f_to_device(device)?.f_view([-1, 1, 1])?))
    }

    /// The activations of some nets, which `pick` takes out of a column.
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

/// Every weight and bias in `x` `[n_nets, n_params]` as `[n_nets, outer * n_in, n_out]`, in the memory of `x`.
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

/// Outputs `[n_nets, n, n_out]` for the inputs `[n_nets, n, n_columns]`; `layers` are the [`views`] of the parameters.
pub(super) fn forward(
    architecture: Architecture,
    geometry: &Geometry,
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
        Architecture::Cnn { .. } => {
            let n = inputs.size()[1];
            let mut pixels = inputs.f_unsqueeze(3)?;
            for (patches, layer) in geometry.patches.iter().zip(layers.chunks_exact(2)) {
                let n_places = patches.numel() as i64 / 9;
                let patches = pixels.f_index_select(2, patches)?.f_reshape([-1, n * n_places, 9 * pixels.size()[3]])?;
                let z = linear(&patches, &layer[0], &layer[1])?;
                pixels = activations.apply(&z)?.f_view([-1, n, n_places, layer[0].size()[2]])?;
            }
            linear(&pixels.f_flatten(2, 3)?, &layers[4], &layers[5])
        }
        Architecture::Rnn { length } => {
            let size = inputs.size();
            let [input, recurrent, biases] = [&layers[0], &layers[1], &layers[2]];
            let places = inputs.f_reshape([size[0], size[1] * length as i64, -1])?;
            let driven = linear(&places, input, biases)?.f_view([size[0], size[1], length as i64, -1])?;
            let mut state = driven.f_select(2, 0)?.f_tanh()?;
            for place in 1..length as i64 {
                state = driven.f_select(2, place)?.f_baddbmm(&state, recurrent, 1.0, 1.0)?.f_tanh()?;
            }
            linear(&state, &layers[3], &layers[4])
        }
        // `Engine::check` has refused it.
        Architecture::Text => Err(TchError::Torch("nets for texts run in the kernel alone".to_owned())),
    }
}

/// Which pixels the convolutions of an architecture read.
pub(super) struct Geometry {
    /// For each convolution the numbers of the pixels under its 3×3 kernel, place by place: `[9 * n_places]`.
    patches: Vec<Tensor>,
}

impl Geometry {
    pub fn new(architecture: Architecture, device: Device) -> Result<Self, TchError> {
        let Architecture::Cnn { side } = architecture else { return Ok(Self { patches: Vec::new() }) };
        let patches = |side: usize, stride: usize| {
            let n = convolved(side, stride);
            let pixel = |i: usize| {
                let (place, (down, right)) = (i / 9, (i % 9 / 3, i % 3));
                ((place / n * stride + down) * side + place % n * stride + right) as i64
            };
            Tensor::f_from_slice(&(0..9 * n * n).map(pixel).collect::<Vec<_>>())?.f_to_device(device)
        };
        Ok(Self { patches: vec![patches(side, 1)?, patches(convolved(side, 1), 2)?] })
    }
}

fn linear(x: &Tensor, weights: &Tensor, biases: &Tensor) -> Result<Tensor, TchError> {
    biases.f_baddbmm(x, weights, 1.0, 1.0)
}
