//! The only loop between a host and a [`Policy`]: the host trains, the driver says how to go on at every step.
//!
//! ```text
//! host, at every inner step                        driver
//! loss, gradient at x_t  -- step(losses, ...) -->  is the net well?   guard   explosion, drift, dead start, first step
//!                                                  what to do?        policy  signals -> decision
//!                                                  when, and how far? pace    probing, intervals, cooldown, bounds
//!                        <-- Order --
//! Apply { lr, weight_decay, keep }   apply the optimizer's step; `keep`: remember the state before it first
//! Skip                               leave the step out, and look at another batch at the same parameters
//! RollBack                           go back to the state that was kept last
//! Restart                            go back to the state that was kept first
//! ```
//!
//! The guard may veto the policy: where it finds something wrong, the policy is not asked. The pace says when the
//! policy is asked, and keeps what it decides within bounds. Nobody vetoes the guard. (docs/DESIGN.md, *Who may veto
//! whom?*)
//!
//! It knows no framework: `torch::QController`, the rollouts of meta-training, [`Session`] and
//! `examples/momentum_by_hand.rs` are hosts of it. A loop whose parameters are plain slices needs no host of its own:
//! a [`Session`] measures, remembers and goes back by itself.
//!
//! **What the loss must be.** A distance: never below 0, or below [`DriverConfig::loss_floor`] where that is given, and
//! near it for a net that has learned all there is. Guard and controllers compare losses as ratios, in any unit, so a
//! constant that is added to the loss hides all progress, and of a loss that may have either sign (a Wasserstein GAN's)
//! ratios mean nothing. Losses that are no distances are noticed and said once, as a warning of `tracing`; from a loss
//! below the floor on, a controller leaves the rates as they are.
//!
//! **Losses that are not finite.** Under a guard, a step whose loss or gradient is not finite is never applied, also
//! between two decisions. The first time it is left out ([`Order::Skip`]), and the next batch is looked at, at the same
//! parameters. If that is sound, the batch was at fault: it is counted ([`Driver::broken_batches`]), and the rate
//! stays. If not, the last step was: the host rolls back, and the rate is halved. (A host that can see such a loss only at the
//! next decision, because looking would make it wait for a GPU, leaves the step out by itself and hands the loss over
//! then, with those of the other steps.)

mod config;
mod cooldown;
mod error;
mod guard;
mod host;
pub mod line_search;
mod losses;
mod pace;
mod session;
mod state;
#[cfg(test)]
mod tests;
mod trace;

pub use config::{DriverConfig, Pilot};
pub use error::DriverError;
pub use guard::{GuardConfig, RECOVERY_STEPS};
pub use line_search::{
    LineSearch, LineSearchConfig, LineSearchError, LineSearchStep, Minimized, SearchDirection, minimize,
};
pub use pace::{Bounds, Pace};
pub use session::{Rates, Session, SessionError, SessionState};
pub use state::DriverState;
pub use trace::TraceRecord;

use crate::policy::{Action, Decision, LossWindow, Measured, Move, Policy, Reason, Signals};
use guard::{Guard, Verdict};
use losses::Notice;
use pace::clamp;
use serde::{Deserialize, Serialize};
use state::State;

/// Order to the host: what it does at a step. See [`Driver::step`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use]
pub enum Order {
    /// Apply the optimizer's step.
    Apply {
        /// Learning rate of this step.
        lr: f64,
        /// Weight decay of this step (PyTorch's: the gradient of the penalty is `weight_decay * x`).
        weight_decay: f64,
        /// Whether the state before this step (parameters, buffers, moments of the optimizer) is verified: the one that
        /// [`Order::RollBack`] goes back to from here on.
        keep: bool,
    },
    /// Leave the step out and change nothing. The next step looks at another batch at the same parameters. Buffers that
    /// the forward pass over a broken batch has spoilt (running statistics) go back to what they were.
    Skip,
    /// Leave the step out, and go back to the state that was kept last (before anything was kept: to the start).
    RollBack,
    /// Leave the step out, and go back to the state that was kept first, which is now also the one that was kept last.
    /// Measure as if the run were new.
    Restart,
}

/// Number of times that each action was taken, those of the guard included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DecisionCounts {
    /// Number of halvings.
    pub halve: u64,
    /// Number of times that nothing was moved.
    pub accept: u64,
    /// Number of times that a value grew.
    pub grow: u64,
}

impl DecisionCounts {
    /// Counts an action once, by its [`Action::main_move`].
    fn count(&mut self, action: Action) {
        match action.main_move() {
            Move::Halve => self.halve += 1,
            Move::Accept => self.accept += 1,
            Move::Grow => self.grow += 1,
        }
    }
}

/// Callback that is called with every decision.
pub type DecisionCallback = Box<dyn FnMut(&TraceRecord<'_>) + Send>;

/// Runs a [`Policy`] beside a training loop. The protocol stands in the head of [the module](self).
///
/// ```
/// use qgd::driver::Order;
/// use qgd::{Controller, Driver, Measure};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let controller = Controller::pretrained("lr")?;
/// let config = controller.driver_config(Some(100));
/// let mut driver = Driver::new(controller, 1e-4, 0.0, config)?;
/// let (mut x, mut kept, start) = ([1.0f32], [1.0], [1.0]);
/// let mut measure = Measure::default();
/// for _ in 0..100 {
///     let (loss, grad) = (0.5 * x[0] * x[0], x);
///     match driver.step(&[loss], grad[0].is_finite(), || measure.measure(&x, &grad)) {
///         Order::Apply { lr, keep, .. } => {
///             if keep {
///                 kept = x;
///             }
///             x[0] -= lr as f32 * grad[0];
///         }
///         Order::Skip => {}
///         Order::RollBack => {
///             x = kept;
///             measure.rolled_back(&x);
///         }
///         Order::Restart => {
///             (x, kept) = (start, start);
///             measure = Measure::default();
///         }
///     }
/// }
/// assert!(x[0].abs() < 0.2, "{x:?} at {}", driver.lr());
/// # Ok(()) }
/// ```
pub struct Driver<P: Policy = Box<dyn Policy>> {
    policy: P,
    config: DriverConfig,
    callbacks: Vec<DecisionCallback>,
    last: Option<Decision>,
    state: State,
}

impl<P: Policy> Driver<P> {
    /// Makes a driver at step 0, with these start values.
    ///
    /// # Errors
    /// When a start value or a field of the configuration is outside its range, or the policy was made for a line
    /// search.
    pub fn new(policy: P, lr: f64, weight_decay: f64, config: DriverConfig) -> Result<Self, DriverError> {
        if policy.searches_lines() {
            return Err(DriverError::LineSearch);
        }
        config.check(lr, weight_decay)?;
        let state = State::new(lr, weight_decay, &config);
        Ok(Self { policy, config, callbacks: Vec::new(), last: None, state })
    }

    /// One inner step: the host tells what it saw at its parameters, and does what the answer says.
    ///
    /// - `losses`: the losses at these parameters, usually one. A host that keeps its losses on a device hands over all
    ///   since the last decision, oldest first, when [`Driver::is_due`], and none in between; it has then left out
    ///   every step whose loss or gradient was not finite, and shows such a step by a loss that is not finite. Without any, a
    ///   decision that is due finds no loss to judge, which counts as one that is not finite.
    /// - `grad_is_finite`: whether all of the gradient of this step is; true where nobody looked.
    /// - `measure`: measures these parameters and the gradient at them. It is called only where a decision rests on it.
    ///
    /// What a loss must be stands in the head of [the module](self).
    pub fn step(&mut self, losses: &[f32], grad_is_finite: bool, measure: impl FnOnce() -> Measured) -> Order {
        let order = if self.is_guarded() {
            self.guarded_step(losses, grad_is_finite, measure)
        } else {
            self.observe(losses);
            if self.is_due() {
                let window = self.take_window();
                self.decide(&window, &measure());
            }
            self.go_on(false)
        };
        self.state.step += 1;
        order
    }

    fn guarded_step(&mut self, losses: &[f32], grad_is_finite: bool, measure: impl FnOnce() -> Measured) -> Order {
        let is_due = self.is_due();
        let is_sound = self.take_in(losses, grad_is_finite);
        if !is_sound {
            return self.leave_out();
        }
        if is_due {
            let window = self.take_window();
            return self.judge(&window, measure);
        }
        match self.state.window.last() {
            Some(&loss) if !losses.is_empty() && self.guard_suspects() => {
                let verdict = self.state.guard.as_mut().map_or(Verdict::Good, |guard| guard.look_again(loss.into()));
                let window = if verdict == Verdict::Good { LossWindow::of(&[loss]) } else { self.take_window() };
                self.obey(verdict, &window)
            }
            _ => self.go_on(false),
        }
    }

    /// Takes in the losses of this step and of those before it that were not told yet. Returns whether this step is
    /// sound; what is not finite is left out of the window.
    fn take_in(&mut self, losses: &[f32], grad_is_finite: bool) -> bool {
        if losses.is_empty() && !self.is_due() {
            self.state.untold += 1;
            return grad_is_finite;
        }
        let untold = std::mem::take(&mut self.state.untold) as usize;
        let (before, now) = losses.split_at(untold.min(losses.len().saturating_sub(1)));
        for &loss in before {
            self.state.guard.iter_mut().for_each(|guard| guard.told(loss.is_finite()));
            if loss.is_finite() {
                self.observe(&[loss]);
            }
        }
        let is_sound = grad_is_finite && !now.is_empty() && now.iter().all(|loss| loss.is_finite());
        if is_sound {
            self.observe(now);
        }
        is_sound
    }

    /// Leaves out a step whose loss or gradient is not finite, as the guard says.
    fn leave_out(&mut self) -> Order {
        let verdict = self.state.guard.as_mut().map_or(Verdict::Good, Guard::check_broken);
        if let Verdict::RollBack { .. } = verdict {
            self.state.window.clear();
        }
        self.obey(verdict, &LossWindow::of(&[]))
    }

    fn guard_suspects(&self) -> bool {
        self.state.guard.as_ref().is_some_and(Guard::suspects_broken)
    }

    /// Ends a run: shows the policy what the last step led to, though nothing is applied any more. A truncated episode
    /// bootstraps from that state.
    pub fn finish(&mut self, losses: &[f32], measured: &Measured) {
        self.observe(losses);
        let window = self.take_window();
        self.decide(&window, measured);
    }

    /// Asks the guard and, where it finds nothing wrong, the policy.
    fn judge(&mut self, window: &LossWindow, measure: impl FnOnce() -> Measured) -> Order {
        let (step, may_restart) = (self.state.step, self.state.first_is_kept);
        let check = |guard: &mut Guard| guard.check(window, step, may_restart);
        let verdict = self.state.guard.as_mut().map_or(Verdict::Good, check);
        if verdict != Verdict::Good {
            return self.obey(verdict, window);
        }
        let measured = measure();
        let check = |guard: &mut Guard| guard.check_first_step(&measured, may_restart);
        let verdict = self.state.guard.as_mut().map_or(Verdict::Good, check);
        if verdict != Verdict::Good {
            return self.obey(verdict, window);
        }
        self.decide(window, &measured);
        self.go_on(true)
    }

    fn go_on(&self, keep: bool) -> Order {
        Order::Apply { lr: self.lr(), weight_decay: self.weight_decay(), keep }
    }

    /// Turns the verdict of the guard into an order. The next step is a decision, unless this one is only left out
    /// because it is not finite: then the next one is as it would have been.
    fn obey(&mut self, verdict: Verdict, window: &LossWindow) -> Order {
        let accept = |reason| Decision::of(Action::ACCEPT, reason);
        let next = self.state.step + 1;
        let (order, decision) = match verdict {
            Verdict::Good => return self.go_on(false),
            Verdict::Hold { reason } => (Order::Skip, Decision { action: None, ..accept(reason) }),
            Verdict::RollBack { reason, halve: false } => (Order::RollBack, accept(reason)),
            Verdict::RollBack { reason, halve: true } => {
                let lr = self.lr();
                self.state.guard.iter_mut().for_each(|guard| guard.undone_at(lr));
                (Order::RollBack, Decision::of(Action::HALVE_LR, reason))
            }
            Verdict::Restart { reason, lr_factor } => (Order::Restart, Decision { lr_factor, ..accept(reason) }),
        };
        self.apply(decision);
        if decision.reason == Reason::FirstStepTooFar {
            self.state.lr_first = self.state.rate.lr;
        } else if order != Order::Skip {
            self.state.recover_until = next + RECOVERY_STEPS;
        }
        self.state.rollbacks += u64::from(order != Order::Skip);
        let waits = order == Order::Skip && decision.reason == Reason::NonFinite;
        self.state.next_decision = if waits { self.state.next_decision } else { next };
        self.record(window, false);
        order
    }

    /// Lets the policy decide, and applies its factors to [`Driver::lr`] and [`Driver::weight_decay`].
    fn decide(&mut self, window: &LossWindow, measured: &Measured) {
        let state = &self.state;
        let signals = Signals {
            step: state.step,
            total_steps: self.total_steps(),
            steps_per_epoch: self.config.steps_per_epoch,
            window: *window,
            measured: *measured,
            lr: self.lr(),
            lr_base: state.lr_first,
            lr_ceiling: state.guard.as_ref().and_then(Guard::ceiling),
            weight_decay: state.weight_decay,
            weight_decay_base: state.weight_decay_base,
            validation: state.validation,
            below_floor: state.losses.below_floor(),
        };
        let decision = self.policy.decide(&signals);
        let state = &mut self.state;
        let interval = if state.step < state.recover_until { 1 } else { self.config.pace.interval(state.step) };
        state.next_decision = state.step.saturating_add(interval);
        state.guard.iter_mut().for_each(|guard| guard.measured(measured));
        self.apply(decision);
        self.record(window, true);
    }

    /// Keeps losses for the next decision, less the floor.
    fn observe(&mut self, losses: &[f32]) {
        let (floor, step) = (self.config.loss_floor as f32, self.state.step);
        for loss in losses.iter().map(|loss| loss - floor) {
            self.state.window.push(loss);
            if let Some(notice) = self.state.losses.see(loss.into(), step) {
                self.notice(notice, loss);
            }
        }
    }

    /// Says that the losses are no distances, where somebody takes them for such.
    fn notice(&mut self, notice: Notice, loss: f32) {
        let Some(guard) = &mut self.state.guard else { return };
        notice.say(self.state.step, f64::from(loss) + self.config.loss_floor);
        if notice == Notice::BelowFloor {
            guard.losses_are_below_floor();
        }
    }

    fn take_window(&mut self) -> LossWindow {
        let window = LossWindow::of(&self.state.window);
        self.state.window.clear();
        window
    }

    fn apply(&mut self, decision: Decision) {
        let (state, bounds) = (&mut self.state, &self.config.bounds);
        state.rate.lr = clamp(state.rate.lr * sound(decision.lr_factor), bounds.lr, state.lr_base);
        let weight_decay = state.weight_decay * sound(decision.weight_decay_factor);
        state.weight_decay = clamp(weight_decay, bounds.weight_decay, state.weight_decay_base);
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
            loss: window.mean + self.config.loss_floor,
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

/// Factor of a decision; 1 for one that no rate can take, whatever policy it is from.
fn sound(factor: f64) -> f64 {
    if factor.is_nan() || factor < 0.0 { 1.0 } else { factor.min(f64::MAX) }
}
