//! Schedule-Free (Defazio et al. 2024, arXiv 2405.15682), as its package `schedulefree` takes the steps, without warmup.
//!
//! The net holds y, where gradients are taken. The first moment is z, which the steps of the base algorithm move. The
//! average of all z, weighted by the square of the largest learning rate so far, is x: what is evaluated and kept in the
//! end. It is not stored, because `y = beta x + (1 - beta) z`.

use super::{Span, masked};
use crate::torch::TorchError;
use crate::torch::optim::options_of;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// What an average remembers: of the learning rates, or how many steps it has taken in.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Average {
    largest_lr: f64,
    sum_of_weights: f64,
}

impl Average {
    /// Takes in a step. Returns the share of the newest z in the average.
    pub fn take_in(&mut self, lr: f64) -> f64 {
        self.largest_lr = self.largest_lr.max(lr);
        let weight = self.largest_lr * self.largest_lr;
        self.sum_of_weights += weight;
        if self.sum_of_weights > 0.0 { weight / self.sum_of_weights } else { 0.0 }
    }

    /// Takes in a step of a running average, whose window is `share` of its steps so far. Returns the weight of the
    /// newest parameters in it.
    pub fn take_in_step(&mut self, share: f64) -> f64 {
        self.sum_of_weights += 1.0;
        1.0 / (share * self.sum_of_weights).max(1.0)
    }

    /// Whether it has not taken in anything yet.
    pub fn is_empty(&self) -> bool {
        self.sum_of_weights == 0.0
    }

    /// Whether some run can have left it.
    pub fn is_sound(&self) -> bool {
        [self.largest_lr, self.sum_of_weights].iter().all(|value| value.is_finite() && *value >= 0.0)
    }
}

impl Span {
    /// ```text
    /// g <- g + weight_decay y
    /// y <- y + share (z - y) + lr (beta (1 - share) - 1) g             z <- z - lr g
    /// ```
    pub(super) fn schedule_free_sgd(
        &mut self,
        grad: Tensor,
        beta: f64,
        share: f64,
        t: u64,
        finite: Option<&Tensor>,
    ) -> Result<(), TorchError> {
        let grad = self.with_penalty(grad)?;
        self.schedule_free(&grad, beta, share, t, finite)
    }

    /// ```text
    /// v <- v + (1 - beta2) (g² - v)
    /// g <- g / (sqrt(v / (1 - beta2^t)) + eps) + weight_decay y        then as above
    /// ```
    pub(super) fn schedule_free_adamw(
        &mut self,
        grad: &Tensor,
        [beta1, beta2]: [f64; 2],
        eps: f64,
        share: f64,
        t: u64,
        finite: Option<&Tensor>,
    ) -> Result<(), TorchError> {
        self.mean_square(1, grad, beta2)?;
        let correction = 1.0 - beta2.powf(t as f64);
        let denominator = self.root(1, [1.0 / correction.sqrt(), eps], None, None)?;
        let direction = self.with_penalty(grad.f_div(&denominator)?)?;
        self.schedule_free(&direction, beta1, share, t, finite)
    }

    fn schedule_free(
        &mut self,
        direction: &Tensor,
        beta: f64,
        share: f64,
        t: u64,
        finite: Option<&Tensor>,
    ) -> Result<(), TorchError> {
        let z = &mut self.moments[0];
        if t == 1 {
            z.f_copy_(&self.param)?;
        }
        let options = options_of(&self.param)?;
        let on_device = |value: f64| masked(&Tensor::f_full([], value, options)?, finite, 0.0);
        let _ = self.param.f_lerp_tensor_(z, &on_device(share)?)?;
        let _ = self.param.f_addcmul_(direction, &on_device(self.lr * (beta * (1.0 - share) - 1.0))?)?;
        let _ = z.f_addcmul_(direction, &masked(&self.scalars.minus_lr, finite, 0.0)?)?;
        Ok(())
    }
}
