//! What a host sets, asks and saves between two steps.

use super::cooldown::Cooldown;
use super::guard::Guard;
use super::pace::clamp;
use super::{DecisionCallback, DecisionCounts, Driver, DriverConfig, DriverError, DriverState, State};
use crate::policy::{Decision, Policy};

impl<P: Policy> Driver<P> {
    /// Changes the configuration. A guard whose configuration changes begins anew.
    ///
    /// # Errors
    /// When a field is outside its range. The driver then is as it was before.
    pub fn set_config(&mut self, config: DriverConfig) -> Result<(), DriverError> {
        config.check(self.state.lr_base, self.state.weight_decay_base)?;
        if config.guard != self.config.guard {
            self.state.guard = config.guard.clone().map(Guard::new);
        }
        self.config = config;
        Ok(())
    }

    /// The configuration.
    pub fn config(&self) -> &DriverConfig {
        &self.config
    }

    /// Sets a new base learning rate. The ratio of the present rate to the base stays as the policy made it.
    ///
    /// # Errors
    /// When `lr` is not a positive number.
    pub fn set_lr(&mut self, lr: f64) -> Result<(), DriverError> {
        self.config.check(lr, 0.0)?;
        let ratio = self.state.rate.lr / self.state.lr_base;
        self.state.lr_base = lr;
        self.state.rate.lr = clamp(lr * ratio, self.config.bounds.lr, lr);
        Ok(())
    }

    /// Sets the weight decay, also as the one that the run started with.
    ///
    /// # Errors
    /// When it is negative or not finite.
    pub fn set_weight_decay(&mut self, weight_decay: f64) -> Result<(), DriverError> {
        self.config.check(self.state.lr_base, weight_decay)?;
        self.state.weight_decay = weight_decay;
        self.state.weight_decay_base = weight_decay;
        Ok(())
    }

    /// Says that the run has `n_steps` steps left, the coming one included: over them the learning rate falls in a
    /// straight line to zero, underneath the decisions, and the policy knows from here on how far the run is.
    ///
    /// It may be called at any step, with a budget or without. The fall begins at the factor that is in force, also
    /// where another cooldown is under way, so the rate never rises by it; the last call counts. The k-th step (k from
    /// 0) has `1 - k / n_steps` of that factor. A run that goes on after them keeps the factor of the last one.
    ///
    /// ```
    /// use qgd::driver::{Driver, DriverConfig, Order};
    /// use qgd::policy::Measured;
    /// use qgd::schedule::Schedule;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let policy = Schedule::Constant.policy(None, 0)?;
    /// let mut driver = Driver::new(policy, 1.0, 0.0, DriverConfig::default())?;
    /// let mut lrs = Vec::new();
    /// for step in 0..8 {
    ///     if step == 2 {
    ///         driver.cool_down(4)?;
    ///     }
    ///     if let Order::Apply { lr, .. } = driver.step(&[1.0], true, Measured::default) {
    ///         lrs.push(lr);
    ///     }
    /// }
    /// assert_eq!(lrs, [1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.25, 0.25]);
    /// assert_eq!(driver.total_steps(), Some(6));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When `n_steps` is 0.
    pub fn cool_down(&mut self, n_steps: u64) -> Result<(), DriverError> {
        self.state.rate.cooldown = Some(Cooldown::new(self.state.step, n_steps, self.base_factor())?);
        Ok(())
    }

    /// Takes note of the newest validation loss or error, for the policy. Like the training losses, it is shown less
    /// the floor under them.
    pub fn observe_validation(&mut self, error: f64) {
        self.state.validation = Some(error - self.config.loss_floor);
    }

    /// Stops the policy from learning and exploring.
    pub fn freeze(&mut self) {
        self.policy.freeze();
    }

    /// Adds a callback that is called with every decision.
    pub fn on_decision(&mut self, callback: DecisionCallback) {
        self.callbacks.push(callback);
    }

    /// Whether the coming step starts with a decision.
    pub fn is_due(&self) -> bool {
        self.state.step >= self.state.next_decision
    }

    /// Whether a guard watches the losses.
    pub fn is_guarded(&self) -> bool {
        self.state.guard.is_some()
    }

    /// Whether a later step may still be answered with [`Order::Restart`](super::Order::Restart). Only then the state that was kept first is
    /// still needed.
    pub fn may_restart(&self) -> bool {
        self.state.first_is_kept && self.state.guard.as_ref().is_some_and(Guard::may_restart)
    }

    /// Takes note that the host can no longer go back to the state that was kept first (its net has other variables
    /// now). [`Order::Restart`](super::Order::Restart) is not given from here on.
    pub fn forget_first(&mut self) {
        self.state.first_is_kept = false;
    }

    /// Takes note that the host begins anew from the parameters that it has now, because weights were loaded or changed
    /// by other hands: they are what was kept first and last. The guard begins anew, and the coming step is a decision.
    /// Rates, policy and steps go on. The host measures as if the run were new.
    pub fn begin_here(&mut self) {
        let state = &mut self.state;
        state.guard = self.config.guard.clone().map(Guard::new);
        if state.losses.below_floor() {
            state.guard.iter_mut().for_each(Guard::losses_are_below_floor);
        }
        state.window.clear();
        (state.untold, state.first_is_kept, state.next_decision) = (0, true, state.step);
    }

    /// Learning rate to use now.
    pub fn lr(&self) -> f64 {
        self.state.rate.lr * self.base_factor()
    }

    /// Factor of the schedule underneath: of the cooldown that was asked for, else of the pace's.
    fn base_factor(&self) -> f64 {
        let (step, pace) = (self.state.step, &self.config.pace);
        let planned = || pace.base_factor(step, self.config.total_steps);
        self.state.rate.cooldown.map_or_else(planned, |cooldown| cooldown.factor_at(step))
    }

    /// Weight decay to use now (PyTorch's: the gradient of the penalty is `weight_decay * x`).
    pub fn weight_decay(&self) -> f64 {
        self.state.weight_decay
    }

    /// Number of inner steps so far, those that were skipped or undone included.
    pub fn steps(&self) -> u64 {
        self.state.step
    }

    /// Budget in inner steps, where it is known: the configured one, or what [`Driver::cool_down`] has made of it.
    pub fn total_steps(&self) -> Option<u64> {
        let on_demand = self.state.rate.cooldown.map(|cooldown| cooldown.total_steps());
        on_demand.or(self.config.total_steps)
    }

    /// The last decision, be it of the policy or of the guard.
    pub fn last_decision(&self) -> Option<Decision> {
        self.last
    }

    /// Number of times that each action was taken.
    pub fn counts(&self) -> DecisionCounts {
        self.state.counts
    }

    /// Number of times that the guard had the host go back, restarts included.
    pub fn rollbacks(&self) -> u64 {
        self.state.rollbacks
    }

    /// Number of batches that were left out because their loss or gradient was not finite, though the parameters are
    /// sound. A broken example or an overflow in the host's own arithmetic is behind them; the rate is not halved for
    /// them. Only a guard counts them.
    pub fn broken_batches(&self) -> u64 {
        self.state.guard.as_ref().map_or(0, Guard::broken_batches)
    }

    /// The policy.
    pub fn policy(&self) -> &P {
        &self.policy
    }

    /// Gives the policy back.
    pub fn into_policy(self) -> P {
        self.policy
    }

    /// State of the driver and its policy, for serde or [`artifact::to_bytes`](crate::artifact::to_bytes). A driver that is
    /// made by the same call and given this state goes on bit-identically, if the host restores what is its own too:
    /// parameters and optimizer, its [`Measure`](crate::Measure), and the states that it keeps.
    pub fn state(&self) -> DriverState {
        DriverState(State { policy: self.policy.save(), ..self.state.clone() })
    }

    /// Goes back to a saved state.
    ///
    /// # Errors
    /// When the state was saved with another kind of policy, under another guard or without one, or holds numbers that
    /// no run can have left there. The driver is as it was then.
    pub fn load_state(&mut self, state: DriverState) -> Result<(), DriverError> {
        let DriverState(state) = state;
        state.check(&self.config)?;
        self.policy.load(&state.policy)?;
        self.state = state;
        Ok(())
    }
}
