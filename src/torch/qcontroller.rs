//! [`QController`]: a policy beside an optimizer, in the training loop of a `tch` net.
//!
//! Every step it gathers the gradient and asks the [`Driver`] how to go on:
//!
//! ```text
//! a decision due   one copy to the host: losses since the last one, finite flags, a sample of parameters, gradient
//! none due
//!     ours, GPU    nobody looks: the step is masked on the device unless the loss and the gradient are finite, and the
//!                  driver is told at the next decision
//!     CPU, wrapped the loss and the gradient are looked at before the step. On a CPU that costs nothing; for a wrapped
//!                  tch optimizer on a GPU it is one synchronization a step
//! ```
//!
//! A wrapped tch optimizer cannot take a step back: its moments are out of reach, so a NaN in them would stay. So it is
//! never shown a bad gradient, and after a rollback it goes on with the moments that it has. Its state cannot be saved
//! either.

mod end;
mod losses;
mod state;
mod step;
mod target;

pub use state::QControllerState;

use super::TorchError;
use super::measure::Measure;
use super::optim::{Conditioning, Optimizer};
use super::snapshot::Snapshot;
use super::turn::Turn;
use crate::driver::{Bounds, DecisionCounts, Driver, DriverConfig, Pilot, TraceRecord};
use crate::policy::Decision;
use losses::LossLog;
use target::{Clip, Target};
use tch::nn::{self, VarStore};
use tch::{Device, Tensor};

/// Steps an optimizer and lets a policy move its learning rate and weight decay.
///
/// *Whose parameters?* Everything in the `VarStore` is this controller's: its rollbacks restore all of it, buffers too.
/// What another optimizer trains (the other net of a GAN) goes into a `VarStore` of its own; two controllers that step
/// one `VarStore` in turns are refused.
///
/// *Weights* are loaded into the `VarStore` before the first step: that is the state that a bad first step goes back
/// to. After weights that are loaded later, [`QController::weights_loaded`] is called; else a restart or a rollback would
/// undo the load. A change by other hands is noticed at the next step, and said once, as a warning of `tracing`.
///
/// *The loss* must be a distance: at least 0 or the loss floor ([`QController::with_loss_floor`]), and near that for a
/// net that has learned all there is to learn. The controller compares losses as ratios, whatever their unit. See
/// [`driver`](crate::driver), also for what becomes of losses that are not finite.
///
/// ```
/// use qgd::driver::Pilot;
/// use qgd::torch::QController;
/// use qgd::{Decision, Policy, Signals};
/// use tch::{Device, Kind, nn, nn::OptimizerConfig};
///
/// struct Shrink;
/// impl Policy for Shrink {
///     fn decide(&mut self, _: &Signals) -> Decision {
///         Decision::scheduled(0.5)
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let vs = nn::VarStore::new(Device::Cpu);
/// let x = vs.root().f_ones("x", &[2])?;
/// let adam = nn::Adam::default().build(&vs, 1e-3)?;
/// let mut opt = QController::wrap(adam, &vs, 1e-3, Pilot::new(Shrink))?;
/// opt.backward_step(&x.f_square()?.f_sum(Kind::Float)?)?;
/// assert_eq!(opt.lr(), 5e-4);
/// # Ok(())
/// # }
/// ```
pub struct QController {
    target: Target,
    driver: Driver,
    rates: (f64, f64),
    measure: Measure,
    snapshot: Snapshot,
    /// State before the first step, as long as the driver may order a restart.
    first: Option<Snapshot>,
    losses: LossLog,
    /// Numbers that were copied to the host last; kept for its memory.
    host: Vec<f32>,
    /// Whether every loss and gradient is looked at before its step.
    looks_first: bool,
    turn: Turn,
    /// Number of writes to the variables at the end of the last step.
    version: Option<i64>,
    /// Whether it was said that other hands have changed parameters.
    is_told: bool,
}

impl QController {
    /// Controls tch's own optimizer, built for `vs` with the learning rate `lr` (tch's optimizer cannot be asked for
    /// it).
    ///
    /// Where it was built with a weight decay, add [`QController::with_weight_decay`], so that the policy knows it and
    /// may move it. Where its groups have rates of their own, add [`QController::with_group_lrs`].
    ///
    /// # Errors
    /// When `lr` is not positive, or `vs` has no trainable variables or mixed ones.
    pub fn wrap(optimizer: nn::Optimizer, vs: &VarStore, lr: f64, pilot: impl Into<Pilot>) -> Result<Self, TorchError> {
        Self::over(Target::wrap(optimizer, vs)?, lr, 0.0, pilot.into())
    }

    /// Controls one of our own optimizers, from its learning rate and weight decay on.
    ///
    /// # Errors
    /// When the learning rate is not positive.
    pub fn new(optimizer: Optimizer, pilot: impl Into<Pilot>) -> Result<Self, TorchError> {
        let (lr, weight_decay) = (optimizer.lr(), optimizer.weight_decay());
        Self::over(Target::Ours(Box::new(optimizer)), lr, weight_decay, pilot.into())
    }

    fn over(mut target: Target, lr: f64, weight_decay: f64, pilot: Pilot) -> Result<Self, TorchError> {
        let driver = Driver::new(pilot.policy, lr, weight_decay, pilot.config)?;
        target.refresh()?;
        target.set_rates(lr, weight_decay)?;
        let snapshot = Snapshot::new(target.params(), target.ours())?;
        Ok(Self {
            looks_first: looks_first(&target),
            turn: Turn::new(target.params().store()),
            version: None,
            is_told: false,
            target,
            driver,
            rates: (lr, weight_decay),
            measure: Measure::new(0),
            snapshot,
            first: None,
            losses: LossLog::default(),
            host: Vec::new(),
        })
    }

    /// Tells the policy how many inner steps the run will have.
    ///
    /// # Errors
    /// When it is 0.
    pub fn with_total_steps(mut self, total_steps: u64) -> Result<Self, TorchError> {
        let config = self.driver.config().clone();
        self.driver.set_config(DriverConfig { total_steps: Some(total_steps), ..config })?;
        Ok(self)
    }

    /// Tells the policy in how many inner steps every training example is seen once (examples over batch size): how often
    /// the same examples come again says whether a loss can fall to zero.
    ///
    /// # Errors
    /// When it is not a positive number.
    pub fn with_steps_per_epoch(mut self, steps_per_epoch: f64) -> Result<Self, TorchError> {
        let config = self.driver.config().clone();
        self.driver.set_config(DriverConfig { steps_per_epoch: Some(steps_per_epoch), ..config })?;
        Ok(self)
    }

    /// Tells guard and policy a value below every loss, for losses that may be negative or that a constant is part of.
    /// Both see how far above it the loss is; that of the validation too.
    ///
    /// # Errors
    /// When it is not finite.
    pub fn with_loss_floor(mut self, loss_floor: f64) -> Result<Self, TorchError> {
        let config = self.driver.config().clone();
        self.driver.set_config(DriverConfig { loss_floor, ..config })?;
        Ok(self)
    }

    /// Keeps the learning rate and the weight decay within these bounds, each `[low, high]`.
    ///
    /// # Errors
    /// Unless `0 < low <= high`, both finite.
    pub fn with_bounds(mut self, lr: [f64; 2], weight_decay: [f64; 2]) -> Result<Self, TorchError> {
        let config = self.driver.config().clone();
        self.driver.set_config(DriverConfig { bounds: Bounds { lr, weight_decay }, ..config })?;
        Ok(self)
    }

    /// Sets the learning rates of the parameter groups, from group 0 on. Their ratios to the controlled learning rate
    /// are kept. A group that is added to the `VarStore` later has the controlled rate itself, not the one that the
    /// optimizer was built with.
    ///
    /// # Errors
    /// When a group of the `VarStore` is missing, or a learning rate is negative or not finite.
    pub fn with_group_lrs(mut self, lrs: &[f64]) -> Result<Self, TorchError> {
        let groups = self.target.params().n_groups();
        if lrs.len() != groups {
            return Err(TorchError::GroupLrs { given: lrs.len(), groups });
        }
        if let Some(&value) = lrs.iter().find(|lr| !(lr.is_finite() && **lr >= 0.0)) {
            return Err(TorchError::OutOfRange { name: "group lr", value, allowed: "zero or a positive number" });
        }
        let base = self.driver.lr();
        let ratios: Vec<f64> = lrs.iter().map(|lr| lr / base).collect();
        self.target.set_group_lr_ratios(&ratios)?;
        self.target.set_rates(self.rates.0, self.rates.1)?;
        Ok(self)
    }

    /// Sets the weight decay to start from, where the optimizer could not be asked for it.
    ///
    /// # Errors
    /// When it is negative or not finite.
    pub fn with_weight_decay(mut self, weight_decay: f64) -> Result<Self, TorchError> {
        self.driver.set_weight_decay(weight_decay)?;
        self.set_rates_of_driver()?;
        Ok(self)
    }

    /// Has the changes of weight matrices orthogonalized that tch's optimizer makes: the difference of the parameters
    /// after and before its step, a weight decay that it has built in included. Plain SGD gets no filter of its gradients
    /// here, as ours does. Costs a copy of the parameters.
    ///
    /// # Errors
    /// When a number is outside its range, and for our own optimizers, to whose
    /// [`OptimConfig`](super::OptimConfig::conditioning) it belongs.
    pub fn with_conditioning(mut self, conditioning: Conditioning) -> Result<Self, TorchError> {
        self.target.set_conditioning(conditioning)?;
        Ok(self)
    }

    /// Makes every gradient undefined.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn zero_grad(&mut self) -> Result<(), TorchError> {
        self.refresh()?;
        self.target.params().zero_grad()
    }

    /// Takes note of the loss of the coming step. Where there are several (accumulated gradients), all count.
    ///
    /// # Errors
    /// When it is not a single number.
    pub fn observe(&mut self, loss: &Tensor) -> Result<(), TorchError> {
        self.losses.observe(loss)
    }

    /// Takes note of a validation loss or error, for policies that look at it; the newest one counts. Controllers that
    /// move the weight decay were trained with the loss on held-out examples, told before every decision
    /// ([`QController::is_due`]).
    pub fn observe_validation(&mut self, error: f64) {
        self.driver.observe_validation(error);
    }

    /// Takes one step with the gradients of the last backward pass, after [`QController::observe`].
    ///
    /// # Errors
    /// When no loss was observed since the last step, or libtorch fails.
    pub fn step(&mut self) -> Result<(), TorchError> {
        self.controlled_step(Clip::No)
    }

    /// Calls `zero_grad`, the backward pass of `loss`, and `step`.
    ///
    /// # Errors
    /// When `loss` is not a single number, or libtorch fails.
    pub fn backward_step(&mut self, loss: &Tensor) -> Result<(), TorchError> {
        self.backward(loss)?;
        self.controlled_step(Clip::No)
    }

    /// Like [`QController::backward_step`], with every element of the gradient clipped to `[-max, max]`.
    ///
    /// # Errors
    /// When `loss` is not a single number, or libtorch fails.
    pub fn backward_step_clip(&mut self, loss: &Tensor, max: f64) -> Result<(), TorchError> {
        self.backward(loss)?;
        self.controlled_step(Clip::Value(max))
    }

    /// Like [`QController::backward_step`], with the norm of the whole gradient clipped to `max`.
    ///
    /// # Errors
    /// When `loss` is not a single number, or libtorch fails.
    pub fn backward_step_clip_norm(&mut self, loss: &Tensor, max: f64) -> Result<(), TorchError> {
        self.backward(loss)?;
        self.controlled_step(Clip::Norm(max))
    }

    /// Takes note that the caller left this step out (its gradient scaler overflowed). Losses that were observed for it
    /// do not count.
    pub fn skip_step(&mut self) {
        self.losses.forget_pending();
    }

    /// Takes note that weights were loaded, or changed otherwise, between two steps: the run begins here. A restart or
    /// a rollback goes back to these parameters and to no earlier ones, the guard begins anew, and the coming step is a
    /// decision. Rates, steps, the optimizer's moments and what the policy remembers stay as they are.
    ///
    /// ```
    /// # use qgd::{Controller, torch::QController};
    /// # use tch::{Device, Kind, nn, nn::OptimizerConfig};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let vs = nn::VarStore::new(Device::Cpu);
    /// # let mut x = vs.root().f_ones("x", &[2])?;
    /// # let adam = nn::Adam::default().build(&vs, 1e-3)?;
    /// # let mut opt = QController::wrap(adam, &vs, 1e-3, Controller::pretrained("lr")?)?;
    /// opt.backward_step(&x.f_square()?.f_sum(Kind::Float)?)?;
    /// tch::no_grad(|| x.f_fill_(3.0))?; // vs.load(...)
    /// opt.weights_loaded()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn weights_loaded(&mut self) -> Result<(), TorchError> {
        self.refresh()?;
        self.losses.forget_pending();
        self.begin_here()
    }

    /// Sets the base learning rate. The ratio of the present rate to the base stays as the policy made it.
    ///
    /// # Errors
    /// When it is not a positive number.
    pub fn set_lr(&mut self, lr: f64) -> Result<(), TorchError> {
        self.driver.set_lr(lr)?;
        self.set_rates_of_driver()
    }

    /// Sets the momentum (tch's Adam takes it for its beta1; our Adam has none).
    ///
    /// # Errors
    /// When the optimizer has no momentum.
    pub fn set_momentum(&mut self, momentum: f64) -> Result<(), TorchError> {
        self.target.set_momentum(momentum)
    }

    /// Learning rate now.
    pub fn lr(&self) -> f64 {
        self.driver.lr()
    }

    /// Weight decay now (PyTorch's: the gradient of the penalty is `weight_decay * x`).
    pub fn weight_decay(&self) -> f64 {
        self.driver.weight_decay()
    }

    /// Whether the coming step starts with a decision. The policy then sees what was observed until that step.
    pub fn is_due(&self) -> bool {
        self.driver.is_due()
    }

    /// Number of inner steps so far, those that were skipped or undone included.
    pub fn steps(&self) -> u64 {
        self.driver.steps()
    }

    /// The last decision, be it of the policy or of the guard.
    pub fn last_decision(&self) -> Option<Decision> {
        self.driver.last_decision()
    }

    /// Number of times that each action was taken, those of the guard included.
    pub fn counts(&self) -> DecisionCounts {
        self.driver.counts()
    }

    /// Number of times that the guard went back to an earlier state.
    pub fn rollbacks(&self) -> u64 {
        self.driver.rollbacks()
    }

    /// Number of batches that were left out because their loss or gradient was not finite, though the parameters are
    /// sound.
    pub fn broken_batches(&self) -> u64 {
        self.driver.broken_batches()
    }

    /// Calls `callback` with every decision.
    pub fn on_decision(&mut self, callback: impl FnMut(&TraceRecord<'_>) + Send + 'static) {
        self.driver.on_decision(Box::new(callback));
    }

    /// Stops the policy from learning and exploring.
    pub fn freeze(&mut self) {
        self.driver.freeze();
    }

    fn backward(&mut self, loss: &Tensor) -> Result<(), TorchError> {
        self.observe(loss)?;
        self.zero_grad()?;
        Ok(loss.f_backward()?)
    }
}

fn looks_first(target: &Target) -> bool {
    target.ours().is_none() || target.params().data().device() == Device::Cpu
}

#[cfg(test)]
mod tests;
