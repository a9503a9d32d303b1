//! The average of a schedule-free optimizer, in the net for as long as somebody looks at it.

use super::{Average, Optimizer, TorchError};
use tch::Tensor;

/// Puts the parameters back that the net had, also after a panic.
struct Back {
    live: Tensor,
    kept: Tensor,
    is_back: bool,
}

impl Back {
    fn put(&mut self) -> Result<(), TorchError> {
        let _guard = tch::no_grad_guard();
        self.is_back = true;
        Ok(self.live.f_copy_(&self.kept)?)
    }
}

impl Drop for Back {
    fn drop(&mut self) {
        if !self.is_back
            && let Err(error) = self.put()
        {
            tracing::error!("the parameters cannot be put back: {error}");
        }
    }
}

impl Optimizer {
    /// Calls `look` while the net has the average of a schedule-free optimizer, which is better than the parameters that
    /// the gradients are taken at. Then these are back, to the bit. With every other optimizer it is a plain call.
    ///
    /// Buffers are not averaged: the running statistics of batch norm are those of the parameters in training.
    ///
    /// ```
    /// use qgd::torch::{Algorithm, OptimConfig, Optimizer};
    /// use tch::{Device, Kind, nn};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let x = vs.root().f_ones("x", &[2])?;
    /// let mut optimizer = Optimizer::new(&vs, OptimConfig::new(Algorithm::SCHEDULE_FREE_SGD, 0.5))?;
    /// let loss = || x.f_square().and_then(|x| x.f_sum(Kind::Float));
    /// for _ in 0..10 {
    ///     optimizer.backward_step(&loss()?)?;
    /// }
    /// let in_training = x.f_detach_copy()?;
    /// let loss_of_average = optimizer.averaged(loss)??;
    /// assert_eq!(x, in_training);
    /// optimizer.finish()?;
    /// assert_eq!(loss()?, loss_of_average);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn averaged<T>(&mut self, look: impl FnOnce() -> T) -> Result<T, TorchError> {
        self.refresh()?;
        if !self.has_average() {
            return Ok(look());
        }
        let (live, kept) = (self.flat.data().shallow_clone(), tch::no_grad(|| self.flat.data().f_detach_copy())?);
        let mut back = Back { live, kept, is_back: false };
        self.show_average()?;
        let seen = look();
        back.put()?;
        Ok(seen)
    }

    /// Leaves the average of a schedule-free optimizer in the net, at the end of the training. Steps after that begin
    /// another average from there. With every other optimizer nothing is done.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn finish(&mut self) -> Result<(), TorchError> {
        self.refresh()?;
        self.show_average()?;
        self.begin_average()
    }

    pub(crate) fn has_average(&self) -> bool {
        self.config.algorithm.share_of_average().is_some()
    }

    /// Begins an average at the parameters of now, if there is one.
    pub(crate) fn begin_average(&mut self) -> Result<(), TorchError> {
        if self.has_average() {
            let _guard = tch::no_grad_guard();
            self.moments[0].f_copy_(self.flat.data())?;
            self.average = Average::default();
        }
        Ok(())
    }

    /// `x = y + (1 - 1 / beta) (z - y)`, where a step has been taken.
    fn show_average(&mut self) -> Result<(), TorchError> {
        let Some(beta) = self.config.algorithm.share_of_average() else { return Ok(()) };
        let _guard = tch::no_grad_guard();
        for (index, _) in self.steps.iter().enumerate().filter(|(_, steps)| **steps > 0) {
            let range = self.flat.range(index);
            let part = |flat: &Tensor| flat.f_narrow(0, range.start, range.end - range.start);
            let _ = part(self.flat.data())?.f_lerp_(&part(&self.moments[0])?, 1.0 - 1.0 / beta)?;
        }
        Ok(())
    }
}
