//! The update rules, on one run of neighboring parameters.

mod newer;
pub(crate) mod schedule_free;

use super::orthogonal::condition;
use super::{Algorithm, GroupConfig, OptimConfig, TorchError, options_of};
use std::ops::Range;
use tch::Tensor;

/// Neighboring variables with the same group and step count that are updated together, or one weight matrix that is
/// orthogonalized.
pub(super) struct Span {
    pub first_variable: usize,
    part: Part,
    /// The parameters of the span; like the moments, a view of the flat buffer.
    param: Tensor,
    /// What the update rule adds its change to: the parameters themselves, or for a matrix a tensor of zeros.
    target: Tensor,
    moments: Vec<Tensor>,
    /// Buffer for intermediate results, `[n_span]`, if the rule needs one.
    scratch: Option<Tensor>,
    /// NAdam's product of momenta, with the step that it belongs to.
    mu_product: Option<(u64, f64)>,
    lr: f64,
    weight_decay: f64,
    scalars: Scalars,
}

/// Part of the flat buffer.
pub(super) struct Part {
    pub group: usize,
    pub range: Range<i64>,
    /// Whether it is all of the buffer.
    pub whole: bool,
    /// Rows and columns, if it is a matrix that is orthogonalized.
    pub matrix: Option<[i64; 2]>,
}

/// Factors on the device, because tch has a fused multiply-add only with tensors.
struct Scalars {
    minus_lr: Tensor,
    weight_decay: Tensor,
    decay: Tensor,
    momentum: Tensor,
    offset: Tensor,
}

impl Span {
    pub fn new(first_variable: usize, part: Part, data: &Tensor, moments: &[Tensor]) -> Result<Self, TorchError> {
        let options = options_of(data)?;
        let scalar = || Tensor::f_zeros([], options);
        let mut span = Self {
            first_variable,
            part,
            param: Tensor::new(),
            target: Tensor::new(),
            moments: Vec::new(),
            scratch: None,
            mu_product: None,
            lr: 0.0,
            weight_decay: 0.0,
            scalars: Scalars {
                minus_lr: scalar()?,
                weight_decay: scalar()?,
                decay: scalar()?,
                momentum: scalar()?,
                offset: scalar()?,
            },
        };
        span.param = span.part(data)?;
        span.target = match span.part.matrix {
            Some(_) => span.param.f_zeros_like()?,
            None => span.param.shallow_clone(),
        };
        span.moments = moments.iter().map(|moment| span.part(moment)).collect::<Result<_, _>>()?;
        Ok(span)
    }

    /// Sets the rates to those of the span's group.
    pub fn set_rates(&mut self, config: &OptimConfig) -> Result<(), TorchError> {
        let _guard = tch::no_grad_guard();
        let group = config.groups.get(self.part.group).copied().unwrap_or_default();
        let GroupConfig { lr_ratio, weight_decay_ratio, .. } = group;
        self.lr = config.lr * lr_ratio;
        self.weight_decay = config.weight_decay * weight_decay_ratio;
        let _ = self.scalars.minus_lr.f_fill_(single(-self.lr))?;
        let _ = self.scalars.weight_decay.f_fill_(single(self.weight_decay))?;
        let _ = self.scalars.decay.f_fill_(single(1.0 - self.lr * self.weight_decay))?;
        if let Algorithm::Sgd { momentum, .. } | Algorithm::RmsProp { momentum, .. } = config.algorithm {
            let _ = self.scalars.momentum.f_fill_(momentum)?;
        }
        Ok(())
    }

    /// Takes step number `t` (from 1) with the flat gradient of all parameters. `share` is that of the newest step in a
    /// schedule-free average.
    pub fn update(
        &mut self,
        config: &OptimConfig,
        gradient: &Tensor,
        t: u64,
        share: f64,
        finite: Option<&Tensor>,
    ) -> Result<(), TorchError> {
        let grad = self.part(gradient)?;
        let Some(shape) = self.part.matrix else { return self.propose(config, grad, t, share, finite) };
        if let Algorithm::Muon { momentum, nesterov, .. } = config.algorithm {
            return self.muon(&grad, shape, momentum, nesterov, finite);
        }
        let _ = self.target.f_zero_()?;
        self.propose(config, grad, t, share, finite)?;
        if let Some(how) = config.conditioning.orthogonal().filter(|how| (t - 1).is_multiple_of(how.every)) {
            condition(&mut self.target, shape, how)?;
        }
        let _ = self.param.f_add_(&self.target)?;
        Ok(())
    }

    /// Adds the change of the update rule to the target. Decoupled weight decay goes to the parameters.
    fn propose(
        &mut self,
        config: &OptimConfig,
        grad: Tensor,
        t: u64,
        share: f64,
        finite: Option<&Tensor>,
    ) -> Result<(), TorchError> {
        match config.algorithm {
            Algorithm::Sgd { .. } if config.filters() && self.part.matrix.is_some() => self.filtered_sgd(grad, finite),
            Algorithm::Sgd { momentum, nesterov } => self.sgd(grad, momentum, nesterov, finite),
            Algorithm::Adam { beta1, beta2, eps } => {
                let grad = self.with_penalty(grad)?;
                self.adam(&grad, [beta1, beta2], eps, t, finite)
            }
            Algorithm::AdamW { beta1, beta2, eps } | Algorithm::Muon { beta1, beta2, eps, .. } => {
                self.decay(finite)?;
                self.adam(&grad, [beta1, beta2], eps, t, finite)
            }
            Algorithm::RmsProp { alpha, eps, momentum } => {
                let grad = self.with_penalty(grad)?;
                self.rms_prop(&grad, alpha, eps, momentum, finite)
            }
            Algorithm::NAdam { beta1, beta2, eps, momentum_decay } => {
                let grad = self.with_penalty(grad)?;
                self.nadam(&grad, [beta1, beta2], eps, momentum_decay, t, finite)
            }
            Algorithm::Lion { beta1, beta2 } => {
                self.decay(finite)?;
                self.lion(&grad, [beta1, beta2], finite)
            }
            Algorithm::ScheduleFreeSgd { momentum } => self.schedule_free_sgd(grad, momentum, share, t, finite),
            Algorithm::ScheduleFreeAdamW { beta1, beta2, eps } => {
                self.schedule_free_adamw(&grad, [beta1, beta2], eps, share, t, finite)
            }
        }
    }

    fn sgd(&mut self, grad: Tensor, momentum: f64, nesterov: bool, finite: Option<&Tensor>) -> Result<(), TorchError> {
        let grad = self.with_penalty(grad)?;
        if momentum <= 0.0 {
            return self.descend(&grad, finite);
        }
        let velocity = self.moments[0].shallow_clone();
        let _ = grad.f_addcmul_out(&velocity, &velocity, &self.scalars.momentum)?;
        let direction = if nesterov { grad.f_addcmul(&velocity, &self.scalars.momentum)? } else { velocity };
        self.descend(&direction, finite)
    }

    /// Adds `-lr` times the direction to the target.
    fn descend(&mut self, direction: &Tensor, finite: Option<&Tensor>) -> Result<(), TorchError> {
        let minus_lr = masked(&self.scalars.minus_lr, finite, 0.0)?;
        let _ = self.target.f_addcmul_(direction, &minus_lr)?;
        Ok(())
    }

    /// ```text
    /// m <- m + (1 - beta1) (g - m)            v <- v + (1 - beta2) (g² - v)
    /// x <- x - lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + eps)
    /// ```
    fn adam(
        &mut self,
        grad: &Tensor,
        betas: [f64; 2],
        eps: f64,
        t: u64,
        finite: Option<&Tensor>,
    ) -> Result<(), TorchError> {
        self.mean_square(1, grad, betas[1])?;
        let _ = self.moments[0].f_lerp_(grad, 1.0 - betas[0])?;
        let correction = betas.map(|beta| 1.0 - beta.powf(t as f64));
        let step_size = self.lr / correction[0];
        let denominator = self.root(1, [1.0 / correction[1].sqrt(), eps], Some(step_size), finite)?;
        if self.lr > 0.0 {
            let _ = self.target.f_addcdiv_(&self.moments[0], &denominator)?;
        }
        Ok(())
    }

    /// ```text
    /// v <- v + (1 - alpha) (g² - v)           b <- momentum b + g / (sqrt(v) + eps)
    /// x <- x - lr b
    /// ```
    fn rms_prop(
        &mut self,
        grad: &Tensor,
        alpha: f64,
        eps: f64,
        momentum: f64,
        finite: Option<&Tensor>,
    ) -> Result<(), TorchError> {
        self.mean_square(0, grad, alpha)?;
        if momentum > 0.0 {
            let denominator = self.root(0, [1.0, eps], None, None)?;
            let _ = self.moments[1].f_mul_(&self.scalars.momentum)?;
            let _ = self.moments[1].f_addcdiv_(grad, &denominator)?;
            let buffer = self.moments[1].shallow_clone();
            self.descend(&buffer, finite)?;
        } else if self.lr > 0.0 {
            let denominator = self.root(0, [1.0, eps], Some(self.lr), finite)?;
            let _ = self.target.f_addcdiv_(grad, &denominator)?;
        }
        Ok(())
    }

    /// Computes `v <- beta v + (1 - beta) g²`. Leaves `g²` in the scratch buffer.
    fn mean_square(&mut self, moment: usize, grad: &Tensor, beta: f64) -> Result<(), TorchError> {
        if self.scratch.is_none() {
            self.scratch = Some(self.param.f_empty_like()?);
        }
        let Some(scratch) = &self.scratch else { return Ok(()) };
        let _ = grad.f_mul_out(scratch, grad)?;
        let _ = self.moments[moment].f_lerp_(scratch, 1.0 - beta)?;
        Ok(())
    }

    /// Computes `factor sqrt(v) + eps` in the scratch buffer. With a step size it is divided by `-step_size`, so that
    /// one `addcdiv_` makes the step.
    ///
    /// If the gradient is not finite the result is infinite, and a step that is divided by it is 0.
    fn root(
        &mut self,
        moment: usize,
        [factor, eps]: [f64; 2],
        step_size: Option<f64>,
        finite: Option<&Tensor>,
    ) -> Result<Tensor, TorchError> {
        let scale = step_size.map_or(1.0, |step_size| -1.0 / step_size);
        let (factor, offset) = (single(factor * scale), single(eps * scale));
        let scratch = self.scratch.get_or_insert_with(Tensor::new);
        let _ = self.moments[moment].f_sqrt_out(scratch)?;
        // lerp is the one fused multiply-add with scalars: s + w (c - s) = (1 - w) s + w c. Below 1 the factor 1 - w
        // would lose digits.
        let fused = factor <= -1.0;
        let _ = self.scalars.offset.f_fill_(if fused { offset / (1.0 - factor) } else { offset })?;
        let offset = masked(&self.scalars.offset, finite, f64::INFINITY)?;
        if fused {
            let _ = scratch.f_lerp_(&offset, 1.0 - factor)?;
        } else {
            let _ = scratch.f_mul_scalar_(factor)?;
            let _ = scratch.f_add_(&offset)?;
        }
        Ok(scratch.shallow_clone())
    }

    /// `g + weight_decay x`: the gradient of the loss plus that of the penalty.
    fn with_penalty(&self, grad: Tensor) -> Result<Tensor, TorchError> {
        if self.weight_decay == 0.0 {
            return Ok(grad);
        }
        Ok(grad.f_addcmul(&self.param, &self.scalars.weight_decay)?)
    }

    /// Computes `x <- (1 - lr weight_decay) x`.
    fn decay(&mut self, finite: Option<&Tensor>) -> Result<(), TorchError> {
        if self.weight_decay != 0.0 {
            let _ = self.param.f_mul_(&masked(&self.scalars.decay, finite, 1.0)?)?;
        }
        Ok(())
    }

    fn part(&self, flat: &Tensor) -> Result<Tensor, TorchError> {
        if self.part.whole {
            return Ok(flat.shallow_clone());
        }
        let Range { start, end } = self.part.range;
        Ok(flat.f_narrow(0, start, end - start)?)
    }
}

/// `value` if `finite`, else `otherwise`.
pub(super) fn only_if(finite: &Tensor, value: &Tensor, otherwise: f64) -> Result<Tensor, TorchError> {
    let otherwise = Tensor::f_full([], otherwise, options_of(value)?)?;
    Ok(value.f_where_self(finite, &otherwise)?)
}

/// The nearest number that single precision holds: libtorch refuses others, and tch then panics.
fn single(value: f64) -> f64 {
    value.clamp(f64::from(f32::MIN), f64::from(f32::MAX))
}

fn masked(value: &Tensor, finite: Option<&Tensor>, otherwise: f64) -> Result<Tensor, TorchError> {
    finite.map_or_else(|| Ok(value.shallow_clone()), |finite| only_if(finite, value, otherwise))
}
