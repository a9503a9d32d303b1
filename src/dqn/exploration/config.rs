//! Exploration policies with their settings, as a recipe gives them.

use super::epsilon::EpsilonSchedule;
use crate::limits::{OutOfRange, is_positive, within};
use serde::{Deserialize, Serialize};

/// How an agent tries what it does not think best: an exploration policy with its settings.
///
/// | Policy | Action | Source |
/// |---|---|---|
/// | ε-greedy | the best one; with rate ε a random one, kept for a while | Hu, Zhang and Shi, Algorithm 3 |
/// | softmax | a with probability ∝ exp(Q(s, a) / T) | Sutton and Barto 2018, section 2.8 |
/// | UCB | argmax of Q(s, a) + c √(ln N / n(a)), untried ones first | Auer et al. 2002, doi 10.1023/A:1013689704352 |
/// | Thompson | argmax of a draw from N(Q(s, a), σ(a)²) | Thompson 1933; Russo et al. 2018, arXiv 1707.02038 |
///
/// n(a) is how often the explorer took `a` in this run, N their sum.
///
/// In a recipe: `[exploration.epsilon_greedy]`, `[exploration.softmax]`, `[exploration.ucb]` or
/// `[exploration.thompson]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Exploration {
    /// The best action; with rate ε a random one, kept for a while.
    EpsilonGreedy(EpsilonGreedy),
    /// Better actions more often.
    Softmax {
        /// T, in the unit of the Q-values, in (0, ∞): high is random, low is greedy.
        temperature: f64,
    },
    /// Upper confidence bound: an action that was seldom taken gets a bonus.
    Ucb {
        /// c, in the unit of the Q-values, in [0, ∞).
        bonus: f64,
    },
    /// Thompson sampling. A Q-network gives no posterior, so each action has a Gaussian one around Q(s, a) whose
    /// standard deviation is given, not learned: σ(a) = σ0 / (1 + n(a)). It starts at σ0 and falls each time the action
    /// is taken.
    Thompson {
        /// σ0, in the unit of the Q-values, in (0, ∞).
        prior_std: f64,
    },
}

impl Default for Exploration {
    fn default() -> Self {
        Self::EpsilonGreedy(EpsilonGreedy::default())
    }
}

/// ε-greedy with random actions that stick.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `epsilon` | linear 1 to 0.1 over 50 | share of decisions that explore | see [`EpsilonSchedule`] |
/// | `sticky_decisions` | 4 | mean number m of decisions that a random action lasts | [1, ∞) |
/// | `prior` | drift-free | probabilities of random actions: `drift-free` or `uniform` | see [`ActionPrior`] |
/// | `spread` | 0 | how unequal ε is across parallel episodes (7 in the paper) | [0, ∞) |
///
/// *Stickiness.* One action among hundreds of decisions hardly changes an outcome, and actions in random directions
/// cancel. So a random action is repeated for a number of decisions that is geometrically distributed. ε is the *share
/// of decisions* that explore, however long they stick:
///
/// ```text
/// p = ε / (m (1 - ε) + ε)      probability of starting to explore at a decision that is free to
/// 1 - 1/m                      probability of going on with the same action at the next one
/// ```
///
/// *Parallel episodes.* Episode i of n explores at the rate ε^(1 + spread · i / (n - 1)) (Horgan et al. 2018, arXiv
/// 1803.00933).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the table has a row for each field")]
pub struct EpsilonGreedy {
    pub epsilon: EpsilonSchedule,
    pub sticky_decisions: f64,
    pub prior: ActionPrior,
    pub spread: f64,
}

impl Default for EpsilonGreedy {
    fn default() -> Self {
        Self { epsilon: EpsilonSchedule::default(), sticky_decisions: 4.0, prior: ActionPrior::DriftFree, spread: 0.0 }
    }
}

/// Which probabilities a random action is drawn with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionPrior {
    /// Those that the owner of the actions gives the [`Explorer`](super::Explorer): a controller's are odds under which
    /// the values that it moves do not drift.
    DriftFree,
    /// The same for every action.
    Uniform,
}

/// An exploration that cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ExplorationError {
    /// A setting outside its range.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// Nothing to choose from.
    #[error("an agent needs at least one action, and odds that are finite, not negative and not all 0")]
    NoActions,
}

impl Exploration {
    /// Checks every setting.
    ///
    /// # Errors
    /// When one is outside its range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let at_least_0 = |key, v: f64| within(key, v, v >= 0.0 && v.is_finite(), "a finite number of at least 0");
        let above_0 = |key, v| within(key, v, is_positive(v), "a finite number above 0");
        match *self {
            Self::EpsilonGreedy(EpsilonGreedy { epsilon, sticky_decisions: sticky, spread, .. }) => {
                epsilon.check().map_err(|error| error.under("epsilon_greedy.epsilon"))?;
                let sticks = sticky >= 1.0 && sticky.is_finite();
                within("epsilon_greedy.sticky_decisions", sticky, sticks, "a finite number of at least 1")?;
                at_least_0("epsilon_greedy.spread", spread)
            }
            Self::Softmax { temperature } => above_0("softmax.temperature", temperature),
            Self::Ucb { bonus } => at_least_0("ucb.bonus", bonus),
            Self::Thompson { prior_std } => above_0("thompson.prior_std", prior_std),
        }
    }
}
