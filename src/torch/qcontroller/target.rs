//! Target of a [`QController`](super::QController): one of our optimizers, or tch's.

use super::TorchError;
use crate::torch::flat::{FlatParams, Gradient, Refreshed};
use crate::torch::optim::{Conditioning, Optimizer, condition_changes, matrices};
use crate::torch::snapshot::Snapshot;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tch::Tensor;
use tch::nn::{self, VarStore};

pub(super) enum Target {
    Ours(Box<Optimizer>),
    Tch(Box<Wrapped>),
}

/// Wrapped tch optimizer, with what cannot be asked of it.
pub(super) struct Wrapped {
    optimizer: nn::Optimizer,
    params: FlatParams,
    group_ratios: Vec<f64>,
    weight_decay: f64,
    conditioning: Conditioning,
    /// Rows and columns of each variable whose changes are orthogonalized; none for the others.
    matrices: Vec<Option<[i64; 2]>>,
}

/// Clipping of the gradient before the step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Clip {
    No,
    /// Every element to [-max, max].
    Value(f64),
    /// All of them together to this norm.
    Norm(f64),
}

impl Target {
    pub fn wrap(optimizer: nn::Optimizer, vs: &VarStore) -> Result<Self, TorchError> {
        let params = FlatParams::new(vs)?;
        let (group_ratios, conditioning, matrices) = (Vec::new(), Conditioning::None, Vec::new());
        let mut wrapped = Wrapped { optimizer, params, group_ratios, weight_decay: 0.0, conditioning, matrices };
        wrapped.take_in_variables()?;
        Ok(Self::Tch(Box::new(wrapped)))
    }

    pub fn params(&self) -> &FlatParams {
        match self {
            Self::Ours(optimizer) => optimizer.flat(),
            Self::Tch(wrapped) => &wrapped.params,
        }
    }

    /// Our optimizer, where it is one: its moments can be saved and rolled back.
    pub fn ours(&self) -> Option<&Optimizer> {
        match self {
            Self::Ours(optimizer) => Some(optimizer),
            Self::Tch(_) => None,
        }
    }

    pub fn conditioning(&self) -> Conditioning {
        match self {
            Self::Ours(optimizer) => optimizer.conditioning(),
            Self::Tch(wrapped) => wrapped.conditioning,
        }
    }

    pub fn set_conditioning(&mut self, conditioning: Conditioning) -> Result<(), TorchError> {
        conditioning.check()?;
        match self {
            Self::Ours(optimizer) => Err(TorchError::NoSuchSetting {
                optimizer: optimizer.algorithm().name(),
                setting: "conditioning that is set here: it stands in OptimConfig",
            }),
            Self::Tch(wrapped) => {
                wrapped.conditioning = conditioning;
                wrapped.find_matrices();
                Ok(())
            }
        }
    }

    /// Begins an average at the parameters of now, where the optimizer has one.
    pub fn begin_average(&mut self) -> Result<(), TorchError> {
        match self {
            Self::Ours(optimizer) => optimizer.begin_average(),
            Self::Tch(_) => Ok(()),
        }
    }

    pub fn refresh(&mut self) -> Result<Refreshed, TorchError> {
        match self {
            Self::Ours(optimizer) => optimizer.refresh(),
            Self::Tch(wrapped) => wrapped.refresh(),
        }
    }

    pub fn set_rates(&mut self, lr: f64, weight_decay: f64) -> Result<(), TorchError> {
        match self {
            Self::Ours(optimizer) => optimizer.set_rates(lr, weight_decay),
            Self::Tch(wrapped) => wrapped.set_rates(lr, weight_decay),
        }
    }

    /// Sets the factor of each group's learning rate.
    pub fn set_group_lr_ratios(&mut self, ratios: &[f64]) -> Result<(), TorchError> {
        match self {
            Self::Ours(optimizer) => optimizer.set_lr_ratios(ratios),
            Self::Tch(wrapped) => {
                wrapped.group_ratios = ratios.to_vec();
                Ok(())
            }
        }
    }

    pub fn set_momentum(&mut self, momentum: f64) -> Result<(), TorchError> {
        match self {
            Self::Ours(optimizer) => optimizer.set_momentum(momentum),
            Self::Tch(wrapped) => {
                if !(0.0..1.0).contains(&momentum) {
                    return Err(TorchError::OutOfRange { name: "momentum", value: momentum, allowed: "in [0, 1)" });
                }
                unwinding("set_momentum", || wrapped.optimizer.set_momentum(momentum))
            }
        }
    }

    /// Takes step number `step` (from 0), by this gradient where it is given; tch's optimizer always goes by the
    /// gradients on the variables. Ours moves no parameter where `finite` is false.
    pub fn apply(&mut self, step: u64, gradient: Option<&Gradient>, finite: Option<&Tensor>) -> Result<(), TorchError> {
        match (self, gradient) {
            (Self::Ours(optimizer), Some(gradient)) => optimizer.apply(gradient, finite),
            (Self::Ours(optimizer), None) => optimizer.step(),
            (Self::Tch(wrapped), _) => wrapped.step(step),
        }
    }

    pub fn restore(&mut self, snapshot: &mut Snapshot) -> Result<(), TorchError> {
        match self {
            Self::Ours(optimizer) => snapshot.restore_with(optimizer),
            Self::Tch(wrapped) => snapshot.restore(&wrapped.params),
        }
    }

    /// Clips the gradient that the coming step will use: ours reads the flat one, tch's those that hang on the
    /// variables.
    pub fn clip(&self, gradient: &Gradient, clip: Clip) -> Result<(), TorchError> {
        let mut parts = match (clip, self) {
            (Clip::No, _) => return Ok(()),
            (_, Self::Ours(_)) => vec![gradient.flat.shallow_clone()],
            (_, Self::Tch(wrapped)) => wrapped.params.gradients()?,
        };
        match clip {
            Clip::No => {}
            Clip::Value(max) => {
                for part in &mut parts {
                    let _ = part.f_clamp_(-max, max)?;
                }
            }
            Clip::Norm(max) => {
                let norm = gradient.flat.f_norm()?;
                let shrink = norm.f_add_scalar(1e-6)?.f_reciprocal()?.f_mul_scalar(max)?.f_clamp_max(1.0)?;
                for part in &mut parts {
                    let _ = part.f_mul_(&shrink)?;
                }
            }
        }
        Ok(())
    }
}

impl Wrapped {
    fn step(&mut self, step: u64) -> Result<(), TorchError> {
        let Some(how) = self.conditioning.orthogonal().filter(|how| step.is_multiple_of(how.every)) else {
            return unwinding("step", || self.optimizer.step());
        };
        let before = self.params.data().f_detach_copy()?;
        unwinding("step", || self.optimizer.step())?;
        condition_changes(&self.params, &self.matrices, &before, how)
    }

    fn find_matrices(&mut self) {
        let how = self.conditioning.orthogonal();
        self.matrices = how.map_or_else(Vec::new, |how| matrices(&self.params, &[], how.head));
    }

    fn refresh(&mut self) -> Result<Refreshed, TorchError> {
        let refreshed = self.params.refresh()?;
        if refreshed == Refreshed::Grown {
            self.take_in_variables()?;
        }
        Ok(refreshed)
    }

    /// Has tch's optimizer take in variables that were made after it. It does so only as it zeroes gradients, which are
    /// made again, or steps. A new group has the rates that the optimizer was built with, until they are set.
    fn take_in_variables(&mut self) -> Result<(), TorchError> {
        let carried = self.params.carried_gradients()?;
        unwinding("zero_grad", || self.optimizer.zero_grad())?;
        if let Some(carried) = carried {
            carried.f_backward()?;
        }
        if !self.group_ratios.is_empty() {
            self.group_ratios.resize(self.params.n_groups(), 1.0);
        }
        self.find_matrices();
        if self.weight_decay != 0.0 {
            let weight_decay = self.weight_decay;
            unwinding("set_weight_decay", || self.optimizer.set_weight_decay(weight_decay))?;
        }
        Ok(())
    }

    fn set_rates(&mut self, lr: f64, weight_decay: f64) -> Result<(), TorchError> {
        let Self { optimizer, group_ratios, .. } = self;
        if group_ratios.is_empty() {
            unwinding("set_lr", || optimizer.set_lr(lr))?;
        }
        for (group, ratio) in group_ratios.iter().enumerate() {
            unwinding("set_lr_group", || optimizer.set_lr_group(group, lr * ratio))?;
        }
        // A weight decay that this controller was not told of stays as it was built.
        if weight_decay.to_bits() != self.weight_decay.to_bits() {
            unwinding("set_weight_decay", || self.optimizer.set_weight_decay(weight_decay))?;
            self.weight_decay = weight_decay;
        }
        Ok(())
    }
}

/// Calls tch's optimizer, which unwraps every error of libtorch, and turns its panic into an error.
fn unwinding(call: &'static str, f: impl FnOnce()) -> Result<(), TorchError> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
        let message = payload.downcast_ref::<String>().cloned();
        let message = message.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        TorchError::WrappedOptimizer { call, message: message.unwrap_or_else(|| "an unknown panic".to_owned()) }
    })
}
