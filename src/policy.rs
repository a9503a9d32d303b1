//! What decides: anything that reads [`Signals`] and answers with a [`Decision`].
//!
//! The learned [`Controller`](crate::Controller) is one policy, every rival in [`schedule`](crate::schedule) is another,
//! so that all of them run in the same training loop under the same [`Driver`](crate::Driver).

mod action;
mod measure;
mod signals;

pub use action::{Action, Controls, Move};
pub use measure::{Measure, Sums};
pub use signals::{LossWindow, Measured, Signals};

use serde::{Deserialize, Serialize};

/// Reads the signals of one decision window and says how to go on.
///
/// ```
/// use qgd::{Decision, Policy, Signals};
///
/// /// Halves the learning rate every 100 steps.
/// struct Staircase;
/// impl Policy for Staircase {
///     fn decide(&mut self, signals: &Signals) -> Decision {
///         let due = signals.step > 0 && signals.step % 100 == 0;
///         Decision::scheduled(if due { 0.5 } else { 1.0 })
///     }
/// }
/// let decision = Staircase.decide(&Signals { step: 100, ..Signals::default() });
/// assert_eq!(decision.lr_factor, 0.5);
/// ```
pub trait Policy: Send {
    /// One decision. Called by the driver at the steps that its [`Pace`](crate::driver::Pace) names.
    fn decide(&mut self, signals: &Signals) -> Decision;

    /// What the last decision was made of, for the trace.
    fn explain(&self) -> Option<Explanation<'_>> {
        None
    }

    /// Whether it was made for line searches: it knows nothing of schedules then, and a [`Driver`](crate::Driver) refuses it.
    fn searches_lines(&self) -> bool {
        false
    }

    /// From now on neither learn nor explore. A policy that does neither has nothing to do.
    fn freeze(&mut self) {}

    /// Everything that later decisions depend on, as bytes. A policy without memory has none.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// The opposite of [`Policy::save`].
    ///
    /// # Errors
    /// When the bytes were not written by this kind of policy.
    fn load(&mut self, state: &[u8]) -> Result<(), PolicyStateError> {
        if state.is_empty() { Ok(()) } else { Err(PolicyStateError { found_bytes: state.len() }) }
    }
}

impl Policy for Box<dyn Policy> {
    fn decide(&mut self, signals: &Signals) -> Decision {
        (**self).decide(signals)
    }
    fn explain(&self) -> Option<Explanation<'_>> {
        (**self).explain()
    }
    fn searches_lines(&self) -> bool {
        (**self).searches_lines()
    }
    fn freeze(&mut self) {
        (**self).freeze();
    }
    fn save(&self) -> Vec<u8> {
        (**self).save()
    }
    fn load(&mut self, state: &[u8]) -> Result<(), PolicyStateError> {
        (**self).load(state)
    }
}

/// The saved state does not belong to this policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the saved policy state ({found_bytes} bytes) was written by another kind of policy, or is damaged")]
pub struct PolicyStateError {
    /// Length of the refused state.
    pub found_bytes: usize,
}

/// What a policy wants done with the controlled values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The learning rate is multiplied by this, in every parameter group.
    pub lr_factor: f64,
    /// The weight decay is multiplied by this, in every parameter group.
    pub weight_decay_factor: f64,
    /// The action, where the policy chooses among a few.
    pub action: Option<Action>,
    /// Who decided, and why.
    pub reason: Reason,
}

impl Decision {
    /// A schedule's decision: the learning rate times `lr_factor`.
    pub fn scheduled(lr_factor: f64) -> Self {
        Self { lr_factor, weight_decay_factor: 1.0, action: None, reason: Reason::Schedule }
    }

    /// The decision that an action stands for.
    pub fn of(action: Action, reason: Reason) -> Self {
        Self {
            lr_factor: action.lr.factor(),
            weight_decay_factor: action.weight_decay.factor(),
            action: Some(action),
            reason,
        }
    }
}

/// Why a decision was what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// The greedy action of a learned policy.
    Policy,
    /// The policy would have halved, but nothing shows yet that the loss has been lower, so it takes the best of its other actions.
    NoEvidence,
    /// A random action, drawn to explore.
    Exploration,
    /// A fixed rule.
    Schedule,
    /// The features lie far outside what the policy was trained on, so it does not act.
    OutOfRange,
    /// The guard: the loss or the gradient is not finite.
    NonFinite,
    /// The guard: the loss exploded.
    LossExploded,
    /// The guard: the loss has been rising for long.
    LossDrifted,
    /// The guard: the run went far and the loss is no better for it, so it begins again, at a quarter of the learning rate.
    GotNowhere,
    /// The guard: the first step went too far, so the run begins again with a lower learning rate.
    FirstStepTooFar,
}

/// What a learned policy saw and computed at its last decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Explanation<'a> {
    /// The features, each in [-1, 1].
    pub features: &'a [f32],
    /// The Q-value of every action, in the order of the recipe's actions.
    pub q_values: &'a [f32],
}
