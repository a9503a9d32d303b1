//! One step of a [`QController`]: what the driver is told, and what is done with its order.

use super::target::Clip;
use super::{QController, TorchError, looks_first};
use crate::driver::Order;
use crate::torch::flat::{Gradient, Refreshed};
use crate::torch::snapshot::Snapshot;
use tch::Device;

impl QController {
    pub(super) fn controlled_step(&mut self, clip: Clip) -> Result<(), TorchError> {
        let _guard = tch::no_grad_guard();
        self.take_turn()?;
        self.losses.count_pending()?;
        self.refresh()?;
        let gradient = if self.needs_joined(clip) { Some(self.target.params().gradient()?) } else { None };
        let is_masked = self.see(gradient.as_ref())?;
        // A masked step is told at the next decision, whoever has looked at the losses by then.
        let (losses, grad_is_finite) = if is_masked { (Vec::new(), true) } else { self.losses.take() };
        if self.driver.is_guarded() && losses.iter().any(|loss| !loss.is_finite()) {
            self.snapshot.heal_buffers()?;
        }
        let order = self.driver.step(&losses, grad_is_finite, || self.measure.measure(&self.host));
        self.obey(order, gradient.as_ref(), clip, is_masked)?;
        self.version = if self.is_told { None } else { Some(self.target.params().version()?) };
        Ok(())
    }

    /// Takes the turn on the `VarStore`, and says it once where other hands have changed parameters since the last
    /// step.
    fn take_turn(&mut self) -> Result<(), TorchError> {
        if self.turn.take()? {
            return self.begin_here();
        }
        let Some(version) = self.version.take() else { return Ok(()) };
        if version != self.target.params().version()? {
            self.is_told = true;
            tracing::warn!(
                step = self.driver.steps(),
                "parameters were changed between two steps, and not by this controller: a rollback would undo that. Where \
                 weights were loaded, call weights_loaded() after that; where they are clipped or averaged, nothing needs \
                 to be done"
            );
        }
        Ok(())
    }

    fn obey(
        &mut self,
        order: Order,
        gradient: Option<&Gradient>,
        clip: Clip,
        is_masked: bool,
    ) -> Result<(), TorchError> {
        match order {
            Order::Apply { lr, weight_decay, keep } => {
                if keep {
                    self.keep()?;
                }
                self.set_rates(lr, weight_decay)?;
                if let Some(gradient) = gradient {
                    self.target.clip(gradient, clip)?;
                }
                let finite = if is_masked { Some(self.losses.newest_is_finite()?) } else { None };
                self.target.apply(self.driver.steps() - 1, gradient, finite.as_ref())
            }
            Order::Skip => Ok(()),
            Order::RollBack => self.roll_back(),
            Order::Restart => self.restart(),
        }
    }

    /// Copies to the host what the driver is to be told at this step. Returns whether the step is masked on the device
    /// instead.
    fn see(&mut self, gradient: Option<&Gradient>) -> Result<bool, TorchError> {
        if self.driver.is_guarded() {
            match gradient {
                Some(gradient) => self.losses.note_gradient(&gradient.flat)?,
                None => {
                    let is_finite = self.target.params().gradients_are_finite(&mut self.host)?;
                    self.losses.note_gradient_is_finite(is_finite);
                }
            }
        }
        match gradient {
            Some(gradient) if self.driver.is_due() => {
                if self.driver.steps() == 0 && self.driver.is_guarded() {
                    // Weights loaded after this controller was built are still untouched here.
                    self.snapshot.take_params(self.target.params())?;
                }
                let params = self.target.params().data();
                let sampled = [self.measure.sampled(params)?, self.measure.sampled(&gradient.flat)?];
                self.losses.read(&sampled, &mut self.host)?;
            }
            _ if !self.driver.is_guarded() => {}
            _ if self.looks_first => self.losses.read(&[], &mut self.host)?,
            _ => return Ok(true),
        }
        Ok(false)
    }

    /// Whether this step needs all gradients in one tensor. tch's optimizer finds them on the variables, and on a CPU
    /// to join them takes longer than all the rest of a step without a decision.
    fn needs_joined(&self, clip: Clip) -> bool {
        let on_host = self.target.params().data().device() == Device::Cpu;
        self.driver.is_due() || self.target.ours().is_some() || !on_host || clip != Clip::No
    }

    /// Remembers the state before this step, which is verified. The first one is kept as long as the driver may order a
    /// restart.
    fn keep(&mut self) -> Result<(), TorchError> {
        self.snapshot.take(self.target.params(), self.target.ours())?;
        if !self.driver.may_restart() {
            self.first = None;
        } else if self.first.is_none() {
            self.first = Some(Snapshot::new(self.target.params(), self.target.ours())?);
        }
        Ok(())
    }

    fn roll_back(&mut self) -> Result<(), TorchError> {
        self.target.restore(&mut self.snapshot)?;
        self.measure.rolled_back(self.target.params().data())?;
        self.set_rates_of_driver()
    }

    fn restart(&mut self) -> Result<(), TorchError> {
        if let Some(first) = &mut self.first {
            self.target.restore(first)?;
            self.snapshot.take(self.target.params(), self.target.ours())?;
        }
        self.measure.reset();
        self.set_rates_of_driver()
    }

    /// Takes the state of now for the one that the run began with.
    pub(super) fn begin_here(&mut self) -> Result<(), TorchError> {
        self.driver.begin_here();
        self.target.begin_average()?;
        self.measure.reset();
        self.losses.forget_counted();
        self.first = None;
        self.version = None;
        self.snapshot = Snapshot::new(self.target.params(), self.target.ours())?;
        Ok(())
    }

    pub(super) fn set_rates_of_driver(&mut self) -> Result<(), TorchError> {
        self.set_rates(self.driver.lr(), self.driver.weight_decay())
    }

    pub(super) fn set_rates(&mut self, lr: f64, weight_decay: f64) -> Result<(), TorchError> {
        if (lr, weight_decay) != self.rates {
            self.target.set_rates(lr, weight_decay)?;
            self.rates = (lr, weight_decay);
        }
        Ok(())
    }

    /// Follows the net to another device or kind, and takes in new variables.
    pub(super) fn refresh(&mut self) -> Result<(), TorchError> {
        if self.target.refresh()? != Refreshed::Unchanged {
            // New groups have other rates.
            self.target.set_rates(self.rates.0, self.rates.1)?;
            self.version = None;
            self.looks_first = looks_first(&self.target);
            self.measure.reset();
            if self.first.take().is_some() {
                self.driver.forget_first();
            }
            self.snapshot = Snapshot::new(self.target.params(), self.target.ours())?;
        }
        Ok(())
    }
}
