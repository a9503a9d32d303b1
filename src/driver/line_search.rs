//! Line-search semantics: Q-gradient descent as published (Hu, Zhang and Shi, Algorithms 1 and 2).
//!
//! ```text
//! x̄, ∇f(x̄)     base iterate and its gradient             x_t        candidate
//! α, λ          step size and penalty, g = f + λ ||x||²   α_c, λ_c   their start values; PyTorch's weight decay is 2 λ
//!
//! t < M                        warm-up: x̄ ← x_t, x_{t+1} = x̄ - α_c ∇g(x̄)
//! t ≥ M   halve, grow          α or λ times ½ or 1¼: retry from x̄; the candidate is dropped
//!         accept               x̄ ← x_t, then α ← α_c, λ ← λ_c
//!         x_{t+1} = x̄ + α d    d = -(∇f(x̄) + 2 λ x̄)
//! ```
//!
//! The result of T steps is x_T. At t = M the base becomes x_M, whatever is decided.
//!
//! Beyond the paper:
//! - *Grow* exists for α too (the paper has it for λ only), and both values can be moved at once: x_t is accepted when
//!   neither moves.
//! - Read literally, d is computed at *accept* and cached with the λ of that moment, so that halving or growing λ
//!   leaves the candidate where it was. [`SearchDirection::Literal`] does that; [`SearchDirection::Current`], the
//!   default, caches ∇f(x̄) alone, and λ moves the candidate.
//! - [`LineSearchConfig::reset_on_accept`] = false keeps α and λ.
//! - A candidate whose loss or gradient is not finite is never accepted, but halved.
//! - At t = M the features still compare with x_{M-1}: with x̄ = x_M they would compare x_M with itself.
//!
//! f must not fall below 0, or below [`DriverConfig::loss_floor`] where that is given: controllers compare its values
//! as ratios. (The published features of `hansen6` show an f that is not positive as -1.) The first value below is said,
//! as a warning of `tracing`.
//!
//! It needs the same batch at x̄ and x_t (the full batch, or one held for the search) and plain gradient descent: with
//! momentum or Adam, the step is not α d and retrying from x̄ has no meaning.

mod reference;

pub use reference::{Minimized, minimize};

use super::{DecisionCounts, DriverConfig, TraceRecord, clamp};
use crate::artifact::exact;
use crate::limits::{OutOfRange, is_count, within};
use crate::policy::{Action, Decision, LossWindow, Measured, Policy, Reason, Signals};
use serde::{Deserialize, Serialize};

/// Configuration of a line search.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `memory` | 10 | M: the first M - 1 steps are plain gradient steps (the paper names no number) | [1, 32] |
/// | `reset_on_accept` | true | accepting sets α and λ back to their start values, as published | |
/// | `direction` | current | which λ the direction uses: `current`, or `literal`, the one at the last accept | |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the table has a row for each field")]
pub struct LineSearchConfig {
    pub memory: u32,
    pub reset_on_accept: bool,
    pub direction: SearchDirection,
}

impl Default for LineSearchConfig {
    fn default() -> Self {
        Self { memory: 10, reset_on_accept: true, direction: SearchDirection::Current }
    }
}

impl LineSearchConfig {
    /// Whether the step after `step` others is a plain gradient step. The policy is shown its signals, but does not
    /// decide.
    pub fn is_warm_up(&self, step: u64) -> bool {
        step + 1 < u64::from(self.memory)
    }

    /// Checks every field.
    ///
    /// # Errors
    /// When one is outside its range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        within("memory", self.memory.into(), (1..=32).contains(&self.memory), "in [1, 32]")
    }
}

/// The λ in the direction d = -(∇f(x̄) + 2 λ x̄).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SearchDirection {
    /// The λ of now.
    Current,
    /// The λ that x̄ was accepted with, as Algorithm 2 reads to the letter.
    Literal,
}

/// Error: a line search cannot start or go on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LineSearchError {
    /// A setting, a start value or a bound is outside its range.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// A saved search that was made with other settings.
    #[error("the saved line search was made with other settings or bounds than this one")]
    OtherConfig,
    /// The policy names no action: it is a schedule.
    #[error("at step {step} the policy named no action: a line search needs one that chooses to halve, accept or grow")]
    NoAction {
        /// Number of inner steps so far.
        step: u64,
    },
}

/// Order to the host of a line search, to be followed in the order of the fields. [`LineSearchStep::apply`] does so on
/// slices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LineSearchStep {
    /// Whether first x̄ ← x_t and ∇f(x̄) ← ∇f(x_t).
    pub rebase: bool,
    /// Step size α of the move x ← x̄ - `lr` (∇f(x̄) + `weight_decay` x̄).
    pub lr: f64,
    /// Weight decay 2 λ of that move.
    pub weight_decay: f64,
    /// Decision of the step; none during the warm-up.
    pub decision: Option<Decision>,
}

impl LineSearchStep {
    /// Moves to the next candidate. `x` and `grad` belong to the candidate x_t, `base` and `base_grad` to x̄; all of
    /// one length.
    pub fn apply(&self, x: &mut [f32], grad: &[f32], base: &mut [f32], base_grad: &mut [f32]) {
        if self.rebase {
            base.copy_from_slice(x);
            base_grad.copy_from_slice(grad);
        }
        let (lr, weight_decay) = (self.lr as f32, self.weight_decay as f32);
        for ((x, &b), &g) in x.iter_mut().zip(&*base).zip(&*base_grad) {
            *x = b - lr * (g + weight_decay * b);
        }
    }
}

/// The state machine of a line search. It holds no parameters: x̄ and ∇f(x̄) live with the caller.
///
/// Every step: measure f and ∇f at x_t, call [`LineSearch::next_step`], do what it says. Serializable, so that a run
/// can be resumed.
///
/// ```
/// use qgd::driver::{DriverConfig, LineSearch, LineSearchConfig};
/// use qgd::{Action, Decision, Measured, Policy, Reason, Signals};
///
/// struct AlwaysHalve;
/// impl Policy for AlwaysHalve {
///     fn decide(&mut self, _: &Signals) -> Decision {
///         Decision::of(Action::HALVE_LR, Reason::Schedule)
///     }
/// }
/// let config = LineSearchConfig { memory: 1, ..LineSearchConfig::default() };
/// let mut search = LineSearch::new(0.8, 0.0, config, DriverConfig::default())?;
/// let (mut x, mut base, mut base_grad) = ([3.0f32], [0.0], [0.0]);
/// for expected in [3.0 - 0.4 * 3.0, 3.0 - 0.2 * 3.0] {
///     let (f, grad) = (0.5 * x[0] * x[0], x);
///     let step = search.next_step(&mut AlwaysHalve, f.into(), &Measured::default(), true)?;
///     step.apply(&mut x, &grad, &mut base, &mut base_grad);
///     assert!((x[0] - expected).abs() < 1e-6);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LineSearch {
    config: LineSearchConfig,
    /// Budget, loss floor and bounds. Pace and guard are not used.
    #[serde(with = "exact")]
    bounds: DriverConfig,
    #[serde(with = "exact")]
    lr: f64,
    #[serde(with = "exact")]
    lr_base: f64,
    #[serde(with = "exact")]
    weight_decay: f64,
    #[serde(with = "exact")]
    weight_decay_base: f64,
    /// Weight decay of the cached direction, for the literal reading.
    #[serde(with = "exact")]
    accepted_weight_decay: f64,
    step: u64,
    counts: DecisionCounts,
    /// Whether a loss was below the floor, which is said once.
    below_floor: bool,
}

impl LineSearch {
    /// Makes a search at its first step. Of `bounds`, pace and guard are not used: a line search has its own.
    ///
    /// # Errors
    /// When a start value, a bound or a setting is outside its range.
    pub fn new(
        lr: f64,
        weight_decay: f64,
        config: LineSearchConfig,
        bounds: DriverConfig,
    ) -> Result<Self, LineSearchError> {
        bounds.check(lr, weight_decay)?;
        config.check()?;
        Ok(Self {
            config,
            bounds,
            lr,
            lr_base: lr,
            weight_decay,
            weight_decay_base: weight_decay,
            accepted_weight_decay: weight_decay,
            step: 0,
            counts: DecisionCounts::default(),
            below_floor: false,
        })
    }

    /// Checks that a search of `other`'s configuration can have left this one so. A search that is read from a file
    /// must pass; `torch::QLineSearch` sees to it.
    ///
    /// # Errors
    /// When it searches by another configuration, or holds numbers that no search can have left there.
    pub fn check_like(&self, other: &Self) -> Result<(), LineSearchError> {
        if self.config != other.config || self.bounds != other.bounds {
            return Err(LineSearchError::OtherConfig);
        }
        self.config.check()?;
        self.bounds.check(self.lr, self.weight_decay)?;
        self.bounds.check(self.lr_base, self.weight_decay_base)?;
        self.bounds.check(self.lr_base, self.accepted_weight_decay)?;
        let DecisionCounts { halve, accept, grow } = self.counts;
        for (key, n) in [("step", self.step), ("halve", halve), ("accept", accept), ("grow", grow)] {
            within(key, n as f64, is_count(n), "a number of steps that a run can have")?;
        }
        Ok(())
    }

    /// Whether the coming step is a plain gradient step. The policy is shown its signals (its features need the M
    /// lowest values), but not asked.
    pub fn is_warming_up(&self) -> bool {
        self.config.is_warm_up(self.step)
    }

    /// The configuration.
    pub fn config(&self) -> LineSearchConfig {
        self.config
    }

    /// Weight decay w in the direction d(x̄) = -(∇f(x̄) + w x̄) that led to the candidate at hand.
    pub fn direction_weight_decay(&self) -> f64 {
        match self.config.direction {
            SearchDirection::Current => self.weight_decay,
            SearchDirection::Literal => self.accepted_weight_decay,
        }
    }

    /// One step: shows `policy` the candidate and turns its action into what the caller has to do.
    ///
    /// `loss` is f(x_t) without penalty, `grad_is_finite` says whether all of ∇f(x_t) is. `measured.grad_dot` is
    /// -⟨d(x̄), ∇f(x_t)⟩, the rest as everywhere; what was not measured is NaN. A candidate that is not finite is
    /// halved without asking the policy, so that no agent remembers an action that was not its own.
    ///
    /// # Errors
    /// When the policy names no action.
    pub fn next_step(
        &mut self,
        policy: &mut dyn Policy,
        loss: f64,
        measured: &Measured,
        grad_is_finite: bool,
    ) -> Result<LineSearchStep, LineSearchError> {
        let is_finite = loss.is_finite() && grad_is_finite;
        if loss.is_finite() && loss < self.bounds.loss_floor && !self.below_floor {
            self.below_floor = true;
            tracing::warn!(
                step = self.step,
                loss,
                "a loss is below its floor: a controller compares losses as ratios, so give a number below all of them as the \
                 loss floor"
            );
        }
        let decided = if self.asks(is_finite) {
            policy.decide(&self.signals(loss, measured))
        } else {
            Decision::of(Action::HALVE_LR, Reason::NonFinite)
        };
        self.advance(decided, is_finite)
    }

    /// [`LineSearch::next_step`] for a decision that was taken elsewhere. `is_finite` says whether f(x_t) and ∇f(x_t)
    /// are.
    ///
    /// # Errors
    /// When the decision names no action.
    pub fn advance(&mut self, decided: Decision, is_finite: bool) -> Result<LineSearchStep, LineSearchError> {
        let must_halve = !self.asks(is_finite);
        let decision = if must_halve {
            Some(Decision::of(Action::HALVE_LR, Reason::NonFinite))
        } else if self.is_warming_up() {
            None
        } else {
            Some(decided)
        };
        let action = match decision {
            None => Action::ACCEPT,
            Some(decision) => decision.action.ok_or(LineSearchError::NoAction { step: self.step })?,
        };
        let rebase = !must_halve && (action == Action::ACCEPT || self.step < u64::from(self.config.memory));
        if rebase {
            self.accepted_weight_decay = self.weight_decay;
        }
        self.move_values(action);
        if decision.is_some() {
            self.counts.count(action);
        }
        self.step += 1;
        Ok(LineSearchStep { rebase, lr: self.lr, weight_decay: self.direction_weight_decay(), decision })
    }

    /// Whether the policy is asked. Without a base there is nothing to go back to: the start must be taken as it is.
    fn asks(&self, is_finite: bool) -> bool {
        is_finite || self.step == 0
    }

    /// Signals of the candidate, for a policy.
    pub fn signals(&self, loss: f64, measured: &Measured) -> Signals {
        let mean = loss - self.bounds.loss_floor;
        Signals {
            step: self.step,
            total_steps: self.bounds.total_steps,
            steps_per_epoch: self.bounds.steps_per_epoch,
            window: LossWindow { n: 1, mean, std: 0.0, recent: mean },
            measured: *measured,
            lr: self.lr,
            lr_base: self.lr_base,
            lr_ceiling: None,
            weight_decay: self.weight_decay,
            weight_decay_base: self.weight_decay_base,
            validation: None,
            below_floor: self.below_floor,
        }
    }

    /// Record for the trace of the step that was just decided, at a candidate with this `loss`.
    pub fn record<'a>(&self, step: &LineSearchStep, loss: f64, policy: &'a dyn Policy) -> Option<TraceRecord<'a>> {
        let decision = step.decision?;
        let explanation = if decision.reason == Reason::NonFinite { None } else { policy.explain() };
        Some(TraceRecord {
            step: self.step - 1,
            loss,
            lr: self.lr,
            weight_decay: self.weight_decay,
            action: decision.action,
            reason: decision.reason,
            features: explanation.map_or(&[], |e| e.features),
            q_values: explanation.map_or(&[], |e| e.q_values),
        })
    }

    /// Step size α now.
    pub fn lr(&self) -> f64 {
        self.lr
    }

    /// Weight decay 2 λ now.
    pub fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    /// Number of steps so far, warm-up and retries included.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Number of times that each action was taken.
    pub fn counts(&self) -> DecisionCounts {
        self.counts
    }

    fn move_values(&mut self, action: Action) {
        if action == Action::ACCEPT {
            if self.config.reset_on_accept {
                (self.lr, self.weight_decay) = (self.lr_base, self.weight_decay_base);
            }
            return;
        }
        self.lr = clamp(self.lr * action.lr.factor(), self.bounds.bounds.lr, self.lr_base);
        self.weight_decay = clamp(
            self.weight_decay * action.weight_decay.factor(),
            self.bounds.bounds.weight_decay,
            self.weight_decay_base,
        );
    }
}

#[cfg(test)]
mod tests;
