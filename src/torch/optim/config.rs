//! Configuration of an optimizer.

use super::conditioning::Conditioning;
use super::{TorchError, in_range};
use serde::{Deserialize, Serialize};

/// Update rule of an optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// Stochastic gradient descent: `b <- momentum b + g; x <- x - lr b`.
    Sgd {
        /// Momentum, in [0, 1); 0 for plain gradient descent.
        momentum: f64,
        /// Whether to use Nesterov's form: `x <- x - lr (g + momentum b)`; only with momentum.
        nesterov: bool,
    },
    /// Adam (Kingma and Ba 2015, arXiv 1412.6980). Weight decay is added to the gradient.
    Adam {
        /// Decay of the mean of the gradient, in [0, 1).
        beta1: f64,
        /// Decay of the mean of its square, in [0, 1).
        beta2: f64,
        /// Positive number that keeps the denominator away from 0.
        eps: f64,
    },
    /// AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101): Adam with decoupled weight decay.
    AdamW {
        /// Decay of the mean of the gradient, in [0, 1).
        beta1: f64,
        /// Decay of the mean of its square, in [0, 1).
        beta2: f64,
        /// Positive number that keeps the denominator away from 0.
        eps: f64,
    },
    /// RMSprop (Tieleman and Hinton 2012), not centered.
    RmsProp {
        /// Decay of the mean of the squared gradient, in [0, 1).
        alpha: f64,
        /// Positive number that keeps the denominator away from 0.
        eps: f64,
        /// Momentum, in [0, 1).
        momentum: f64,
    },
    /// NAdam (Dozat 2016): Adam with Nesterov's momentum. Weight decay is added to the gradient.
    NAdam {
        /// Decay of the mean of the gradient, in [0, 1).
        beta1: f64,
        /// Decay of the mean of its square, in [0, 1).
        beta2: f64,
        /// Positive number that keeps the denominator away from 0.
        eps: f64,
        /// Speed with which the momentum rises from half of beta1 to beta1, at least 0.
        momentum_decay: f64,
    },
    /// Lion (Chen et al. 2023, arXiv 2302.06675, algorithm 2): the sign of a mixture of the gradient and its mean. Weight
    /// decay is decoupled.
    Lion {
        /// Share of the mean in the mixture, in [0, 1).
        beta1: f64,
        /// Decay of the mean of the gradient, in [0, 1).
        beta2: f64,
    },
    /// Muon (Keller Jordan 2024) for the weight matrices of hidden layers: momentum, then orthogonalized, then scaled to
    /// the length of AdamW's steps (Liu et al. 2025, arXiv 2502.16982), so that one learning rate does for both. AdamW for
    /// the rest: vectors, embeddings, the head. Weight decay is decoupled.
    Muon {
        /// Decay of the mean of the gradient of a matrix, in [0, 1).
        momentum: f64,
        /// Whether to use Nesterov's form.
        nesterov: bool,
        /// AdamW's decay of the mean of the gradient, in [0, 1).
        beta1: f64,
        /// AdamW's decay of the mean of its square, in [0, 1).
        beta2: f64,
        /// AdamW's positive number that keeps the denominator away from 0.
        eps: f64,
    },
    /// Schedule-Free SGD (Defazio et al. 2024, arXiv 2405.15682): the gradient is taken between the newest parameters and
    /// their average. See [`Optimizer::averaged`](super::Optimizer::averaged). Weight decay is added to the gradient.
    ScheduleFreeSgd {
        /// Share of the average where the gradient is taken, in (0, 1).
        momentum: f64,
    },
    /// Schedule-Free AdamW, of the same paper. Weight decay is that of AdamW, at the point of the gradient.
    ScheduleFreeAdamW {
        /// Share of the average where the gradient is taken, in (0, 1).
        beta1: f64,
        /// Decay of the mean of the squared gradient, in [0, 1).
        beta2: f64,
        /// Positive number that keeps the denominator away from 0.
        eps: f64,
    },
}

impl Algorithm {
    /// Plain gradient descent.
    pub const SGD: Self = Self::Sgd { momentum: 0.0, nesterov: false };
    /// SGD with momentum 0.9.
    pub const MOMENTUM: Self = Self::Sgd { momentum: 0.9, nesterov: false };
    /// SGD with momentum 0.9 in Nesterov's form.
    pub const NESTEROV: Self = Self::Sgd { momentum: 0.9, nesterov: true };
    /// Adam with PyTorch's defaults.
    pub const ADAM: Self = Self::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 };
    /// AdamW with PyTorch's defaults (its weight decay of 0.01 is the caller's to set).
    pub const ADAMW: Self = Self::AdamW { beta1: 0.9, beta2: 0.999, eps: 1e-8 };
    /// RMSprop with PyTorch's defaults.
    pub const RMSPROP: Self = Self::RmsProp { alpha: 0.99, eps: 1e-8, momentum: 0.0 };
    /// NAdam with PyTorch's defaults.
    pub const NADAM: Self = Self::NAdam { beta1: 0.9, beta2: 0.999, eps: 1e-8, momentum_decay: 4e-3 };
    /// Lion with the defaults of its authors.
    pub const LION: Self = Self::Lion { beta1: 0.9, beta2: 0.99 };
    /// Muon and AdamW with PyTorch's defaults.
    pub const MUON: Self = Self::Muon { momentum: 0.95, nesterov: true, beta1: 0.9, beta2: 0.999, eps: 1e-8 };

    /// Schedule-Free SGD with the momentum of its package, 0.9.
    pub const SCHEDULE_FREE_SGD: Self = Self::ScheduleFreeSgd { momentum: 0.9 };
    /// Schedule-Free AdamW with the defaults of its package.
    pub const SCHEDULE_FREE_ADAMW: Self = Self::ScheduleFreeAdamW { beta1: 0.9, beta2: 0.999, eps: 1e-8 };

    /// Name of the update rule.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sgd { nesterov: true, .. } => "SGD with Nesterov momentum",
            Self::Sgd { momentum, .. } if *momentum > 0.0 => "SGD with momentum",
            Self::Sgd { .. } => "SGD",
            Self::Adam { .. } => "Adam",
            Self::AdamW { .. } => "AdamW",
            Self::RmsProp { .. } => "RMSprop",
            Self::NAdam { .. } => "NAdam",
            Self::Lion { .. } => "Lion",
            Self::Muon { .. } => "Muon",
            Self::ScheduleFreeSgd { .. } => "Schedule-Free SGD",
            Self::ScheduleFreeAdamW { .. } => "Schedule-Free AdamW",
        }
    }

    /// Number of values that it keeps for every parameter.
    pub(super) fn n_moments(&self) -> usize {
        match *self {
            Self::Sgd { momentum, .. } => usize::from(momentum > 0.0),
            Self::Adam { .. } | Self::AdamW { .. } | Self::NAdam { .. } | Self::Muon { .. } => 2,
            Self::Lion { .. } | Self::ScheduleFreeSgd { .. } => 1,
            Self::ScheduleFreeAdamW { .. } => 2,
            Self::RmsProp { momentum, .. } => 1 + usize::from(momentum > 0.0),
        }
    }

    /// Share of the average in the parameters of the net, where there is an average.
    pub(super) fn share_of_average(&self) -> Option<f64> {
        match *self {
            Self::ScheduleFreeSgd { momentum } => Some(momentum),
            Self::ScheduleFreeAdamW { beta1, .. } => Some(beta1),
            _ => None,
        }
    }

    /// Why it has no conditioning, if it has none.
    fn has_no_conditioning(&self) -> Option<&'static str> {
        match self {
            Self::Muon { .. } => Some("conditioning: it orthogonalizes by itself"),
            Self::ScheduleFreeSgd { .. } | Self::ScheduleFreeAdamW { .. } => Some("conditioning"),
            _ => None,
        }
    }

    fn check(&self) -> Result<(), TorchError> {
        let decay = |name, value: f64| in_range(name, value, (0.0..1.0).contains(&value), "in [0, 1)");
        let positive = |name, value: f64| in_range(name, value, value > 0.0 && value.is_finite(), "a positive number");
        match *self {
            Self::Sgd { momentum, nesterov } => {
                decay("momentum", momentum)?;
                in_range("momentum", momentum, !nesterov || momentum > 0.0, "greater than 0 with nesterov")
            }
            Self::Adam { beta1, beta2, eps } | Self::AdamW { beta1, beta2, eps } => {
                decay("beta1", beta1)?;
                decay("beta2", beta2)?;
                positive("eps", eps)
            }
            Self::RmsProp { alpha, eps, momentum } => {
                decay("alpha", alpha)?;
                decay("momentum", momentum)?;
                positive("eps", eps)
            }
            Self::NAdam { beta1, beta2, eps, momentum_decay } => {
                decay("beta1", beta1)?;
                decay("beta2", beta2)?;
                positive("eps", eps)?;
                let fits = momentum_decay >= 0.0 && momentum_decay.is_finite();
                in_range("momentum_decay", momentum_decay, fits, "zero or a positive number")
            }
            Self::Lion { beta1, beta2 } => {
                decay("beta1", beta1)?;
                decay("beta2", beta2)
            }
            Self::ScheduleFreeSgd { momentum } => {
                in_range("momentum", momentum, momentum > 0.0 && momentum < 1.0, "in (0, 1)")
            }
            Self::ScheduleFreeAdamW { beta1, beta2, eps } => {
                in_range("beta1", beta1, beta1 > 0.0 && beta1 < 1.0, "in (0, 1)")?;
                decay("beta2", beta2)?;
                positive("eps", eps)
            }
            Self::Muon { momentum, beta1, beta2, eps, .. } => {
                decay("momentum", momentum)?;
                decay("beta1", beta1)?;
                decay("beta2", beta2)?;
                positive("eps", eps)
            }
        }
    }
}

/// Configuration of an [`Optimizer`](super::Optimizer).
///
/// | Name | Default | Range |
/// |---|---|---|
/// | `algorithm` | required | see [`Algorithm`] |
/// | `lr` | required | ≥ 0 |
/// | `weight_decay` | 0 | ≥ 0 |
/// | `groups` | empty | ratios ≥ 0 |
/// | `conditioning` | none | see [`Orthogonal`](super::Orthogonal); none with Muon, which orthogonalizes by itself, and Schedule-Free |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OptimConfig {
    /// Update rule.
    pub algorithm: Algorithm,
    /// Learning rate of a group with ratio 1.
    pub lr: f64,
    /// Weight decay of a group with ratio 1, as PyTorch defines it: its gradient is `weight_decay * x`.
    pub weight_decay: f64,
    /// Ratios of the groups of the `VarStore`, by their number; a group that is not listed has ratio 1.
    pub groups: Vec<GroupConfig>,
    /// What becomes of the changes of weight matrices.
    #[serde(default)]
    pub conditioning: Conditioning,
}

impl OptimConfig {
    /// A configuration without weight decay and conditioning, in which all groups have ratio 1.
    pub fn new(algorithm: Algorithm, lr: f64) -> Self {
        Self { algorithm, lr, weight_decay: 0.0, groups: Vec::new(), conditioning: Conditioning::None }
    }

    /// Number of values that the optimizer keeps for every parameter.
    pub(super) fn n_moments(&self) -> usize {
        self.algorithm.n_moments().max(usize::from(self.filters()))
    }

    /// Whether the gradients of weight matrices are filtered before they are orthogonalized: where nothing else remembers
    /// earlier ones.
    pub(super) fn filters(&self) -> bool {
        let is_plain = matches!(self.algorithm, Algorithm::Sgd { momentum, .. } if momentum == 0.0);
        is_plain && self.conditioning.orthogonal().is_some()
    }

    pub(super) fn check(&self) -> Result<(), TorchError> {
        self.algorithm.check()?;
        self.conditioning.check()?;
        if self.conditioning != Conditioning::None
            && let Some(setting) = self.algorithm.has_no_conditioning()
        {
            return Err(TorchError::NoSuchSetting { optimizer: self.algorithm.name(), setting });
        }
        let possible = 0.0..=f64::from(f32::MAX);
        let rate = |name, value: f64| {
            in_range(name, value, possible.contains(&value), "zero or a positive number, in single precision")
        };
        rate("lr", self.lr)?;
        rate("weight_decay", self.weight_decay)?;
        for group in &self.groups {
            rate("lr_ratio", group.lr_ratio)?;
            rate("weight_decay_ratio", group.weight_decay_ratio)?;
        }
        Ok(())
    }
}

/// Ratios of one parameter group (tch's `Path::set_group`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GroupConfig {
    /// Learning rate of the group, as a multiple of [`OptimConfig::lr`].
    pub lr_ratio: f64,
    /// Weight decay of the group, as a multiple of [`OptimConfig::weight_decay`].
    pub weight_decay_ratio: f64,
    /// Whether the weight matrices of the group are conditioned, or stepped by Muon.
    #[serde(default = "yes")]
    pub is_conditioned: bool,
}

fn yes() -> bool {
    true
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self { lr_ratio: 1.0, weight_decay_ratio: 1.0, is_conditioned: true }
    }
}
