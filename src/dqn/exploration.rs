//! How an agent tries what it does not think best: one explorer for the controller's agent and the tuner's.
//!
//! | policy | action | source |
//! |---|---|---|
//! | ε-greedy | the best one; with rate ε a random one, kept for a while | Hu, Zhang and Shi, Algorithm 3 |
//! | softmax | a with probability ∝ exp(Q(s, a) / T) | Sutton and Barto 2018, section 2.8 |
//! | UCB | argmax of Q(s, a) + c √(ln N / n(a)), an untried action first | Auer et al. 2002, doi 10.1023/A:1013689704352 |
//! | Thompson | argmax of a draw from N(Q(s, a), σ(a)²) | Thompson 1933; Russo et al. 2018, arXiv 1707.02038 |
//!
//! **Drift.** Random moves among ½, 1 and 1¼ that are equally likely change the logarithm of the controlled value by -0.157 on average, so
//! exploration alone drives a learning rate to zero. ε-greedy therefore draws them as 0.12 : 0.50 : 0.38, whose mean is +0.002.
//!
//! **Stickiness.** One move among hundreds of decisions hardly changes an outcome, and steps in random directions cancel. So a random action is
//! repeated for a number of decisions that is geometrically distributed. ε is the *share of decisions* that explore, however long they stick:
//!
//! ```text
//! p = ε / (m (1 - ε) + ε)      probability of starting to explore at a decision that is free to, m the mean number of repeats
//! 1 - 1/m                      probability of going on with the same action at the next one
//! ```
//!
//! **Parallel episodes.** Episode i of n may use its own rate ε^(1 + spread · i / (n - 1)) (Horgan et al. 2018, arXiv 1803.00933).

mod epsilon;

pub use epsilon::{DecayShape, DynamicEpsilon, EpsilonSchedule, VarianceEffect};

use crate::controller::{Action, Move};
use crate::policy::Reason;
use crate::rng::standard_normal;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// An exploration policy with its settings, as a recipe gives it: `[exploration.epsilon-greedy]`, `[exploration.softmax]`, ...
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Exploration {
    /// The best action; with rate ε a random one, kept for a while.
    EpsilonGreedy(EpsilonGreedy),
    /// Better actions more often.
    Softmax {
        /// T, in the unit of the Q-values, in (0, ∞): high is random, low is greedy.
        temperature: f64,
    },
    /// Upper confidence bound: actions seldom taken get a bonus. n(a) is how often this explorer took `a`, N their sum.
    Ucb {
        /// c, in the unit of the Q-values, in [0, ∞).
        bonus: f64,
    },
    /// Thompson sampling. A Q-network gives no posterior, so each action keeps a Gaussian one around Q(s, a), learned from the TD errors e
    /// that [`Explorer::observe`] is told: with n(a) of them, σ(a)² = (σ0² + Σ e²) / (1 + n(a))², which is the standard error of
    /// a mean whose spread is estimated with one prior observation. It starts at σ0 and falls as an action is tried.
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

/// ε-greedy with sticky random actions.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `epsilon` | linear 1 to 0.1 over 50 | the share of decisions that explore | see [`EpsilonSchedule`] |
/// | `sticky-decisions` | 4 | mean number of decisions a random action lasts (m) | [1, ∞) |
/// | `prior` | drift-free | how likely each action is when exploring: `drift-free` or `uniform` | |
/// | `spread` | 0 | how unequal ε is across parallel episodes (7 in the paper) | [0, ∞) |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct EpsilonGreedy {
    /// See the table.
    pub epsilon: EpsilonSchedule,
    /// See the table.
    pub sticky_decisions: f64,
    /// See the table.
    pub prior: ActionPrior,
    /// See the table.
    pub spread: f64,
}

impl Default for EpsilonGreedy {
    fn default() -> Self {
        Self { epsilon: EpsilonSchedule::default(), sticky_decisions: 4.0, prior: ActionPrior::DriftFree, spread: 0.0 }
    }
}

/// How likely each action is in a random choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionPrior {
    /// ½ : 1 : 1¼ as 0.12 : 0.50 : 0.38, for both values independently where both are controlled. (With only ½ and 1 there is no
    /// drift-free choice; then it is 0.12 : 0.50.)
    DriftFree,
    /// All alike.
    Uniform,
}

impl ActionPrior {
    /// The probability of each of `actions`; they add up to 1.
    ///
    /// ```
    /// use qgd::{Controls, Move};
    /// use qgd::dqn::ActionPrior;
    /// let actions = Controls::Lr.actions(&Move::ALL);
    /// let p = ActionPrior::DriftFree.probabilities(&actions);
    /// let drift: f64 = actions.iter().zip(&p).map(|(action, p)| p * action.lr.factor().ln()).sum();
    /// assert!(drift.abs() < 0.002);
    /// ```
    pub fn probabilities(self, actions: &[Action]) -> Vec<f64> {
        let weight = |one: Move| match (self, one) {
            (Self::Uniform, _) => 1.0,
            (Self::DriftFree, Move::Halve) => 0.12,
            (Self::DriftFree, Move::Accept) => 0.50,
            (Self::DriftFree, Move::Grow) => 0.38,
        };
        let weights = actions.iter().map(|action| weight(action.lr) * weight(action.weight_decay));
        let total: f64 = weights.clone().sum();
        weights.map(|weight| weight / total).collect()
    }
}

/// An exploration that cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ExplorationError {
    /// A setting outside its range.
    #[error("{field} is {value}, but must be {allowed}")]
    OutOfRange {
        /// Key path below `exploration`.
        field: String,
        /// What was given.
        value: f64,
        /// What is possible.
        allowed: &'static str,
    },
    /// Nothing to choose from.
    #[error("an agent needs at least one action")]
    NoActions,
}

impl Exploration {
    /// Checks every setting.
    ///
    /// # Errors
    /// Names the first field outside its range.
    pub fn check(&self) -> Result<(), ExplorationError> {
        match self.invalid_field() {
            None => Ok(()),
            Some((field, value, allowed)) => Err(ExplorationError::OutOfRange { field, value, allowed }),
        }
    }

    /// The first field outside its range, as (key path below `exploration`, value, what was allowed).
    pub fn invalid_field(&self) -> Option<(String, f64, &'static str)> {
        let positive = |v: f64| v > 0.0 && v.is_finite();
        let (field, value, valid, allowed) = match *self {
            Self::EpsilonGreedy(config) => return config.invalid_field(),
            Self::Softmax { temperature: v } => ("softmax.temperature", v, positive(v), "a finite number above 0"),
            Self::Ucb { bonus: v } => ("ucb.bonus", v, v >= 0.0 && v.is_finite(), "a finite number of at least 0"),
            Self::Thompson { prior_std: v } => ("thompson.prior-std", v, positive(v), "a finite number above 0"),
        };
        (!valid).then(|| (field.to_owned(), value, allowed))
    }
}

impl EpsilonGreedy {
    fn invalid_field(&self) -> Option<(String, f64, &'static str)> {
        let path = |field: &str| format!("epsilon-greedy.{field}");
        if let Some((field, value, allowed)) = self.epsilon.invalid_field() {
            return Some((path(&format!("epsilon.{field}")), value, allowed));
        }
        let (sticky, spread) = (self.sticky_decisions, self.spread);
        if !(sticky >= 1.0 && sticky.is_finite()) {
            return Some((path("sticky-decisions"), sticky, "a finite number of at least 1"));
        }
        let spread_is_valid = spread >= 0.0 && spread.is_finite();
        (!spread_is_valid).then(|| (path("spread"), spread, "a finite number of at least 0"))
    }
}

/// What an explorer chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Index of the action.
    pub action: usize,
    /// Whether it was drawn, or kept, to explore. For all but ε-greedy: whether it is not the greedy one.
    pub explored: bool,
}

impl Choice {
    /// For the trace.
    pub fn reason(self) -> Reason {
        if self.explored { Reason::Exploration } else { Reason::Policy }
    }
}

/// What an explorer knows of one action.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct ActionRecord {
    n_taken: u64,
    n_observed: u64,
    squared_error: f64,
}

/// Chooses actions in one episode, or in many one after another. Serializable, so that a run can be resumed.
///
/// ```
/// use qgd::dqn::{Exploration, Explorer};
/// let mut rng = qgd::rng::stream(7, "exploration");
/// let mut explorer = Explorer::for_choices(Exploration::Softmax { temperature: 0.1 }, 3)?;
/// let choice = explorer.act(&[0.0, 5.0, 0.0], 0.0, &mut rng);
/// assert_eq!(choice.action, 1);
/// # Ok::<(), qgd::dqn::ExplorationError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explorer {
    exploration: Exploration,
    prior: Vec<f64>,
    epsilon_power: f64,
    stuck_at: Option<usize>,
    records: Vec<ActionRecord>,
}

impl Explorer {
    /// An explorer of a controller's actions.
    ///
    /// # Errors
    /// When a setting is outside its range, or there are no actions.
    pub fn for_actions(exploration: Exploration, actions: &[Action]) -> Result<Self, ExplorationError> {
        let prior = match exploration {
            Exploration::EpsilonGreedy(config) => config.prior,
            _ => ActionPrior::Uniform,
        };
        Self::new(exploration, prior.probabilities(actions))
    }

    /// An explorer of `n` choices that mean nothing to it, all equally likely when drawn at random.
    ///
    /// # Errors
    /// When a setting is outside its range, or `n` is 0.
    pub fn for_choices(exploration: Exploration, n: usize) -> Result<Self, ExplorationError> {
        Self::new(exploration, vec![1.0 / n as f64; n])
    }

    fn new(exploration: Exploration, prior: Vec<f64>) -> Result<Self, ExplorationError> {
        exploration.check()?;
        if prior.is_empty() {
            return Err(ExplorationError::NoActions);
        }
        let records = vec![ActionRecord::default(); prior.len()];
        Ok(Self { exploration, prior, epsilon_power: 1.0, stuck_at: None, records })
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

    /// Whether it chooses among `n` actions with settings within their ranges: what a state that was read must satisfy.
    pub(crate) fn fits(&self, n: usize) -> bool {
        self.exploration.invalid_field().is_none()
            && self.prior.len() == n
            && self.records.len() == n
            && self.stuck_at.is_none_or(|action| action < n)
    }

    /// Lets go of an action it was stuck at, and forgets counts and errors: a new run begins.
    pub fn reset(&mut self) {
        self.stuck_at = None;
        self.records.fill(ActionRecord::default());
    }

    /// Chooses an action by its Q-values, one for each action, at time `t` of the ε schedule.
    ///
    /// A Q-value that is NaN counts as the lowest. Allocates nothing.
    pub fn act(&mut self, q_values: &[f32], t: f64, rng: &mut ChaCha8Rng) -> Choice {
        let q_values = &q_values[..q_values.len().min(self.records.len())];
        let choice = match self.exploration {
            Exploration::EpsilonGreedy(config) => self.epsilon_greedy(&config, q_values, t, rng),
            Exploration::Softmax { temperature } => softmax(q_values, temperature, rng),
            Exploration::Ucb { bonus } => self.ucb(q_values, bonus),
            Exploration::Thompson { prior_std } => self.thompson(q_values, prior_std, rng),
        };
        self.records[choice.action].n_taken += 1;
        choice
    }

    /// Tells what came of `action`: its TD error, or in a bandit the reward minus the value that was expected. Only Thompson sampling listens.
    pub fn observe(&mut self, action: usize, td_error: f64) {
        if let Some(record) = self.records.get_mut(action)
            && td_error.is_finite()
        {
            record.n_observed += 1;
            record.squared_error += td_error * td_error;
        }
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
            return Choice { action: greedy(q.iter().copied().map(f64::from)), explored: false };
        }
        let action = pick(self.prior.iter().copied(), rng.random());
        self.stuck_at = Some(action);
        Choice { action, explored: true }
    }

    fn ucb(&self, q: &[f32], bonus: f64) -> Choice {
        let best = greedy(q.iter().copied().map(f64::from));
        let n_total: u64 = self.records.iter().map(|record| record.n_taken).sum();
        let log_total = (n_total as f64).ln();
        let bound = |(&q, record): (&f32, &ActionRecord)| match record.n_taken {
            0 => f64::INFINITY,
            n => f64::from(q) + bonus * (log_total / n as f64).sqrt(),
        };
        let action = greedy(q.iter().zip(&self.records).map(bound));
        Choice { action, explored: action != best }
    }

    fn thompson(&self, q: &[f32], prior_std: f64, rng: &mut ChaCha8Rng) -> Choice {
        let best = greedy(q.iter().copied().map(f64::from));
        let draw = |(&q, record): (&f32, &ActionRecord)| {
            let n = 1.0 + record.n_observed as f64;
            f64::from(q) + (prior_std * prior_std + record.squared_error).sqrt() / n * standard_normal(rng)
        };
        let action = greedy(q.iter().zip(&self.records).map(draw));
        Choice { action, explored: action != best }
    }
}

fn softmax(q: &[f32], temperature: f64, rng: &mut ChaCha8Rng) -> Choice {
    let best = greedy(q.iter().copied().map(f64::from));
    let highest = q.get(best).map_or(0.0, |&q| f64::from(q));
    let weight = move |&q: &f32| match f64::from(q) {
        q if q.is_nan() => 0.0,
        // Also where both are infinite, whose difference is NaN.
        q if q >= highest => 1.0,
        q => ((q - highest) / temperature).exp(),
    };
    let total: f64 = q.iter().map(weight).sum();
    let action = if total > 0.0 { pick(q.iter().map(weight), rng.random::<f64>() * total) } else { best };
    Choice { action, explored: action != best }
}

/// The first of the highest values; NaN never wins, unless all are NaN: then 0.
fn greedy(values: impl Iterator<Item = f64>) -> usize {
    let mut best = (0, f64::NAN);
    for (i, v) in values.enumerate() {
        if v > best.1 || (best.1.is_nan() && !v.is_nan()) {
            best = (i, v);
        }
    }
    best.0
}

/// The index into whose share of the summed weights `u` falls.
fn pick(weights: impl Iterator<Item = f64>, mut u: f64) -> usize {
    let mut last_possible = 0;
    for (i, weight) in weights.enumerate() {
        if weight > 0.0 {
            last_possible = i;
            if u < weight {
                break;
            }
        }
        u -= weight;
    }
    // Rounding may leave a little of `u` at the end.
    last_possible
}

#[cfg(test)]
mod tests;
