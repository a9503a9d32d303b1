//! Update rules that tch does not have: Muon and its filter, Lion, NAdam.

use super::{Span, masked};
use crate::polar::FILTER;
use crate::torch::TorchError;
use crate::torch::optim::orthogonal::muon;
use tch::Tensor;

impl Span {
    /// Plain gradient descent by a filtered gradient.
    pub(super) fn filtered_sgd(&mut self, grad: Tensor, finite: Option<&Tensor>) -> Result<(), TorchError> {
        let grad = self.with_penalty(grad)?;
        let filtered = self.filtered(&grad, FILTER, true)?;
        self.descend(&filtered, finite)
    }

    /// `b <- b + (1 - momentum) (g - b)`, and in Nesterov's form `g + momentum (b - g)`, else `b`.
    fn filtered(&mut self, grad: &Tensor, momentum: f64, nesterov: bool) -> Result<Tensor, TorchError> {
        let mean = self.moments[0].f_lerp_(grad, 1.0 - momentum)?;
        if nesterov { Ok(grad.f_lerp(&mean, momentum)?) } else { Ok(mean) }
    }

    pub(super) fn muon(
        &mut self,
        grad: &Tensor,
        shape: [i64; 2],
        momentum: f64,
        nesterov: bool,
        finite: Option<&Tensor>,
    ) -> Result<(), TorchError> {
        let filtered = self.filtered(grad, momentum, nesterov)?;
        self.target.f_copy_(&filtered)?;
        muon(&mut self.target, shape)?;
        self.decay(finite)?;
        let minus_lr = masked(&self.scalars.minus_lr, finite, 0.0)?;
        let _ = self.param.f_addcmul_(&self.target, &minus_lr)?;
        Ok(())
    }

    /// ```text
    /// c = beta1 m + (1 - beta1) g             m <- m + (1 - beta2) (g - m)
    /// x <- x - lr sign(c)
    /// ```
    pub(super) fn lion(&mut self, grad: &Tensor, betas: [f64; 2], finite: Option<&Tensor>) -> Result<(), TorchError> {
        let sign = self.moments[0].f_lerp(grad, 1.0 - betas[0])?.f_sign()?;
        self.descend(&sign, finite)?;
        let _ = self.moments[0].f_lerp_(grad, 1.0 - betas[1])?;
        Ok(())
    }

    /// ```text
    /// mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2)          p_t = mu_1 ... mu_t
    /// m <- m + (1 - beta1) (g - m)            v <- v + (1 - beta2) (g² - v)
    /// d = mu_(t+1) / (1 - p_(t+1)) m + (1 - mu_t) / (1 - p_t) g
    /// x <- x - lr d / (sqrt(v / (1 - beta2^t)) + eps)
    /// ```
    pub(super) fn nadam(
        &mut self,
        grad: &Tensor,
        betas: [f64; 2],
        eps: f64,
        momentum_decay: f64,
        t: u64,
        finite: Option<&Tensor>,
    ) -> Result<(), TorchError> {
        self.mean_square(1, grad, betas[1])?;
        let mean = self.moments[0].f_lerp_(grad, 1.0 - betas[0])?;
        let mu = |t: u64| betas[0] * (1.0 - 0.5 * 0.96f64.powf(t as f64 * momentum_decay));
        let product = match self.mu_product {
            Some((before, product)) if before + 1 == t => product * mu(t),
            _ => product_of_momenta(mu, t),
        };
        self.mu_product = Some((t, product));
        let of_mean = mu(t + 1) / (1.0 - product * mu(t + 1));
        let of_grad = (1.0 - mu(t)) / (1.0 - product);
        let direction = mean.f_mul_scalar(of_mean)?.f_add(&grad.f_mul_scalar(of_grad)?)?;
        let correction = 1.0 - betas[1].powf(t as f64);
        let denominator = self.root(1, [1.0 / correction.sqrt(), eps], Some(self.lr), finite)?;
        if self.lr > 0.0 {
            let _ = self.target.f_addcdiv_(&direction, &denominator)?;
        }
        Ok(())
    }
}

/// The product of the momenta of the steps 1 to `t`.
fn product_of_momenta(mu: impl Fn(u64) -> f64, t: u64) -> f64 {
    let mut product = 1.0;
    for step in 1..=t {
        product *= mu(step);
        // So small that 1 less the product is 1.
        if product < f64::EPSILON / 4.0 {
            break;
        }
    }
    product
}
