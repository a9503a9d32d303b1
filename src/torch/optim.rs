//! SGD, Adam, AdamW and RMSprop on one flat parameter buffer.
//!
//! They take the steps of PyTorch's optimizers of the same names (the tests compare them with tch's, step for step), with what tch cannot
//! do: state that can be saved, a step that is taken only if the gradient is finite, rollback. All layers are updated by the same few
//! operations, which is why they are also faster than tch's on nets of many small layers.
//!
//! Deviations from PyTorch: no `dampening`, `amsgrad`, `centered`, `maximize`; everything else follows its documentation,
//! including that a parameter without a gradient is skipped and its moments and step count stay.

mod state;
mod update;

pub use state::{OptimState, SavedTensor};

use super::TorchError;
use super::flat::{FlatParams, Gradient, Refreshed};
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Kind, Tensor};
use update::Span;

/// Which update rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// Stochastic gradient descent: `b <- momentum b + g; x <- x - lr b`.
    Sgd {
        /// In [0, 1); 0 for plain gradient descent.
        momentum: f64,
        /// Nesterov's form: `x <- x - lr (g + momentum b)`.
        nesterov: bool,
    },
    /// Kingma and Ba 2015 (arXiv 1412.6980). Weight decay is added to the gradient.
    Adam {
        /// Decay of the mean of the gradient, in [0, 1).
        beta1: f64,
        /// Decay of the mean of its square, in [0, 1).
        beta2: f64,
        /// Keeps the denominator away from 0.
        eps: f64,
    },
    /// Loshchilov and Hutter 2019 (arXiv 1711.05101): Adam with decoupled weight decay.
    AdamW {
        /// Decay of the mean of the gradient, in [0, 1).
        beta1: f64,
        /// Decay of the mean of its square, in [0, 1).
        beta2: f64,
        /// Keeps the denominator away from 0.
        eps: f64,
    },
    /// Tieleman and Hinton 2012, not centered.
    RmsProp {
        /// Decay of the mean of the squared gradient, in [0, 1).
        alpha: f64,
        /// Keeps the denominator away from 0.
        eps: f64,
        /// In [0, 1).
        momentum: f64,
    },
}

impl Algorithm {
    /// Plain gradient descent.
    pub const SGD: Self = Self::Sgd { momentum: 0.0, nesterov: false };
    /// SGD with momentum 0.9.
    pub const MOMENTUM: Self = Self::Sgd { momentum: 0.9, nesterov: false };
    /// Adam with PyTorch's defaults.
    pub const ADAM: Self = Self::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 };
    /// AdamW with PyTorch's defaults (its weight decay of 0.01 is the caller's to set).
    pub const ADAMW: Self = Self::AdamW { beta1: 0.9, beta2: 0.999, eps: 1e-8 };
    /// RMSprop with PyTorch's defaults.
    pub const RMSPROP: Self = Self::RmsProp { alpha: 0.99, eps: 1e-8, momentum: 0.0 };

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sgd { momentum, .. } if *momentum > 0.0 => "SGD with momentum",
            Self::Sgd { .. } => "SGD",
            Self::Adam { .. } => "Adam",
            Self::AdamW { .. } => "AdamW",
            Self::RmsProp { .. } => "RMSprop",
        }
    }

    /// How many numbers it keeps for every parameter.
    fn n_moments(&self) -> usize {
        match *self {
            Self::Sgd { momentum, .. } => usize::from(momentum > 0.0),
            Self::Adam { .. } | Self::AdamW { .. } => 2,
            Self::RmsProp { momentum, .. } => 1 + usize::from(momentum > 0.0),
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
        }
    }
}

/// How an [`Optimizer`] is set up.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `algorithm` | none | the update rule | see [`Algorithm`] |
/// | `lr` | none | learning rate of a group with ratio 1 | ≥ 0 |
/// | `weight_decay` | 0 | weight decay of a group with ratio 1 (PyTorch's: its gradient is `weight_decay * x`) | ≥ 0 |
/// | `groups` | none | ratios of the `VarStore`'s groups; one that is not listed has 1 | see [`GroupConfig`] |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OptimConfig {
    /// See the table.
    pub algorithm: Algorithm,
    /// See the table.
    pub lr: f64,
    /// See the table.
    pub weight_decay: f64,
    /// See the table.
    pub groups: Vec<GroupConfig>,
}

impl OptimConfig {
    /// No weight decay, one group.
    pub fn new(algorithm: Algorithm, lr: f64) -> Self {
        Self { algorithm, lr, weight_decay: 0.0, groups: Vec::new() }
    }

    fn check(&self) -> Result<(), TorchError> {
        self.algorithm.check()?;
        let rate =
            |name, value: f64| in_range(name, value, value >= 0.0 && value.is_finite(), "zero or a positive number");
        rate("lr", self.lr)?;
        rate("weight_decay", self.weight_decay)?;
        for group in &self.groups {
            rate("lr_ratio", group.lr_ratio)?;
            rate("weight_decay_ratio", group.weight_decay_ratio)?;
        }
        Ok(())
    }
}

/// What sets one parameter group (tch's `Path::set_group`) apart from the others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GroupConfig {
    /// Its learning rate, in units of [`OptimConfig::lr`].
    pub lr_ratio: f64,
    /// Its weight decay, in units of [`OptimConfig::weight_decay`].
    pub weight_decay_ratio: f64,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self { lr_ratio: 1.0, weight_decay_ratio: 1.0 }
    }
}

/// Takes the steps.
///
/// ```
/// use qgd::torch::{Algorithm, OptimConfig, Optimizer};
/// use tch::{Device, Kind, Tensor, nn};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let vs = nn::VarStore::new(Device::Cpu);
/// let x = vs.root().f_ones("x", &[2])?;
/// let mut optimizer = Optimizer::new(&vs, OptimConfig::new(Algorithm::SGD, 0.1))?;
/// optimizer.backward_step(&x.f_square()?.f_sum(Kind::Float)?)?;
/// assert_eq!(x, Tensor::from_slice(&[0.8f32, 0.8]));
/// # Ok(())
/// # }
/// ```
pub struct Optimizer {
    flat: FlatParams,
    config: OptimConfig,
    /// Steps taken, for every variable: one without a gradient is skipped.
    steps: Vec<u64>,
    /// `[n_params]` each.
    moments: Vec<Tensor>,
    plan: Plan,
}

/// The runs of neighboring variables that are updated together, for one pattern of present gradients.
#[derive(Default)]
struct Plan {
    present: Vec<bool>,
    spans: Vec<Span>,
}

impl Optimizer {
    /// An optimizer of all trainable variables of `vs`, now and later.
    ///
    /// # Errors
    /// When a field of `config` is outside its range, or `vs` has no trainable variables or mixed ones.
    pub fn new(vs: &VarStore, config: OptimConfig) -> Result<Self, TorchError> {
        config.check()?;
        let flat = FlatParams::new(vs)?;
        let mut optimizer = Self { flat, config, steps: Vec::new(), moments: Vec::new(), plan: Plan::default() };
        optimizer.fit_to_params()?;
        Ok(optimizer)
    }

    /// Makes every gradient undefined.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn zero_grad(&mut self) -> Result<(), TorchError> {
        self.refresh()?;
        self.flat.zero_grad()
    }

    /// One step with the gradients of the last backward pass.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn step(&mut self) -> Result<(), TorchError> {
        self.refresh()?;
        let gradient = self.flat.gradient()?;
        self.apply(&gradient, None)
    }

    /// `zero_grad`, backward pass, `step`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn backward_step(&mut self, loss: &Tensor) -> Result<(), TorchError> {
        self.zero_grad()?;
        loss.f_backward()?;
        self.step()
    }

    /// The learning rate of a group with ratio 1.
    pub fn lr(&self) -> f64 {
        self.config.lr
    }

    /// The weight decay of a group with ratio 1.
    pub fn weight_decay(&self) -> f64 {
        self.config.weight_decay
    }

    /// The update rule.
    pub fn algorithm(&self) -> Algorithm {
        self.config.algorithm
    }

    /// Sets the learning rate; groups keep their ratios.
    ///
    /// # Errors
    /// When it is negative or not finite.
    pub fn set_lr(&mut self, lr: f64) -> Result<(), TorchError> {
        self.set_rates(lr, self.config.weight_decay)
    }

    /// Sets the weight decay; groups keep their ratios.
    ///
    /// # Errors
    /// When it is negative or not finite.
    pub fn set_weight_decay(&mut self, weight_decay: f64) -> Result<(), TorchError> {
        self.set_rates(self.config.lr, weight_decay)
    }

    /// Sets the momentum of SGD and RMSprop.
    ///
    /// # Errors
    /// When it is outside [0, 1), when the optimizer was built without momentum, and for Adam, which has betas.
    pub fn set_momentum(&mut self, value: f64) -> Result<(), TorchError> {
        let mut algorithm = self.config.algorithm;
        match &mut algorithm {
            Algorithm::Sgd { momentum, .. } | Algorithm::RmsProp { momentum, .. } if *momentum > 0.0 => {
                *momentum = value
            }
            other => return Err(TorchError::NoSuchSetting { optimizer: other.name(), setting: "momentum" }),
        }
        in_range("momentum", value, value > 0.0 && value < 1.0, "in (0, 1)")?;
        self.config.algorithm = algorithm;
        self.plan = Plan::default();
        Ok(())
    }

    pub(crate) fn set_rates(&mut self, lr: f64, weight_decay: f64) -> Result<(), TorchError> {
        let config = OptimConfig { lr, weight_decay, ..self.config.clone() };
        config.check()?;
        self.config = config;
        for span in &mut self.plan.spans {
            span.set_rates(&self.config)?;
        }
        Ok(())
    }

    pub(crate) fn set_lr_ratios(&mut self, ratios: &[f64]) -> Result<(), TorchError> {
        let mut config = self.config.clone();
        config.groups.resize(config.groups.len().max(ratios.len()), GroupConfig::default());
        for (group, &lr_ratio) in config.groups.iter_mut().zip(ratios) {
            group.lr_ratio = lr_ratio;
        }
        config.check()?;
        self.config = config;
        self.set_rates(self.config.lr, self.config.weight_decay)
    }

    pub(crate) fn groups(&self) -> &[GroupConfig] {
        &self.config.groups
    }

    pub(crate) fn flat(&self) -> &FlatParams {
        &self.flat
    }

    /// The moments, `[n_params]` each, and the step counts: what a rollback puts back.
    pub(crate) fn memory(&self) -> (&[Tensor], &[u64]) {
        (&self.moments, &self.steps)
    }

    pub(crate) fn restore_memory(&mut self, moments: &[Tensor], steps: &[u64]) -> Result<(), TorchError> {
        for (moment, saved) in self.moments.iter_mut().zip(moments) {
            moment.f_copy_(saved)?;
        }
        self.steps.copy_from_slice(steps);
        // The spans were cut by the step counts that held until now.
        self.plan = Plan::default();
        Ok(())
    }

    /// Takes in new variables, a new device or a new kind.
    pub(crate) fn refresh(&mut self) -> Result<Refreshed, TorchError> {
        let refreshed = self.flat.refresh()?;
        if refreshed != Refreshed::Unchanged {
            self.fit_to_params()?;
        }
        Ok(refreshed)
    }

    /// One step with this gradient. With `finite` (a boolean on the device of the net), no parameter moves where it is false; the moments
    /// then forget a little as after a zero gradient, until the rollback that must follow restores them.
    pub(crate) fn apply(&mut self, gradient: &Gradient, finite: Option<&Tensor>) -> Result<(), TorchError> {
        let _guard = tch::no_grad_guard();
        if self.plan.present != gradient.present {
            self.plan = self.plan_for(&gradient.present)?;
        }
        let safe = finite.map(|finite| update::only_if(finite, &gradient.flat, 0.0)).transpose()?;
        let flat = safe.as_ref().unwrap_or(&gradient.flat);
        for span in &mut self.plan.spans {
            span.update(&self.config, flat, self.steps[span.first_variable] + 1, finite)?;
        }
        for (steps, _) in self.steps.iter_mut().zip(&gradient.present).filter(|(_, present)| **present) {
            *steps += 1;
        }
        Ok(())
    }

    /// Gives every variable its moments: new ones are zero, old ones follow the parameters to their device and kind.
    fn fit_to_params(&mut self) -> Result<(), TorchError> {
        let _guard = tch::no_grad_guard();
        self.plan = Plan::default();
        self.steps.resize(self.flat.n_variables(), 0);
        let options = options_of(self.flat.data())?;
        let n_params = self.flat.len() as i64;
        for moment in &mut self.moments {
            let old = moment.f_to_device(options.1)?.f_to_kind(options.0)?;
            let new = Tensor::f_zeros([n_params - old.numel() as i64], options)?;
            *moment = Tensor::f_cat(&[old, new], 0)?;
        }
        while self.moments.len() < self.config.algorithm.n_moments() {
            self.moments.push(Tensor::f_zeros([n_params], options)?);
        }
        Ok(())
    }

    fn plan_for(&self, present: &[bool]) -> Result<Plan, TorchError> {
        let mut spans: Vec<Span> = Vec::new();
        let key = |index: usize| (self.flat.group(index), self.steps[index], present[index]);
        let mut first = 0;
        for end in 1..=present.len() {
            if end < present.len() && key(end) == key(first) {
                continue;
            }
            if present[first] {
                let range = self.flat.range(first).start..self.flat.range(end - 1).end;
                let whole = first == 0 && end == present.len();
                let mut span = Span::new(first, self.flat.group(first), range, whole, self.flat.data(), &self.moments)?;
                span.set_rates(&self.config)?;
                spans.push(span);
            }
            first = end;
        }
        Ok(Plan { present: present.to_vec(), spans })
    }
}

pub(crate) fn options_of(tensor: &Tensor) -> Result<(Kind, tch::Device), TorchError> {
    Ok((tensor.f_kind()?, tensor.device()))
}

fn in_range(name: &'static str, value: f64, fits: bool, allowed: &'static str) -> Result<(), TorchError> {
    if fits { Ok(()) } else { Err(TorchError::OutOfRange { name, value, allowed }) }
}

#[cfg(test)]
mod tests;
