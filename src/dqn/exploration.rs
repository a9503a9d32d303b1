//! Exploration: an [`Explorer`] chooses actions by their Q-values and an [`Exploration`] policy.

mod config;
mod epsilon;

pub use config::{ActionPrior, EpsilonGreedy, Exploration, ExplorationError};
pub use epsilon::{DecayShape, DynamicEpsilon, EpsilonSchedule, VarianceEffect};

use super::formulas::{argmax, softmax, thompson, upper_bound};
use crate::artifact::exact;
use crate::limits::is_count;
use crate::rng::{pick, standard_normal};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// The choice of an explorer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Index of the action.
    pub action: usize,
    /// Whether it was drawn, or kept, to explore. For all but ε-greedy: whether it is not the greedy one.
    pub explored: bool,
}

impl Choice {
    /// This action among those with the values `q`: explored where it is not the greedy one.
    fn among(q: &[f32], action: usize) -> Self {
        Self { action, explored: action != argmax(q.iter().copied()) }
    }
}

/// Chooses actions in one episode, or in many one after another. Serializable, so that a run can be resumed.
///
/// ```
/// use qgd::dqn::{Exploration, Explorer};
/// let mut rng = qgd::rng::stream(7, "exploration");
/// let mut explorer = Explorer::new(Exploration::Softmax { temperature: 0.1 }, &[1.0; 3])?;
/// let choice = explorer.act(&[0.0, 5.0, 0.0], 0.0, &mut rng);
/// assert_eq!(choice.action, 1);
/// # Ok::<(), qgd::dqn::ExplorationError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explorer {
    #[serde(with = "exact")]
    exploration: Exploration,
    /// Probability of each action in a random choice.
    #[serde(with = "exact")]
    prior: Vec<f64>,
    #[serde(with = "exact")]
    epsilon_power: f64,
    stuck_at: Option<usize>,
    /// How often each action was taken.
    n_taken: Vec<u64>,
}

impl Explorer {
    /// An explorer of as many actions as there are `odds`: how likely each is in a random choice, up to a common
    /// factor. Only ε-greedy draws at random; with [`ActionPrior::Uniform`] it leaves the odds aside.
    ///
    /// # Errors
    /// When a setting is outside its range, there are no actions, or the odds are no probabilities.
    pub fn new(exploration: Exploration, odds: &[f64]) -> Result<Self, ExplorationError> {
        exploration.check()?;
        let total: f64 = odds.iter().sum();
        if !(odds.iter().all(|&one| one >= 0.0) && total > 0.0 && total.is_finite()) {
            return Err(ExplorationError::NoActions);
        }
        let n = odds.len();
        let prior = match exploration {
            Exploration::EpsilonGreedy(EpsilonGreedy { prior: ActionPrior::DriftFree, .. }) => {
                odds.iter().map(|one| one / total).collect()
            }
            _ => vec![1.0 / n as f64; n],
        };
        Ok(Self { exploration, prior, epsilon_power: 1.0, stuck_at: None, n_taken: vec![0; n] })
    }

    /// The explorer of episode `index` among `n_parallel`: the first explores most.
    #[must_use]
    pub fn in_parallel(mut self, index: usize, n_parallel: usize) -> Self {
        if let Exploration::EpsilonGreedy(config) = self.exploration {
            let share = index as f64 / n_parallel.saturating_sub(1).max(1) as f64;
            self.epsilon_power = 1.0 + config.spread * share;
        }
        self
    }

    /// Whether a run with the settings of `own` can have left it so. A state that is read from a file must fit.
    pub(crate) fn fits(&self, own: &Self) -> bool {
        let n = own.prior.len();
        self.exploration == own.exploration
            && self.prior == own.prior
            && self.epsilon_power.to_bits() == own.epsilon_power.to_bits()
            && self.n_taken.len() == n
            && self.n_taken.iter().all(|&taken| is_count(taken))
            && self.stuck_at.is_none_or(|action| action < n)
    }

    /// Begins a new run: forgets the counts, and the action that it was stuck at.
    pub fn reset(&mut self) {
        self.stuck_at = None;
        self.n_taken.fill(0);
    }

    /// Chooses an action by its Q-values, one for each action, at time `t` of the ε schedule.
    ///
    /// A Q-value that is NaN counts as the lowest. Allocates nothing.
    pub fn act(&mut self, q_values: &[f32], t: f64, rng: &mut ChaCha8Rng) -> Choice {
        let q = &q_values[..q_values.len().min(self.prior.len())];
        let choice = match self.exploration {
            Exploration::EpsilonGreedy(config) => self.epsilon_greedy(&config, q, t, rng),
            Exploration::Softmax { temperature } => {
                Choice::among(q, softmax(q.iter().map(|&q| f64::from(q)), temperature, rng.random()))
            }
            Exploration::Ucb { bonus } => {
                let n_total = self.n_taken.iter().sum::<u64>() as f64;
                Choice::among(q, argmax(self.counted(q).map(|(q, n)| upper_bound(q, bonus, n_total, n))))
            }
            Exploration::Thompson { prior_std } => {
                let draws = self.counted(q).map(|(q, n)| thompson(q, prior_std, n, standard_normal(rng)));
                Choice::among(q, argmax(draws))
            }
        };
        self.n_taken[choice.action] += 1;
        choice
    }

    /// The value of each action with how often it was taken.
    fn counted(&self, q: &[f32]) -> impl Iterator<Item = (f64, f64)> {
        q.iter().map(|&q| f64::from(q)).zip(self.n_taken.iter().map(|&n| n as f64))
    }

    fn epsilon_greedy(&mut self, config: &EpsilonGreedy, q: &[f32], t: f64, rng: &mut ChaCha8Rng) -> Choice {
        let mean_decisions = config.sticky_decisions;
        // The geometric distribution has no memory: every decision ends the repeats with the same probability.
        if self.stuck_at.is_some() && rng.random::<f64>() * mean_decisions < 1.0 {
            self.stuck_at = None;
        }
        if let Some(action) = self.stuck_at {
            return Choice { action, explored: true };
        }
        let epsilon = config.epsilon.epsilon(t, q).powf(self.epsilon_power);
        let start = epsilon / (mean_decisions * (1.0 - epsilon) + epsilon);
        if rng.random::<f64>() >= start {
            return Choice { action: argmax(q.iter().copied()), explored: false };
        }
        let action = pick(self.prior.iter().copied(), rng.random());
        self.stuck_at = Some(action);
        Choice { action, explored: true }
    }
}

#[cfg(test)]
mod tests;
