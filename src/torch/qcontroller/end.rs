//! How a run ends: a cooldown on demand, and the average that is left in the net.

use super::target::Target;
use super::{QController, TorchError};

impl QController {
    /// Says that the run has `n_steps` steps left, the coming one included: over them the learning rate falls in a
    /// straight line to zero, beside what the policy does. It may be called at any time, with a budget or without; the
    /// last call counts. See [`Driver::cool_down`](crate::Driver::cool_down).
    ///
    /// ```
    /// use qgd::Controller;
    /// use qgd::torch::{Algorithm, OptimConfig, Optimizer, QController};
    /// use tch::{Device, Kind, nn};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let x = vs.root().f_ones("x", &[2])?;
    /// let optimizer = Optimizer::new(&vs, OptimConfig::new(Algorithm::ADAM, 1e-3))?;
    /// let mut opt = QController::new(optimizer, Controller::pretrained("lr")?)?;
    /// for step in 0..100 {
    ///     if step == 80 {
    ///         opt.cool_down(20)?; // Time is nearly up.
    ///     }
    ///     opt.backward_step(&x.f_square()?.f_sum(Kind::Float)?)?;
    /// }
    /// assert_eq!(opt.total_steps(), Some(100));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When it is 0.
    pub fn cool_down(&mut self, n_steps: u64) -> Result<(), TorchError> {
        Ok(self.driver.cool_down(n_steps)?)
    }

    /// Budget in inner steps, where it is known.
    pub fn total_steps(&self) -> Option<u64> {
        self.driver.total_steps()
    }

    /// Calls `look` while the net has the average of its optimizer: of a schedule-free one, or that of
    /// [`with_average`](crate::torch::Optimizer::with_average). See
    /// [`Optimizer::averaged`](crate::torch::Optimizer::averaged).
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn averaged<T>(&mut self, look: impl FnOnce() -> T) -> Result<T, TorchError> {
        self.refresh()?;
        match &mut self.target {
            Target::Ours(optimizer) => optimizer.averaged(look),
            Target::Tch(_) => Ok(look()),
        }
    }

    /// Leaves the average of a schedule-free optimizer, or that of
    /// [`with_average`](crate::torch::Optimizer::with_average), in the net, at the end of the training
    /// ([`Optimizer::finish`](crate::torch::Optimizer::finish)). A run that goes on after it begins there, as after
    /// [`QController::weights_loaded`]. With every other optimizer nothing is done.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn finish(&mut self) -> Result<(), TorchError> {
        self.refresh()?;
        match &mut self.target {
            Target::Ours(optimizer) if optimizer.has_average() => optimizer.finish()?,
            _ => return Ok(()),
        }
        self.begin_here()
    }
}
