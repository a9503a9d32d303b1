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
    gradients: Vec<GradientSum>,
    /// Losses on the host that are not taken yet, oldest first. A step whose gradient was broken shows a broken loss.
    read: Vec<f32>,
    /// Whether the gradient of the newest step is broken.
    gradient_is_broken: bool,
}

struct GradientSum {
    sum: Tensor,
    /// Number of losses on the device up to this step, its own included.
    n_losses: usize,
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

    /// Forgets all but what was observed for the coming step.
    pub fn forget_counted(&mut self) {
        *self = Self { pending: std::mem::take(&mut self.pending), ..Self::default() };
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
        self.gradients.push(GradientSum { sum: flat.f_sum(Kind::Float)?, n_losses: self.losses.len() });
        Ok(())
    }

    /// Takes note of whether the newest gradient is finite, where somebody has looked.
    pub fn note_gradient_is_finite(&mut self, is_finite: bool) {
        self.gradient_is_broken = !is_finite;
    }

    /// Whether the newest loss and gradient are finite, as a boolean on the device.
    pub fn newest_is_finite(&self) -> Result<Tensor, TorchError> {
        let (Some(loss), Some(gradient)) = (self.losses.last(), self.gradients.last()) else {
            return Err(TorchError::NoLoss);
        };
        // 0 * v is 0 for a finite v and NaN for all others.
        Ok(loss.f_add(&gradient.sum)?.f_mul_scalar(0.0)?.f_eq(0.0)?)
    }

    /// Copies everything to the host, and these vectors to `host`, one behind the other, in one synchronization.
    pub fn read(&mut self, vectors: &[Tensor], host: &mut Vec<f32>) -> Result<(), TorchError> {
        let sums = self.gradients.iter().map(|gradient| &gradient.sum);
        let all: Vec<&Tensor> = vectors.iter().chain(&self.losses).chain(sums).collect();
        if all.is_empty() {
            return Ok(());
        }
        to_host(&all, host)?;
        let n_in_vectors = host.len() - self.losses.len() - self.gradients.len();
        let (losses, sums) = host[n_in_vectors..].split_at_mut(self.losses.len());
        for (gradient, sum) in self.gradients.iter().zip(sums.iter()).filter(|(_, sum)| !sum.is_finite()) {
            if gradient.n_losses == losses.len() {
                self.gradient_is_broken = true;
            } else if let Some(last) = gradient.n_losses.checked_sub(1) {
                losses[last] = *sum;
            }
        }
        self.read.extend_from_slice(losses);
        host.truncate(n_in_vectors);
        self.losses.clear();
        self.gradients.clear();
        Ok(())
    }

    /// Hands over the losses that were read since the last call, and whether the newest gradient is finite.
    pub fn take(&mut self) -> (Vec<f32>, bool) {
        (std::mem::take(&mut self.read), !std::mem::take(&mut self.gradient_is_broken))
    }

    /// Losses since the last decision, for a file.
    pub fn saved(&mut self) -> Result<Vec<f32>, TorchError> {
        self.read(&[], &mut Vec::new())?;
        if std::mem::take(&mut self.gradient_is_broken) {
            // It was masked, and is told by its loss.
            self.read.iter_mut().next_back().into_iter().for_each(|last| *last = f32::NAN);
        }
        Ok(self.read.clone())
    }

    pub fn load(&mut self, read: Vec<f32>) {
        *self = Self { read, ..Self::default() };
    }
}
