//! A controlled run on plain slices, in any framework or none: one call at every inner step.

mod kept;
mod state;
#[cfg(test)]
mod tests;

pub use state::SessionState;

use super::{DecisionCounts, Driver, DriverConfig, DriverError, Order, Pilot, TraceRecord};
use crate::policy::{Decision, Measure, Policy};
use kept::{Kept, name};
use std::ops::Deref;

/// A controlled run whose parameters are a plain slice. [`Session::step`] looks whether the net is well, measures, asks
/// the policy, remembers states and goes back to them; the caller applies its own optimizer, and only where it is told
/// to.
///
/// ```
/// use qgd::Controller;
/// use qgd::driver::Session;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut session = Session::new(Controller::pretrained("lr")?, 1e-4)?.with_total_steps(100)?;
/// let mut x = [1.0f32, -2.0];
/// for _ in 0..100 {
///     let grad = [50.0 * x[0], x[1]];
///     let loss = 0.5 * (grad[0] * x[0] + grad[1] * x[1]);
///     if let Some(rates) = session.step(loss, &mut x, &grad)? {
///         x = [0, 1].map(|i| x[i] - rates.lr as f32 * grad[i]);
///     }
/// }
/// assert!(x[0].abs() < 0.01 && x[1].abs() < 0.5, "{x:?} at {}", session.lr());
/// # Ok(()) }
/// ```
///
/// An optimizer with moments hands them over too, with [`Session::step_with`], so that they go back together with the
/// parameters. `examples/adam_by_hand.rs` does, and saves and restores its run.
pub struct Session {
    driver: Driver,
    measure: Measure,
    /// Number of parameters, then of the values of each slice of moments; empty before the first step.
    sizes: Vec<usize>,
    /// What a rollback goes back to.
    kept: Option<Kept>,
    /// What a restart goes back to, as long as there may be one.
    first: Option<Kept>,
    /// What was there when the last step was left out, which must still be there.
    untouched: Option<Kept>,
}

/// Learning rate and weight decay of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Learning rate.
    pub lr: f64,
    /// Weight decay (PyTorch's: the gradient of the penalty is `weight_decay * x`).
    pub weight_decay: f64,
}

/// Error: a session was used in a way that would spoil the run. Nothing has been changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// A slice of another length than at the first step.
    #[error(
        "{what} has {found} values, but {expected} were expected: a session takes the same slices at every step \
         (for a net that has changed, call `replaced` first)"
    )]
    Length {
        /// The slice.
        what: String,
        /// Length that it must have.
        expected: usize,
        /// Length that it has.
        found: usize,
    },
    /// A number of slices of moments other than at the first step.
    #[error(
        "{found} slices of moments were given, but {expected} at the first step: hand over the same ones at every step"
    )]
    Moments {
        /// Number of slices at the first step.
        expected: usize,
        /// Number of slices now.
        found: usize,
    },
    /// There is no parameter to train.
    #[error("there are no parameters: the slice of parameters is empty")]
    NoParameters,
    /// A run that begins at parameters or moments that are not finite: there is no state to go back to.
    #[error("{what}[{index}] is {value} before the first step, but a run must begin at finite numbers")]
    NotFinite {
        /// The slice.
        what: String,
        /// Place in it.
        index: usize,
        /// Value there.
        value: f32,
    },
    /// A step was applied although the session had it left out.
    #[error(
        "{what} changed after a step that was to be left out: apply your optimizer only where `step` has answered with \
         rates (if you have put other values in on purpose, call `replaced`)"
    )]
    Changed {
        /// The slice.
        what: String,
    },
    /// A setting outside its range, or a saved state that does not fit.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// A saved state whose parts do not fit together.
    #[error("the saved state is damaged: its parts have different lengths, or some are missing")]
    State,
}

impl Session {
    /// Begins a run at this learning rate. A [`Controller`](crate::Controller) brings its own pace, guard and bounds;
    /// the budget is unknown.
    ///
    /// # Errors
    /// When a value is outside its range, or the policy was made for a line search.
    pub fn new(pilot: impl Into<Pilot>, lr: f64) -> Result<Self, SessionError> {
        let Pilot { policy, config } = pilot.into();
        let driver = Driver::new(policy, lr, 0.0, config)?;
        let measure = Measure::default();
        Ok(Self { driver, measure, sizes: Vec::new(), kept: None, first: None, untouched: None })
    }

    /// Says how many inner steps the run has: its policy then knows how far it is, and the learning rate cools down at
    /// the end where the pace says so.
    ///
    /// # Errors
    /// When it is 0.
    pub fn with_total_steps(mut self, total_steps: u64) -> Result<Self, SessionError> {
        let config = self.driver.config().clone();
        self.driver.set_config(DriverConfig { total_steps: Some(total_steps), ..config })?;
        Ok(self)
    }

    /// Tells the policy in how many inner steps every training example is seen once (examples over batch size): how often
    /// the same examples come again says whether a loss can fall to zero.
    ///
    /// # Errors
    /// When it is not a positive number.
    pub fn with_steps_per_epoch(mut self, steps_per_epoch: f64) -> Result<Self, SessionError> {
        let config = self.driver.config().clone();
        self.driver.set_config(DriverConfig { steps_per_epoch: Some(steps_per_epoch), ..config })?;
        Ok(self)
    }

    /// Names a value below every loss, for losses that may be negative.
    ///
    /// # Errors
    /// When it is not finite.
    pub fn with_loss_floor(mut self, loss_floor: f64) -> Result<Self, SessionError> {
        let config = self.driver.config().clone();
        self.driver.set_config(DriverConfig { loss_floor, ..config })?;
        Ok(self)
    }

    /// Sets the weight decay that the run starts with.
    ///
    /// # Errors
    /// When it is negative or not finite.
    pub fn with_weight_decay(mut self, weight_decay: f64) -> Result<Self, SessionError> {
        self.driver.set_weight_decay(weight_decay)?;
        Ok(self)
    }

    /// One inner step at `params`, where the loss and the gradient were computed.
    ///
    /// Answers with rates where the caller now applies its optimizer's step. Answers with `None` where the step is left
    /// out: `params` then are as they were, or have been put back to an earlier state.
    ///
    /// # Errors
    /// When a slice has another length than at the first step, the run begins at numbers that are not finite, or the
    /// last step was applied although it was to be left out.
    pub fn step(&mut self, loss: f32, params: &mut [f32], grad: &[f32]) -> Result<Option<Rates>, SessionError> {
        self.step_with(loss, params, grad, &mut [])
    }

    /// [`Session::step`] with all else that the optimizer's step changes (velocity, averages, counters): it goes back
    /// together with the parameters. Where `None` is answered, the optimizer must not have touched it either.
    ///
    /// # Errors
    /// As [`Session::step`].
    pub fn step_with(
        &mut self,
        loss: f32,
        params: &mut [f32],
        grad: &[f32],
        moments: &mut [&mut [f32]],
    ) -> Result<Option<Rates>, SessionError> {
        self.check(params, grad, moments)?;
        if self.sizes.is_empty() {
            self.begin(params, moments)?;
        }
        self.untouched = None;
        let measure = &mut self.measure;
        let is_finite = grad.iter().all(|g| g.is_finite());
        let order = self.driver.step(&[loss], is_finite, || measure.measure(params, grad));
        if !self.driver.may_restart() {
            self.first = None;
        }
        Ok(self.obey(order, params, moments))
    }

    /// Does what the driver says, as far as it is not the optimizer's.
    fn obey(&mut self, order: Order, params: &mut [f32], moments: &mut [&mut [f32]]) -> Option<Rates> {
        match order {
            Order::Apply { lr, weight_decay, keep } => {
                if keep {
                    self.kept = Some(Kept::of(params, moments));
                }
                return Some(Rates { lr, weight_decay });
            }
            Order::Skip => {}
            Order::RollBack => {
                if let Some(kept) = &self.kept {
                    kept.restore(params, moments);
                }
                self.measure.rolled_back(params);
            }
            Order::Restart => {
                self.kept = self.first.clone().or_else(|| self.kept.take());
                if let Some(kept) = &self.kept {
                    kept.restore(params, moments);
                }
                self.measure = Measure::default();
            }
        }
        self.untouched = Some(Kept::of(params, moments));
        None
    }

    /// Remembers the state that the run begins with.
    fn begin(&mut self, params: &[f32], moments: &[&mut [f32]]) -> Result<(), SessionError> {
        let start = Kept::of(params, moments);
        if let Some((slice, index, value)) = start.not_finite() {
            return Err(SessionError::NotFinite { what: name(slice), index, value });
        }
        self.sizes = start.sizes();
        if self.driver.is_guarded() {
            self.first = self.driver.may_restart().then(|| start.clone());
            self.kept = Some(start);
        }
        Ok(())
    }

    fn check(&self, params: &[f32], grad: &[f32], moments: &[&mut [f32]]) -> Result<(), SessionError> {
        if params.is_empty() {
            return Err(SessionError::NoParameters);
        }
        if let [n_params, sizes @ ..] = self.sizes.as_slice() {
            check_length(name(0), *n_params, params.len())?;
            check_moments(sizes, moments)?;
        }
        check_length("the gradient".to_owned(), params.len(), grad.len())?;
        let Some(untouched) = &self.untouched else { return Ok(()) };
        match untouched.difference(&Kept::of(params, moments)) {
            Some(slice) => Err(SessionError::Changed { what: name(slice) }),
            None => Ok(()),
        }
    }

    /// Takes note that the caller has put other parameters in (loaded weights, a net that grew): the next step begins at
    /// them with a decision, and no rollback leads back behind them. Rates, policy and steps go on.
    pub fn replaced(&mut self) {
        self.driver.begin_here();
        self.measure = Measure::default();
        self.sizes = Vec::new();
        (self.kept, self.first, self.untouched) = (None, None, None);
    }

    /// Says that the run has `n_steps` steps left: over them the learning rate falls to zero. See
    /// [`Driver::cool_down`].
    ///
    /// # Errors
    /// When it is 0.
    pub fn cool_down(&mut self, n_steps: u64) -> Result<(), SessionError> {
        Ok(self.driver.cool_down(n_steps)?)
    }

    /// Adds a callback that is called with every decision.
    pub fn on_decision(&mut self, callback: impl FnMut(&TraceRecord<'_>) + Send + 'static) {
        self.driver.on_decision(Box::new(callback));
    }

    /// Takes note of the newest validation loss or error, for the policy.
    pub fn observe_validation(&mut self, error: f64) {
        self.driver.observe_validation(error);
    }

    /// Stops the policy from learning and exploring.
    pub fn freeze(&mut self) {
        self.driver.freeze();
    }

    /// Learning rate to use now.
    pub fn lr(&self) -> f64 {
        self.driver.lr()
    }

    /// Weight decay to use now.
    pub fn weight_decay(&self) -> f64 {
        self.driver.weight_decay()
    }

    /// Number of inner steps so far, those that were left out included.
    pub fn steps(&self) -> u64 {
        self.driver.steps()
    }

    /// The last decision, be it of the policy or of the guard.
    pub fn last_decision(&self) -> Option<Decision> {
        self.driver.last_decision()
    }

    /// Number of times that each action was taken.
    pub fn counts(&self) -> DecisionCounts {
        self.driver.counts()
    }

    /// Number of times that the run went back to an earlier state.
    pub fn rollbacks(&self) -> u64 {
        self.driver.rollbacks()
    }

    /// The policy.
    pub fn policy(&self) -> &dyn Policy {
        &**self.driver.policy()
    }
}

fn check_length(what: String, expected: usize, found: usize) -> Result<(), SessionError> {
    if expected == found { Ok(()) } else { Err(SessionError::Length { what, expected, found }) }
}

fn check_moments(sizes: &[usize], moments: &[impl Deref<Target = [f32]>]) -> Result<(), SessionError> {
    if sizes.len() != moments.len() {
        return Err(SessionError::Moments { expected: sizes.len(), found: moments.len() });
    }
    let mut slices = sizes.iter().zip(moments).enumerate();
    slices.try_for_each(|(i, (expected, slice))| check_length(name(i + 1), *expected, slice.len()))
}
