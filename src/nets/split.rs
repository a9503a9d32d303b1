//! A split of a data set on its device.

use super::NetError;
use crate::data::{Inputs, Split, TargetKind, Targets};
use tch::{Device, Tensor};

/// Examples and targets as tensors.
#[derive(Debug)]
pub struct TensorSplit {
    /// Inputs: `[n, columns]` or `[n, channels, height, width]` (float), or `[n, length]` (word or character numbers).
    pub inputs: Tensor,
    /// Targets: `[n]` or `[n, length]` (class numbers), or `[n, columns]` (float).
    pub targets: Tensor,
    /// Kind of the targets.
    pub kind: TargetKind,
}

impl TensorSplit {
    /// Copies a split to a device.
    ///
    /// # Errors
    /// When the device has too little memory or does not exist.
    pub fn new(split: &Split, device: Device) -> Result<Self, NetError> {
        let n = split.len();
        let inputs = match &split.inputs {
            Inputs::Float { shape, values } => Tensor::f_from_slice(values)?.f_reshape(sizes(n, shape))?,
            Inputs::Tokens { length, ids } => Tensor::f_from_slice(ids)?.f_reshape(sizes(n, &[*length]))?,
        };
        let (targets, kind) = match &split.targets {
            Targets::Classes { per_example: 1, ids } => (Tensor::f_from_slice(ids)?, TargetKind::Classes),
            Targets::Classes { per_example, ids } => {
                (Tensor::f_from_slice(ids)?.f_reshape(sizes(n, &[*per_example]))?, TargetKind::Classes)
            }
            Targets::Values { per_example, values } => {
                (Tensor::f_from_slice(values)?.f_reshape(sizes(n, &[*per_example]))?, TargetKind::Values)
            }
        };
        Ok(Self { inputs: inputs.f_to_device(device)?, targets: targets.f_to_device(device)?, kind })
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.inputs.size().first().map_or(0, |n| *n as usize)
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Inputs and targets of the examples that [`Batches::draw`](crate::data::Batches::draw) returns, where `None`
    /// stands for all examples.
    ///
    /// # Errors
    /// When an index is not that of an example.
    pub fn batch(&self, indices: Option<&[i64]>) -> Result<(Tensor, Tensor), NetError> {
        let Some(indices) = indices else { return Ok((self.inputs.shallow_clone(), self.targets.shallow_clone())) };
        let indices = Tensor::f_from_slice(indices)?.f_to_device(self.inputs.device())?;
        Ok((self.inputs.f_index_select(0, &indices)?, self.targets.f_index_select(0, &indices)?))
    }
}

fn sizes(n: usize, shape: &[usize]) -> Vec<i64> {
    std::iter::once(n).chain(shape.iter().copied()).map(|size| size as i64).collect()
}
