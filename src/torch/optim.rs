//! SGD, Adam, AdamW, RMSprop, NAdam, Lion, Muon and Schedule-Free on one flat parameter buffer.
//!
//! They take the same steps as PyTorch's optimizers of the same names (the tests compare them with tch's and PyTorch's,
//! step for step), and can do what tch's cannot: save their state, take a step only if the gradient is finite, roll back. A
//! few operations update all layers together, so they are also faster than tch's on nets of many small layers.
//!
//! Each can have its changes of weight matrices orthogonalized ([`Conditioning`]). Such a matrix is updated alone, and costs
//! three matrix products for each Newton-Schulz step.
//!
//! Deviations from PyTorch, which has no Lion: Muon iterates in single precision and not in bfloat16. No `dampening`,
//! `amsgrad`, `centered`, `maximize`; everything else follows its documentation, including that a parameter without a
//! gradient is skipped and its moments and step count stay.

mod average;
mod conditioning;
mod config;
mod orthogonal;
mod state;
mod update;
mod weights;

pub use conditioning::{Conditioning, NoConditioning, Orthogonal};
pub use config::{Algorithm, GroupConfig, OptimConfig};
#[cfg(feature = "meta")]
pub(crate) use orthogonal::newton_schulz;
pub use state::{OptimState, SavedTensor};

use super::TorchError;
use super::flat::{FlatParams, Gradient, Refreshed};
use tch::nn::VarStore;
use tch::{Kind, Tensor};
pub(crate) use update::schedule_free::Average;
use update::{Part, Span};
pub(crate) use weights::{condition_changes, matrices};

/// An optimizer that takes the steps of an [`Algorithm`].
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
    /// Number of steps taken with each variable: a variable without a gradient is skipped.
    steps: Vec<u64>,
    /// Moments, `[n_params]` each. The last one is the running average, where there is one.
    moments: Vec<Tensor>,
    /// Rows and columns of each variable that is a weight matrix to be orthogonalized; none for the others.
    matrices: Vec<Option<[i64; 2]>>,
    /// What an average, running or schedule-free, remembers of its steps.
    average: Average,
    /// Window of a running average, as a share of its steps so far.
    window: Option<f64>,
    plan: Plan,
}

/// The runs of neighboring variables that are updated together, for one pattern of present gradients.
#[derive(Default)]
struct Plan {
    present: Vec<bool>,
    spans: Vec<Span>,
}

impl Optimizer {
    /// An optimizer of all trainable variables of `vs`, those that are added later included.
    ///
    /// # Errors
    /// When a field of `config` is outside its range, or `vs` has no trainable variables or some of different kinds or
    /// devices.
    pub fn new(vs: &VarStore, config: OptimConfig) -> Result<Self, TorchError> {
        config.check()?;
        let flat = FlatParams::new(vs)?;
        let (steps, moments, matrices) = (Vec::new(), Vec::new(), Vec::new());
        let mut optimizer = Self {
            flat,
            config,
            steps,
            moments,
            matrices,
            average: Average::default(),
            window: None,
            plan: Plan::default(),
        };
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

    /// Takes one step with the gradients of the last backward pass.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn step(&mut self) -> Result<(), TorchError> {
        self.refresh()?;
        let gradient = self.flat.gradient()?;
        self.apply(&gradient, None)
    }

    /// Does `zero_grad`, the backward pass, and `step`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn backward_step(&mut self, loss: &Tensor) -> Result<(), TorchError> {
        self.zero_grad()?;
        loss.f_backward()?;
        self.step()
    }

    /// Learning rate of a group with ratio 1.
    pub fn lr(&self) -> f64 {
        self.config.lr
    }

    /// Weight decay of a group with ratio 1.
    pub fn weight_decay(&self) -> f64 {
        self.config.weight_decay
    }

    /// Update rule.
    pub fn algorithm(&self) -> Algorithm {
        self.config.algorithm
    }

    /// What becomes of the changes of weight matrices.
    pub fn conditioning(&self) -> Conditioning {
        self.config.conditioning
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
    /// When it is outside (0, 1), when the optimizer was built without momentum, and for Adam and AdamW, which have
    /// betas.
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

    /// The moments, `[n_params]` each, the step counts, and the weights of an average: what a rollback restores.
    pub(crate) fn memory(&self) -> (&[Tensor], &[u64], Average) {
        (&self.moments, &self.steps, self.average)
    }

    pub(crate) fn restore_memory(
        &mut self,
        moments: &[Tensor],
        steps: &[u64],
        average: Average,
    ) -> Result<(), TorchError> {
        self.average = average;
        for (moment, saved) in self.moments.iter_mut().zip(moments) {
            moment.f_copy_(saved)?;
        }
        self.steps.copy_from_slice(steps);
        // The spans were made for the step counts before the rollback.
        self.plan = Plan::default();
        Ok(())
    }

    /// Adapts to new variables, a new device or a new kind.
    pub(crate) fn refresh(&mut self) -> Result<Refreshed, TorchError> {
        let refreshed = self.flat.refresh()?;
        if refreshed != Refreshed::Unchanged {
            self.fit_to_params()?;
        }
        Ok(refreshed)
    }

    /// Takes one step with this gradient. If `finite` (a boolean on the device of the net) is false, no parameter
    /// moves. The moments then decay as after a zero gradient, until the rollback that must follow restores them.
    pub(crate) fn apply(&mut self, gradient: &Gradient, finite: Option<&Tensor>) -> Result<(), TorchError> {
        let _guard = tch::no_grad_guard();
        if self.plan.present != gradient.present {
            self.plan = self.plan_for(&gradient.present)?;
        }
        let safe = finite.map(|finite| update::only_if(finite, &gradient.flat, 0.0)).transpose()?;
        let flat = safe.as_ref().unwrap_or(&gradient.flat);
        let is_free = self.config.algorithm.share_of_average().is_some();
        let share = if is_free { self.average.take_in(self.config.lr) } else { 0.0 };
        for span in &mut self.plan.spans {
            span.update(&self.config, flat, self.steps[span.first_variable] + 1, share, finite)?;
        }
        for (steps, _) in self.steps.iter_mut().zip(&gradient.present).filter(|(_, present)| **present) {
            *steps += 1;
        }
        self.follow()
    }

    /// Makes the moments fit the parameters: new ones are zero, old ones move to the device and kind of the parameters.
    fn fit_to_params(&mut self) -> Result<(), TorchError> {
        let _guard = tch::no_grad_guard();
        self.plan = Plan::default();
        self.steps.resize(self.flat.n_variables(), 0);
        self.matrices = match self.config.algorithm {
            // As its author has it.
            Algorithm::Muon { .. } => matrices(&self.flat, &self.config.groups, false),
            _ => match self.config.conditioning.orthogonal() {
                Some(orthogonal) => matrices(&self.flat, &self.config.groups, orthogonal.head),
                None => vec![None; self.flat.n_variables()],
            },
        };
        let options = options_of(self.flat.data())?;
        let n_params = self.flat.len() as i64;
        let n_own = self.config.n_moments();
        for (i, moment) in self.moments.iter_mut().enumerate() {
            let old = moment.f_to_device(options.1)?.f_to_kind(options.0)?;
            let (n_old, n_new) = (old.numel() as i64, n_params - old.numel() as i64);
            let is_average = i >= n_own;
            let new = if is_average {
                self.flat.data().f_narrow(0, n_old, n_new)?
            } else {
                Tensor::f_zeros([n_new], options)?
            };
            *moment = Tensor::f_cat(&[old, new], 0)?;
        }
        while self.moments.len() < n_own {
            self.moments.push(Tensor::f_zeros([n_params], options)?);
        }
        if self.window.is_some() && self.moments.len() == n_own {
            self.moments.push(self.flat.data().f_detach_copy()?);
        }
        Ok(())
    }

    fn plan_for(&self, present: &[bool]) -> Result<Plan, TorchError> {
        let mut spans: Vec<Span> = Vec::new();
        // A matrix that is orthogonalized is a run of its own.
        let alone = |index: usize| self.matrices[index].map(|_| index);
        let key = |index: usize| (self.flat.group(index), self.steps[index], present[index], alone(index));
        let mut first = 0;
        for end in 1..=present.len() {
            if end < present.len() && key(end) == key(first) {
                continue;
            }
            if present[first] {
                let range = self.flat.range(first).start..self.flat.range(end - 1).end;
                let whole = first == 0 && end == present.len();
                let part = Part { group: self.flat.group(first), range, whole, matrix: self.matrices[first] };
                let mut span = Span::new(first, part, self.flat.data(), &self.moments)?;
                span.set_rates(&self.config)?;
                spans.push(span);
            }
            first = end;
        }
        Ok(Plan { present: present.to_vec(), spans })
    }
}

fn in_range(name: &'static str, value: f64, fits: bool, allowed: &'static str) -> Result<(), TorchError> {
    if fits { Ok(()) } else { Err(TorchError::OutOfRange { name, value, allowed }) }
}

pub(crate) fn options_of(tensor: &Tensor) -> Result<(Kind, tch::Device), TorchError> {
    Ok((tensor.f_kind()?, tensor.device()))
}

#[cfg(test)]
mod tests;
