//! Averages of the parameters, in the net for as long as somebody looks at them: that of a schedule-free optimizer, and
//! a running one beside any other.
//!
//! ```text
//! mean <- mean + (x - mean) / max(1, share t)        after step t, counted from the beginning of the average
//! ```
//!
//! That is an exponential average whose window is always the same share of the steps so far, so it needs no budget: the
//! power function averages of Karras et al. 2023 (arXiv 2312.02696) with gamma = 1 / share - 1.

use super::{Average, Optimizer, TorchError, in_range};
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
    /// Keeps a running average of the parameters beside the net, with a window of `share` of the steps so far (0.1 is a
    /// good one, 0.05 to 0.15 are about as good). It is shown by [`Optimizer::averaged`], and left in the net by
    /// [`Optimizer::finish`]. For runs that have no cooldown, since nobody knows how long they are: there it is worth
    /// about as much as one over the last tenth of the steps. It takes as much memory as the parameters.
    ///
    /// ```
    /// use qgd::torch::{Algorithm, OptimConfig, Optimizer};
    /// use tch::{Device, Kind, Tensor, nn};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let x = vs.root().f_ones("x", &[1])?;
    /// let mut optimizer = Optimizer::new(&vs, OptimConfig::new(Algorithm::SGD, 0.95))?.with_average(0.1)?;
    /// for _ in 0..50 {
    ///     optimizer.backward_step(&x.f_square()?.f_sum(Kind::Float)?)?; // To and fro: each step takes x to -0.9 x.
    /// }
    /// let last = x.f_detach_copy()?;
    /// optimizer.finish()?;
    /// assert!(x.f_abs()?.f_lt_tensor(&last.f_abs()?)?.f_all()?.f_double_value(&[])? > 0.0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When `share` is outside (0, 1], or the optimizer is schedule-free and has an average of its own.
    pub fn with_average(mut self, share: f64) -> Result<Self, TorchError> {
        in_range("share", share, 0.0 < share && share <= 1.0, "in (0, 1]")?;
        if self.config.algorithm.share_of_average().is_some() {
            let optimizer = self.config.algorithm.name();
            return Err(TorchError::NoSuchSetting { optimizer, setting: "running average: it has one of its own" });
        }
        self.window = Some(share);
        self.fit_to_params()?;
        Ok(self)
    }

    /// Calls `look` while the net has the average of a schedule-free optimizer, or the running one of
    /// [`Optimizer::with_average`], which is better than the parameters that the gradients are taken at. Then these are
    /// back, to the bit. With every other optimizer it is a plain call.
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

    /// Leaves the average, of a schedule-free optimizer or of [`Optimizer::with_average`], in the net, at the end of
    /// the training. Steps after that begin another average from there. With every other optimizer nothing is done.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn finish(&mut self) -> Result<(), TorchError> {
        self.refresh()?;
        self.show_average()?;
        self.begin_average()
    }

    pub(crate) fn has_average(&self) -> bool {
        self.window.is_some() || self.config.algorithm.share_of_average().is_some()
    }

    /// Takes the parameters into the running average, after a step.
    pub(super) fn follow(&mut self) -> Result<(), TorchError> {
        let (Some(share), Some(mean)) = (self.window, self.moments.last_mut()) else { return Ok(()) };
        let weight = self.average.take_in_step(share);
        let _ = mean.f_lerp_(self.flat.data(), weight)?;
        Ok(())
    }

    /// Begins an average at the parameters of now, if there is one.
    pub(crate) fn begin_average(&mut self) -> Result<(), TorchError> {
        if !self.has_average() {
            return Ok(());
        }
        let _guard = tch::no_grad_guard();
        self.average = Average::default();
        // The first step of a running average is all of it.
        if self.window.is_none() {
            self.moments[0].f_copy_(self.flat.data())?;
        }
        Ok(())
    }

    /// Puts the average in the place of the parameters, where a step has been taken. Of a schedule-free optimizer it is
    /// `x = y + (1 - 1 / beta) (z - y)`.
    fn show_average(&mut self) -> Result<(), TorchError> {
        if let (Some(_), Some(mean), false) = (self.window, self.moments.last(), self.average.is_empty()) {
            let _guard = tch::no_grad_guard();
            self.flat.data().shallow_clone().f_copy_(mean)?;
        }
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
