//! The state machine between a training loop and a [`Policy`]: when to decide, what the guard says, where the bounds are.
//!
//! It knows no framework. The loop keeps the parameters, and at every inner step asks [`Driver::is_due`]:
//!
//! ```text
//! not due:   apply the step with lr(), weight_decay();                      advance()
//! due:       check(losses of the window) -> RollBack: restore the snapshot;                     advance()
//!                                        -> Restart:  restore the state before the first step; advance()
//!                                        -> Hold:     advance()
//!                                        -> Good:     measure
//!            check_first_step(measured)  -> Restart:  restore the state before the first step; advance()
//!                                        -> Good:     take a snapshot, decide(), apply the step; advance()
//! ```
//!
//! [`torch::QController`](crate::torch) and the rollouts of meta-training both run on it, so a controller meets in use what it met in training.

use super::actions::{Action, Move};
use super::guard::{Guard, GuardConfig, Verdict};
use super::signals::{LossWindow, Measured, Signals};
use super::trace::TraceRecord;
use crate::policy::{Decision, Policy, PolicyStateError, Reason};
use serde::{Deserialize, Serialize};

/// How a [`Driver`] is set up.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `lr_bounds` | [1e-8, 100] | the learning rate never leaves them | 0 < low ≤ high |
/// | `weight_decay_bounds` | [1e-8, 10] | a positive weight decay never leaves them | 0 < low ≤ high |
/// | `total_steps` | none | the budget, where it is known | ≥ 1 |
/// | `cooldown` | 0 | share of a known budget over whose end the learning rate falls to 0, underneath what the policy does | [0, 1] |
/// | `first_update` | none | how far the first step may go, as a share of the norm of the parameters; needs a guard | (0, ∞) |
/// | `guard` | none | rolls back after explosions and NaN | see [`GuardConfig`] |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriverConfig {
    /// See the table.
    pub lr_bounds: [f64; 2],
    /// See the table.
    pub weight_decay_bounds: [f64; 2],
    /// See the table.
    pub total_steps: Option<u64>,
    /// See the table.
    pub cooldown: f64,
    /// See the table.
    pub first_update: Option<f64>,
    /// See the table.
    pub guard: Option<GuardConfig>,
}

impl Default for DriverConfig {
    fn default() -> Self {
        Self {
            lr_bounds: [1e-8, 1e2],
            weight_decay_bounds: [1e-8, 10.0],
            total_steps: None,
            cooldown: 0.0,
            first_update: None,
            guard: None,
        }
    }
}

impl DriverConfig {
    /// What the learning rate of this step is multiplied by: 1, and over the last `cooldown * total_steps` steps linearly down to 0, which
    /// the step after the last would have. A run that goes on beyond its budget keeps the factor of the last step.
    ///
    /// Linear to zero: Defazio et al. 2023 (arXiv 2310.07831) derive it as the best decay for the last iterate.
    ///
    /// ```
    /// use qgd::DriverConfig;
    ///
    /// let config = DriverConfig { total_steps: Some(100), cooldown: 0.5, ..DriverConfig::default() };
    /// assert_eq!([0, 50, 75, 99, 200].map(|step| config.base_factor(step)), [1.0, 1.0, 0.5, 0.02, 0.02]);
    /// ```
    pub fn base_factor(&self, step: u64) -> f64 {
        let Some(total) = self.total_steps else { return 1.0 };
        let left = total.saturating_sub(step).max(1) as f64;
        (left / (self.cooldown * total as f64)).min(1.0)
    }
}

/// What steers a run: a policy, and the configuration of the driver that goes with it.
///
/// ```
/// use qgd::controller::{GuardConfig, Pilot};
/// use qgd::{Decision, DriverConfig, Policy, Signals};
///
/// struct Constant;
/// impl Policy for Constant {
///     fn decide(&mut self, _: &Signals) -> Decision {
///         Decision::scheduled(1.0)
///     }
/// }
/// let guarded = DriverConfig { guard: Some(GuardConfig::default()), ..DriverConfig::default() };
/// let pilot = Pilot::new(Constant).with_config(guarded);
/// assert!(pilot.config.guard.is_some());
/// ```
pub struct Pilot {
    /// What decides.
    pub policy: Box<dyn Policy>,
    /// Bounds, budget, guard.
    pub config: DriverConfig,
}

impl Pilot {
    /// A policy with the default configuration: wide bounds, no guard.
    pub fn new(policy: impl Policy + 'static) -> Self {
        Self { policy: Box::new(policy), config: DriverConfig::default() }
    }

    /// With another configuration.
    pub fn with_config(self, config: DriverConfig) -> Self {
        Self { config, ..self }
    }
}

impl From<(Box<dyn Policy>, DriverConfig)> for Pilot {
    fn from((policy, config): (Box<dyn Policy>, DriverConfig)) -> Self {
        Self { policy, config }
    }
}

/// A driver was asked for something impossible.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DriverError {
    /// A start value that no run can use.
    #[error("{name} is {value}, but must be {allowed}")]
    OutOfRange {
        /// Which value.
        name: &'static str,
        /// What was given.
        value: f64,
        /// What is possible.
        allowed: &'static str,
    },
    /// A policy that searches along lines.
    #[error(
        "this policy was trained for a line search, which retries every step on the same batch: run it with controller::LineSearch \
         (for tch: torch::QLineSearch) instead of a Driver or QController"
    )]
    LineSearch,
    /// The saved policy does not fit.
    #[error(transparent)]
    PolicyState(#[from] PolicyStateError),
}

/// How often each action was taken, the guard's included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DecisionCounts {
    /// Times ½.
    pub halve: u64,
    /// Left alone.
    pub accept: u64,
    /// Times 1¼.
    pub grow: u64,
}

impl DecisionCounts {
    /// Counts an action once, by its [`Action::main_move`].
    pub(super) fn count(&mut self, action: Action) {
        match action.main_move() {
            Move::Halve => self.halve += 1,
            Move::Accept => self.accept += 1,
            Move::Grow => self.grow += 1,
        }
    }
}

/// Everything of a driver that later steps depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriverState {
    lr: f64,
    lr_base: f64,
    /// The learning rate of the first step that was kept.
    lr_first: f64,
    /// That at which the guard last undid a step.
    lr_ceiling: Option<f64>,
    weight_decay: f64,
    weight_decay_base: f64,
    step: u64,
    next_decision: u64,
    recover_until: u64,
    validation: Option<f64>,
    went_far: bool,
    /// The norm of the parameters before the first step, until the length of that step is known.
    start_norm: Option<f64>,
    guard: Option<Guard>,
    counts: DecisionCounts,
    rollbacks: u64,
    policy: Vec<u8>,
}

/// A run whose distance from its start is beyond this share of the norm of its parameters went far: at a right angle, as far as the start
/// is from zero.
const FAR: f64 = std::f64::consts::FRAC_1_SQRT_2;

/// What is left of the learning rate of a run that is given up and begun again.
const GIVEN_UP: f64 = 0.25;

/// Called with every decision.
pub type DecisionCallback = Box<dyn FnMut(&TraceRecord<'_>) + Send>;

/// Runs a [`Policy`] beside a training loop. See the module for the protocol.
pub struct Driver<P: Policy = Box<dyn Policy>> {
    policy: P,
    config: DriverConfig,
    callbacks: Vec<DecisionCallback>,
    last: Option<Decision>,
    state: DriverState,
}

impl<P: Policy> Driver<P> {
    /// A driver at step 0 with these start values.
    ///
    /// # Errors
    /// When a start value or a field of the configuration is outside its range, or the policy was made for a line search.
    pub fn new(policy: P, lr: f64, weight_decay: f64, config: DriverConfig) -> Result<Self, DriverError> {
        if policy.line_search().is_some() {
            return Err(DriverError::LineSearch);
        }
        check_values(lr, weight_decay, &config)?;
        let state = DriverState {
            lr,
            lr_base: lr,
            lr_first: lr,
            lr_ceiling: None,
            weight_decay,
            weight_decay_base: weight_decay,
            step: 0,
            next_decision: 0,
            recover_until: 0,
            validation: None,
            went_far: false,
            start_norm: None,
            guard: config.guard.clone().map(Guard::new),
            counts: DecisionCounts::default(),
            rollbacks: 0,
            policy: Vec::new(),
        };
        Ok(Self { policy, config, callbacks: Vec::new(), last: None, state })
    }

    /// Changes the bounds and the budget, for the start values the driver was made with.
    ///
    /// # Errors
    /// When a field is outside its range; the driver is as it was then.
    pub fn set_config(&mut self, config: DriverConfig) -> Result<(), DriverError> {
        check_values(self.state.lr_base, self.state.weight_decay_base, &config)?;
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

    /// Sets the weight decay the run starts with.
    ///
    /// # Errors
    /// When it is negative or not finite.
    pub fn set_weight_decay(&mut self, weight_decay: f64) -> Result<(), DriverError> {
        check_values(self.state.lr_base, weight_decay, &self.config)?;
        self.state.weight_decay = weight_decay;
        self.state.weight_decay_base = weight_decay;
        Ok(())
    }

    /// From now on the policy neither learns nor explores.
    pub fn freeze(&mut self) {
        self.policy.freeze();
    }

    /// Whether a guard watches the losses.
    pub fn is_guarded(&self) -> bool {
        self.state.guard.is_some()
    }

    /// Whether the guard may still ask for the state before the first step ([`Verdict::Restart`]).
    pub fn may_restart(&self) -> bool {
        let Some(guard) = &self.state.guard else { return false };
        guard.may_give_up(self.state.step) || (self.config.first_update.is_some() && self.state.start_norm.is_some())
    }

    /// Whether the coming step starts with a decision.
    pub fn is_due(&self) -> bool {
        self.state.step >= self.state.next_decision
    }

    /// Shows the guard the losses seen since the last check. On [`Verdict::RollBack`] the learning rate is already halved and the decision
    /// logged: restore the snapshot, do not apply the step, call [`Driver::advance`]. On [`Verdict::Restart`] restore the state before the
    /// first step instead. On [`Verdict::Hold`] only leave the step out and call [`Driver::advance`]. May be called at any step, due or not.
    pub fn check(&mut self, window: &LossWindow, grad_is_finite: bool) -> Verdict {
        let Some(guard) = &mut self.state.guard else { return Verdict::Good };
        let verdict = match guard.check(window, grad_is_finite) {
            Verdict::Good if guard.gives_up(self.state.step, self.state.went_far) => Verdict::Restart,
            verdict => verdict,
        };
        let recovery_steps = guard.config().recovery_steps;
        let next = self.state.step + 1;
        let decision = match verdict {
            Verdict::Good => return verdict,
            Verdict::Hold => Decision { action: None, ..Decision::of(Action::ACCEPT, Reason::LossExploded) },
            Verdict::RollBack { reason, halve } => {
                Decision::of(if halve { Action::HALVE_LR } else { Action::ACCEPT }, reason)
            }
            Verdict::Restart => Decision { lr_factor: GIVEN_UP, ..Decision::of(Action::ACCEPT, Reason::GotNowhere) },
        };
        if matches!(verdict, Verdict::RollBack { halve: true, .. }) {
            self.state.lr_ceiling = Some(self.lr());
        }
        if verdict != Verdict::Hold {
            self.state.recover_until = next + recovery_steps;
            self.state.rollbacks += 1;
            self.state.went_far = false;
        }
        self.state.next_decision = next;
        self.apply(decision);
        self.record(window, false);
        verdict
    }

    /// Shows the guard how far the first step went, once that is measured: the first step says how long the steps of this learning rate are.
    /// Where it went further than `first_update` allows, the learning rate is scaled down to that, and the answer is [`Verdict::Restart`].
    pub fn check_first_step(&mut self, window: &LossWindow, measured: &Measured) -> Verdict {
        let (Some(allowed), Some(_)) = (self.config.first_update, &self.state.guard) else { return Verdict::Good };
        if self.state.step == 0 {
            self.state.start_norm = Some(measured.param_norm);
        }
        let Some(start_norm) = self.state.start_norm.filter(|_| measured.distance > 0.0) else { return Verdict::Good };
        self.state.start_norm = None;
        let excess = measured.distance / (allowed * start_norm);
        if !(excess > 1.0 && excess.is_finite()) {
            return Verdict::Good;
        }
        self.apply(Decision { lr_factor: 1.0 / excess, ..Decision::of(Action::ACCEPT, Reason::FirstStepTooFar) });
        self.state.lr_first = self.state.lr;
        self.state.next_decision = self.state.step + 1;
        self.state.rollbacks += 1;
        self.record(window, false);
        Verdict::Restart
    }

    /// Lets the policy decide, and applies what it decided to [`Driver::lr`] and [`Driver::weight_decay`].
    pub fn decide(&mut self, window: &LossWindow, measured: &Measured) -> Decision {
        let state = &self.state;
        let signals = Signals {
            step: state.step,
            total_steps: self.config.total_steps,
            window: *window,
            measured: *measured,
            lr: self.lr(),
            lr_base: state.lr_first,
            lr_ceiling: state.lr_ceiling,
            weight_decay: state.weight_decay,
            weight_decay_base: state.weight_decay_base,
            validation: state.validation,
        };
        let decision = self.policy.decide(&signals);
        let interval = if state.step < state.recover_until { 1 } else { self.policy.interval(state.step).max(1) };
        self.state.next_decision = self.state.step + interval;
        self.state.went_far = measured.distance > FAR * measured.param_norm;
        self.apply(decision);
        self.record(window, true);
        decision
    }

    /// One inner step has passed, applied or rolled back.
    pub fn advance(&mut self) {
        self.state.step += 1;
    }

    /// The learning rate to use now.
    pub fn lr(&self) -> f64 {
        self.state.lr * self.config.base_factor(self.state.step)
    }

    /// The weight decay to use now (PyTorch's: the gradient of the penalty is `weight_decay * x`).
    pub fn weight_decay(&self) -> f64 {
        self.state.weight_decay
    }

    /// Inner steps so far.
    pub fn step(&self) -> u64 {
        self.state.step
    }

    /// Sets a new base learning rate; what the policy made of the old one is kept as a ratio.
    ///
    /// # Errors
    /// When `lr` is not a positive number.
    pub fn set_lr(&mut self, lr: f64) -> Result<(), DriverError> {
        check_values(lr, 0.0, &self.config)?;
        let ratio = self.state.lr / self.state.lr_base;
        self.state.lr_base = lr;
        self.state.lr = clamp(lr * ratio, self.config.lr_bounds, lr);
        Ok(())
    }

    /// Tells the policy the newest validation loss or error.
    pub fn observe_validation(&mut self, error: f64) {
        self.state.validation = Some(error);
    }

    /// Adds a callback that sees every decision.
    pub fn on_decision(&mut self, callback: DecisionCallback) {
        self.callbacks.push(callback);
    }

    /// The policy.
    pub fn policy(&self) -> &P {
        &self.policy
    }

    /// The policy, to be changed.
    pub fn policy_mut(&mut self) -> &mut P {
        &mut self.policy
    }

    /// Gives the policy back.
    pub fn into_policy(self) -> P {
        self.policy
    }

    /// The last decision, the guard's included.
    pub fn last_decision(&self) -> Option<Decision> {
        self.last
    }

    /// How often each action was taken.
    pub fn counts(&self) -> DecisionCounts {
        self.state.counts
    }

    /// How often the guard rolled back.
    pub fn rollbacks(&self) -> u64 {
        self.state.rollbacks
    }

    /// The budget, where it is known.
    pub fn total_steps(&self) -> Option<u64> {
        self.config.total_steps
    }

    /// Everything later steps depend on. A driver made by the same call and given this state goes on bit-identically.
    pub fn state(&self) -> DriverState {
        DriverState { policy: self.policy.save(), ..self.state.clone() }
    }

    /// Goes back to a saved state.
    ///
    /// # Errors
    /// When the state was saved with another kind of policy.
    pub fn load_state(&mut self, state: DriverState) -> Result<(), DriverError> {
        self.policy.load(&state.policy)?;
        self.state = state;
        Ok(())
    }

    fn apply(&mut self, decision: Decision) {
        let state = &mut self.state;
        state.lr = clamp(state.lr * decision.lr_factor, self.config.lr_bounds, state.lr_base);
        state.weight_decay = clamp(
            state.weight_decay * decision.weight_decay_factor,
            self.config.weight_decay_bounds,
            state.weight_decay_base,
        );
        if let Some(action) = decision.action {
            state.counts.count(action);
        }
        self.last = Some(decision);
    }

    fn record(&mut self, window: &LossWindow, explained: bool) {
        let Some(decision) = self.last else { return };
        let explanation = if explained { self.policy.explain() } else { None };
        let record = TraceRecord {
            step: self.state.step,
            loss: window.mean,
            lr: self.lr(),
            weight_decay: self.state.weight_decay,
            action: decision.action,
            reason: decision.reason,
            features: explanation.map_or(&[], |e| e.features),
            q_values: explanation.map_or(&[], |e| e.q_values),
        };
        tracing::debug!(step = record.step, loss = record.loss, lr = record.lr, reason = ?record.reason, "decision");
        for callback in &mut self.callbacks {
            callback(&record);
        }
    }
}

/// Keeps `value` inside `bounds`, widened to hold the value that the user started with. Zero stays zero: it means *off*.
pub(super) fn clamp(value: f64, bounds: [f64; 2], base: f64) -> f64 {
    if value == 0.0 { 0.0 } else { value.clamp(bounds[0].min(base), bounds[1].max(base)) }
}

pub(super) fn check_values(lr: f64, weight_decay: f64, config: &DriverConfig) -> Result<(), DriverError> {
    let out_of_range = |name, value, allowed| Err(DriverError::OutOfRange { name, value, allowed });
    if !(lr.is_finite() && lr > 0.0) {
        return out_of_range("lr", lr, "a positive number");
    }
    if !(weight_decay.is_finite() && weight_decay >= 0.0) {
        return out_of_range("weight_decay", weight_decay, "zero or a positive number");
    }
    if !(0.0..=1.0).contains(&config.cooldown) {
        return out_of_range("cooldown", config.cooldown, "in [0, 1]");
    }
    for (name, [low, high]) in [("lr_bounds", config.lr_bounds), ("weight_decay_bounds", config.weight_decay_bounds)] {
        if !(low > 0.0 && low <= high && high.is_finite()) {
            return out_of_range(name, low, "0 < low <= high, both finite");
        }
    }
    if config.total_steps == Some(0) {
        return out_of_range("total_steps", 0.0, "at least 1");
    }
    if let Some((name, value, allowed)) = config.guard.as_ref().and_then(GuardConfig::invalid_field) {
        return out_of_range(name, value, allowed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Always(f64, u64);
    impl Policy for Always {
        fn decide(&mut self, _: &Signals) -> Decision {
            Decision::scheduled(self.0)
        }
        fn interval(&self, _: u64) -> u64 {
            self.1
        }
    }

    fn driver(factor: f64, interval: u64, guard: Option<GuardConfig>) -> Driver<Always> {
        let config = DriverConfig { guard, lr_bounds: [1e-3, 1.0], ..DriverConfig::default() };
        Driver::new(Always(factor, interval), 0.1, 0.0, config).unwrap()
    }

    #[test]
    fn decisions_come_at_the_interval_the_policy_names() {
        let mut driver = driver(1.0, 3, None);
        let mut due = Vec::new();
        for _ in 0..8 {
            if driver.is_due() {
                due.push(driver.step());
                driver.decide(&LossWindow::of(&[1.0]), &Measured::default());
            }
            driver.advance();
        }
        assert_eq!(due, [0, 3, 6]);
    }

    #[test]
    fn the_learning_rate_stays_within_its_bounds() {
        let mut up = driver(2.0, 1, None);
        let mut down = driver(0.5, 1, None);
        for _ in 0..20 {
            up.decide(&LossWindow::of(&[1.0]), &Measured::default());
            down.decide(&LossWindow::of(&[1.0]), &Measured::default());
        }
        assert_eq!((up.lr(), down.lr()), (1.0, 1e-3));
    }

    #[test]
    fn a_rollback_halves_and_then_decides_at_every_step_for_a_while() {
        let mut driver = driver(1.0, 100, Some(GuardConfig::default()));
        driver.check(&LossWindow::of(&[1.0]), true);
        driver.decide(&LossWindow::of(&[1.0]), &Measured::default());
        driver.advance();
        let verdict = driver.check(&LossWindow::of(&[f32::NAN]), true);
        assert_eq!(verdict, Verdict::RollBack { reason: Reason::NonFinite, halve: true });
        assert_eq!((driver.lr(), driver.rollbacks()), (0.05, 1));
        driver.advance();
        for _ in 0..8 {
            assert!(driver.is_due());
            driver.decide(&LossWindow::of(&[1.0]), &Measured::default());
            driver.advance();
        }
        driver.decide(&LossWindow::of(&[1.0]), &Measured::default());
        driver.advance();
        assert!(!driver.is_due());
    }

    #[test]
    fn a_first_step_that_goes_too_far_is_undone_once_and_scaled_to_what_is_allowed() {
        let config = DriverConfig {
            first_update: Some(0.1),
            guard: Some(GuardConfig { restart: 0.0, ..GuardConfig::default() }),
            ..DriverConfig::default()
        };
        let (window, at) =
            (LossWindow::of(&[1.0]), |distance| Measured { param_norm: 2.0, distance, ..Measured::default() });
        let first_step = |distance| {
            let mut driver = Driver::new(Always(1.0, 1), 0.4, 0.0, config.clone()).unwrap();
            assert_eq!(driver.check_first_step(&window, &at(0.0)), Verdict::Good);
            driver.decide(&window, &at(0.0));
            assert!(driver.may_restart());
            driver.advance();
            let verdict = driver.check_first_step(&window, &at(distance));
            (verdict, driver)
        };
        let (verdict, mut driver) = first_step(4.0);
        assert_eq!((verdict, driver.last_decision().unwrap().reason), (Verdict::Restart, Reason::FirstStepTooFar));
        assert!((driver.lr() - 0.4 / 20.0).abs() < 1e-12 && !driver.may_restart());
        assert_eq!(driver.check_first_step(&window, &at(4.0)), Verdict::Good, "only the first step is looked at");
        driver.advance();
        assert!(driver.is_due());
        assert_eq!(first_step(0.1).0, Verdict::Good);
    }

    #[test]
    fn a_cooldown_ends_a_known_budget_at_zero_and_leaves_an_unknown_one_alone() {
        let config = DriverConfig { cooldown: 0.25, total_steps: Some(8), ..DriverConfig::default() };
        let lrs = |config: DriverConfig| {
            let mut driver = Driver::new(Always(2.0, 4), 0.1, 0.0, config).unwrap();
            let step = |_| {
                if driver.is_due() {
                    driver.decide(&LossWindow::of(&[1.0]), &Measured::default());
                }
                let lr = driver.lr();
                driver.advance();
                lr
            };
            (0..9).map(step).collect::<Vec<f64>>()
        };
        assert_eq!(lrs(config.clone()), [0.2, 0.2, 0.2, 0.2, 0.4, 0.4, 0.4, 0.2, 0.4]);
        assert_eq!(lrs(DriverConfig { total_steps: None, ..config })[..8], [0.2, 0.2, 0.2, 0.2, 0.4, 0.4, 0.4, 0.4]);
    }

    #[test]
    fn start_values_that_no_run_can_use_are_refused() {
        for (lr, weight_decay) in [(-1.0, 0.0), (0.0, 0.0), (f64::NAN, 0.0), (0.1, -1.0)] {
            assert!(Driver::new(Always(1.0, 1), lr, weight_decay, DriverConfig::default()).is_err());
        }
        let bounds = DriverConfig { lr_bounds: [1.0, 0.1], ..DriverConfig::default() };
        assert!(Driver::new(Always(1.0, 1), 0.1, 0.0, bounds).is_err());
        let cooldown = DriverConfig { cooldown: f64::NAN, ..DriverConfig::default() };
        assert!(Driver::new(Always(1.0, 1), 0.1, 0.0, cooldown).is_err());
    }

    #[test]
    fn a_new_base_keeps_what_the_policy_made_of_the_old_one() {
        let mut driver = driver(0.5, 1, None);
        driver.decide(&LossWindow::of(&[1.0]), &Measured::default());
        driver.set_lr(0.2).unwrap();
        assert!((driver.lr() - 0.1).abs() < 1e-12);
    }
}
