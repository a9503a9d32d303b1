//! Policies: anything that reads [`Signals`] and answers with a [`Decision`].
//!
//! The learned [`Controller`](crate::Controller) is one policy; every rival in [`schedule`](crate::schedule) is
//! another. So all of them run in the same training loop, under the same [`Driver`](crate::Driver).

mod action;
mod measure;
mod signals;

pub use action::{Action, Controls, Move};
pub use measure::{Measure, Sums};
pub use signals::{LossWindow, Measured, Signals};

use serde::{Deserialize, Serialize};

/// A policy reads the signals since the last decision and says how to go on.
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
    /// Takes one decision. The driver calls it at the steps that its [`Pace`](crate::driver::Pace) names, after its guard
    /// has found the net well. A training loop that calls it by itself has neither: it uses a
    /// [`Session`](crate::driver::Session) or a [`Driver`](crate::Driver).
    fn decide(&mut self, signals: &Signals) -> Decision;

    /// Features and Q-values of the last decision, for the trace. None for a policy that has none.
    fn explain(&self) -> Option<Explanation<'_>> {
        None
    }

    /// Whether the policy was made for line searches. Then it knows nothing of schedules, and a
    /// [`Driver`](crate::Driver) refuses it.
    fn searches_lines(&self) -> bool {
        false
    }

    /// Stops learning and exploring. A policy that does neither has nothing to do here.
    fn freeze(&mut self) {}

    /// Everything that later decisions depend on, as bytes. A policy without memory has none.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Goes back to what [`Policy::save`] returned. Whatever bytes it accepts, the factors that it decides on after
    /// that are finite and positive, and it allocates no more than a small multiple of their number, but for 1 MiB that a
    /// list may claim.
    ///
    /// # Errors
    /// When the bytes were not written by this kind of policy with these settings, or no run can have left it so. The
    /// policy is as it was then.
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

/// Error: the saved state does not belong to this policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the saved policy state ({found_bytes} bytes) was written by another kind of policy, or is damaged")]
pub struct PolicyStateError {
    /// Length of the state that was refused.
    pub found_bytes: usize,
}

/// The answer of a policy: factors of the controlled values, and the reason.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Factor of the learning rate, in every parameter group.
    pub lr_factor: f64,
    /// Factor of the weight decay, in every parameter group.
    pub weight_decay_factor: f64,
    /// Action that was chosen, for a policy that chooses among a few.
    pub action: Option<Action>,
    /// Reason: who decided, and why.
    pub reason: Reason,
}

impl Decision {
    /// Decision of a schedule: the learning rate times `lr_factor`.
    pub fn scheduled(lr_factor: f64) -> Self {
        Self { lr_factor, weight_decay_factor: 1.0, action: None, reason: Reason::Schedule }
    }

    /// Decision that an action stands for.
    pub fn of(action: Action, reason: Reason) -> Self {
        Self {
            lr_factor: action.lr.factor(),
            weight_decay_factor: action.weight_decay.factor(),
            action: Some(action),
            reason,
        }
    }
}

/// Reason of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// The greedy action of a learned policy.
    Policy,
    /// The best action was to halve, but nothing shows yet that the loss has been lower. So it is the best of the
    /// others.
    NoEvidence,
    /// An action that was drawn at random, to explore.
    Exploration,
    /// A schedule: a fixed rule.
    Schedule,
    /// The features lie far outside those of meta-training, or the losses are no distances from their floor, so the
    /// policy does not act.
    OutOfRange,
    /// The guard: a loss or the gradient is not finite. Without an action: the step was left out, and the next batch is
    /// looked at.
    NonFinite,
    /// The guard: the loss is far above the highest of late.
    LossExploded,
    /// The guard: the level of the loss has been rising for long.
    LossDrifted,
    /// The guard: the run went far and the loss is no better for it. It begins again, at a quarter of the learning
    /// rate.
    GotNowhere,
    /// The guard: the first step went too far. The run begins again, with a learning rate at which it does not.
    FirstStepTooFar,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 10] = [
        Self::Policy,
        Self::NoEvidence,
        Self::Exploration,
        Self::Schedule,
        Self::OutOfRange,
        Self::NonFinite,
        Self::LossExploded,
        Self::LossDrifted,
        Self::GotNowhere,
        Self::FirstStepTooFar,
    ];

    /// Its name in traces.
    ///
    /// ```
    /// assert_eq!(qgd::Reason::LossExploded.name(), "loss-exploded");
    /// ```
    pub fn name(self) -> &'static str {
        self.in_words().0
    }

    /// What it says, for people.
    pub fn about(self) -> &'static str {
        self.in_words().1
    }

    /// Whether the guard decided.
    ///
    /// ```
    /// use qgd::Reason;
    /// assert!(Reason::NonFinite.is_of_guard() && !Reason::NoEvidence.is_of_guard());
    /// ```
    pub fn is_of_guard(self) -> bool {
        match self {
            Self::Policy | Self::NoEvidence | Self::Exploration | Self::Schedule | Self::OutOfRange => false,
            Self::NonFinite | Self::LossExploded | Self::LossDrifted | Self::GotNowhere | Self::FirstStepTooFar => true,
        }
    }

    fn in_words(self) -> (&'static str, &'static str) {
        match self {
            Self::Policy => ("policy", "the action that the networks value most"),
            Self::NoEvidence => ("no-evidence", "it would halve, but nothing shows yet that the loss has been lower"),
            Self::Exploration => ("exploration", "drawn at random, to explore"),
            Self::Schedule => ("schedule", "a fixed rule"),
            Self::OutOfRange => {
                ("out-of-range", "the features are far outside those of meta-training; nothing is done")
            }
            Self::NonFinite => ("non-finite", "a loss or the gradient is not finite"),
            Self::LossExploded => ("loss-exploded", "the loss is far above the highest of late"),
            Self::LossDrifted => ("loss-drifted", "the level of the loss has been rising for long"),
            Self::GotNowhere => ("got-nowhere", "the run went far and is no better for it; it begins again"),
            Self::FirstStepTooFar => ("first-step-too-far", "the first step went too far; the run begins again"),
        }
    }
}

/// Features and Q-values of the last decision of a learned policy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Explanation<'a> {
    /// Features, each in [-1, 1].
    pub features: &'a [f32],
    /// Q-value of every action, in the order of the recipe's actions.
    pub q_values: &'a [f32],
}

#[cfg(all(test, feature = "json"))]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_reason_is_named_as_in_a_trace_and_has_words_of_its_own() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
        }
        let words: BTreeSet<&str> = Reason::ALL.into_iter().map(Reason::about).collect();
        assert_eq!(words.len(), Reason::ALL.len());
    }
}
