//! Losses since the last decision. They stay on the device until somebody has to look.

use super::TorchError;
use crate::torch::flat::to_host;
use tch::{Kind, Tensor};

/// Losses and finite flags that the driver has not been told of.
#[derive(Default)]
pub(super) struct LossLog {
    /// Losses that were observed for the coming step.
    pending: Vec<Tensor>,
    /// Losses on the device.
    losses: Vec<Tensor>,
    /// Sum of the gradient of each step on the device: finite where the gradient is.
    gradient_sums: Vec<Tensor>,
    /// Losses on the host that are not taken yet, oldest first.
    read: Vec<f32>,
    gradients_are_broken: bool,
}

impl LossLog {
    pub fn observe(&mut self, loss: &Tensor) -> Result<(), TorchError> {
        if loss.numel() != 1 {
            return Err(TorchError::LossShape { shape: loss.size() });
        }
        let loss = loss.f_detach()?;
        let loss = if loss.dim() == 0 { loss } else { loss.f_reshape([])? };
        self.pending.push(if loss.f_kind()? == Kind::Float { loss } else { loss.f_to_kind(Kind::Float)? });
        Ok(())
    }

    pub fn forget_pending(&mut self) {
        self.pending.clear();
    }

    /// Counts the observed losses: the step is taken.
    pub fn count_pending(&mut self) -> Result<(), TorchError> {
        if self.pending.is_empty() {
            return Err(TorchError::NoLoss);
        }
        self.losses.append(&mut self.pending);
        Ok(())
    }

    /// Takes note of the sum of a gradient. It is finite only if all its terms are, and nothing else is as cheap to ask
    /// of a gradient.
    pub fn note_gradient(&mut self, flat: &Tensor) -> Result<(), TorchError> {
        self.gradient_sums.push(flat.f_sum(Kind::Float)?);
        Ok(())
    }

    /// Takes note of whether a gradient is finite, where somebody has looked.
    pub fn note_gradient_is_finite(&mut self, is_finite: bool) {
        self.gradients_are_broken |= !is_finite;
    }

    /// Whether the newest loss and gradient are finite, as a boolean on the device.
    pub fn newest_is_finite(&self) -> Result<Tensor, TorchError> {
        let (Some(loss), Some(sum)) = (self.losses.last(), self.gradient_sums.last()) else {
            return Err(TorchError::NoLoss);
        };
        // 0 * v is 0 for a finite v and NaN for all others.
        Ok(loss.f_add(sum)?.f_mul_scalar(0.0)?.f_eq(0.0)?)
    }

    /// Copies everything to the host, and these vectors to `host`, one behind the other, in one synchronization.
    pub fn read(&mut self, vectors: &[Tensor], host: &mut Vec<f32>) -> Result<(), TorchError> {
        let all: Vec<&Tensor> = vectors.iter().chain(&self.losses).chain(&self.gradient_sums).collect();
        if all.is_empty() {
            return Ok(());
        }
        to_host(&all, host)?;
        let n_in_vectors = host.len() - self.losses.len() - self.gradient_sums.len();
        let (losses, sums) = host[n_in_vectors..].split_at(self.losses.len());
        self.read.extend_from_slice(losses);
        self.gradients_are_broken |= sums.iter().any(|sum| !sum.is_finite());
        host.truncate(n_in_vectors);
        self.losses.clear();
        self.gradient_sums.clear();
        Ok(())
    }

    /// Hands over the losses that were read since the last call, and whether all gradients were finite.
    pub fn take(&mut self) -> (Vec<f32>, bool) {
        (std::mem::take(&mut self.read), !std::mem::take(&mut self.gradients_are_broken))
    }

    /// Losses since the last decision, and whether a gradient was broken, for a file.
    pub fn saved(&mut self) -> Result<(Vec<f32>, bool), TorchError> {
        self.read(&[], &mut Vec::new())?;
        Ok((self.read.clone(), self.gradients_are_broken))
    }

    pub fn load(&mut self, read: Vec<f32>, gradients_are_broken: bool) {
        *self = Self { read, gradients_are_broken, ..Self::default() };
    }
}
