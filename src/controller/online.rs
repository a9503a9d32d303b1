//! Learning in the user's own run: the pretrained agent goes on with what it was meta-trained by, on what it meets here.
//!
//! ```text
//! decision t:   close the transition (s_{t-1}, a_{t-1}, r, s_t)  ->  replay  ->  a few updates  ->  ε-greedy a_t
//! r = clip(ln(L_{t-1} + δ) - ln(L_t + δ))          L_t the mean loss of the window that ended at t, less the guard's loss floor
//! ```
//!
//! Deviations from meta-training, each for a reason:
//! - The reward is taken of window losses. A user's run has no evaluation batch of a task, only the losses it trains on. So it is noisier:
//!   the learning rate is small, and nothing is learned before `learning-starts`.
//! - The whole run is one episode whose end is never seen, so every stored piece of it is *truncated*: its last state is bootstrapped.
//!   The discount is that of the recipe, for a known or an unknown budget.
//! - Adam's moments start from zero: a pretrained file does not carry them.
//!
//! The guard is part of the environment here as there: what it does is no action of the agent and is never stored as one; the action
//! before it earns what came of it. A decision that the controller did not take because its features were out of range is not learned
//! from either; the episode is cut there.

use super::actions::Action;
use super::recipe::Recipe;
use crate::dqn::{
    ActionPrior, AgentConfig, Choice, EpsilonGreedy, EpsilonSchedule, Exploration, ExplorationError, Explorer, Learner,
    QNetwork, Replay, ReplayConfig,
};
use crate::rng::stream;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// How a controller learns in a user's run.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `epsilon` | 0.02 | share of decisions that explore | [0, 1] |
/// | `sticky-decisions` | 4 | mean number of decisions that a random action lasts | [1, ∞) |
/// | `lr` | 5e-5 | Adam's learning rate: that at the end of meta-training | (0, ∞) |
/// | `updates-per-decision` | 1 | updates of the Q-networks after each decision | [0, 1000] |
/// | `batch-size` | 64 | transitions an update | [1, 65536] |
/// | `learning-starts` | 64 | no update before so many transitions are stored | [1, ∞) |
/// | `capacity` | 20,000 | transitions that are kept | [1, 1,000,000] |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct OnlineConfig {
    /// See the table.
    pub epsilon: f64,
    /// See the table.
    pub sticky_decisions: f64,
    /// See the table.
    pub lr: f32,
    /// See the table.
    pub updates_per_decision: u32,
    /// See the table.
    pub batch_size: usize,
    /// See the table.
    pub learning_starts: usize,
    /// See the table.
    pub capacity: usize,
}

impl Default for OnlineConfig {
    fn default() -> Self {
        Self {
            epsilon: 0.02,
            sticky_decisions: 4.0,
            lr: 5e-5,
            updates_per_decision: 1,
            batch_size: 64,
            learning_starts: 64,
            capacity: 20_000,
        }
    }
}

impl OnlineConfig {
    /// The first field outside its range, as (name, value, what was allowed).
    pub fn invalid_field(&self) -> Option<(&'static str, f64, &'static str)> {
        let checks = [
            ("epsilon", self.epsilon, (0.0..=1.0).contains(&self.epsilon), "in [0, 1]"),
            (
                "sticky-decisions",
                self.sticky_decisions,
                self.sticky_decisions >= 1.0 && self.sticky_decisions.is_finite(),
                "a finite number of at least 1",
            ),
            ("lr", f64::from(self.lr), self.lr > 0.0 && self.lr.is_finite(), "a finite number above 0"),
            (
                "updates-per-decision",
                f64::from(self.updates_per_decision),
                self.updates_per_decision <= 1000,
                "at most 1000",
            ),
            ("batch-size", self.batch_size as f64, (1..=65_536).contains(&self.batch_size), "in [1, 65536]"),
            ("learning-starts", self.learning_starts as f64, self.learning_starts >= 1, "at least 1"),
            ("capacity", self.capacity as f64, (1..=1_000_000).contains(&self.capacity), "in [1, 1000000]"),
        ];
        checks.into_iter().find(|check| !check.2).map(|(name, value, _, allowed)| (name, value, allowed))
    }
}

/// A controller cannot learn in this run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OnlineError {
    /// A setting outside its range.
    #[error("{name} is {value}, but must be {allowed}")]
    OutOfRange {
        /// Which one.
        name: &'static str,
        /// What was given.
        value: f64,
        /// What is possible.
        allowed: &'static str,
    },
    /// A run that retries its steps has no windows to be rewarded by.
    #[error("the controller {name:?} searches along lines; only one that schedules can learn in a run")]
    LineSearch {
        /// Its name.
        name: String,
    },
    /// The exploration cannot be used.
    #[error(transparent)]
    Exploration(#[from] ExplorationError),
}

/// The learning half of a controller, with all that later decisions depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Online {
    config: OnlineConfig,
    learner: Learner,
    replay: Replay,
    explorer: Explorer,
    rng: ChaCha8Rng,
    /// The last own decision, waiting for what comes of it.
    open: Option<Open>,
    /// The next transition begins a piece of its own in the memory.
    is_cut: bool,
}

/// A decision whose outcome is not known yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Open {
    obs: Vec<f32>,
    action: u8,
    accepted: bool,
    loss: f64,
}

/// A piece of the run that the memory keeps, or drops, as a whole.
const PIECE: usize = 64;

impl Online {
    /// Starts from `networks`.
    pub(super) fn new(
        recipe: &Recipe,
        networks: &[QNetwork],
        config: OnlineConfig,
        seed: u64,
    ) -> Result<Self, OnlineError> {
        if let Some((name, value, allowed)) = config.invalid_field() {
            return Err(OnlineError::OutOfRange { name, value, allowed });
        }
        if recipe.line_search.is_some() {
            return Err(OnlineError::LineSearch { name: recipe.name.clone() });
        }
        let exploration = Exploration::EpsilonGreedy(EpsilonGreedy {
            epsilon: EpsilonSchedule::Constant(config.epsilon),
            sticky_decisions: config.sticky_decisions,
            prior: ActionPrior::DriftFree,
            spread: 0.0,
        });
        let agent = AgentConfig {
            lr: config.lr,
            lr_final: config.lr,
            batch_size: config.batch_size,
            ensemble: networks.len(),
            ..recipe.agent.clone()
        };
        Ok(Self {
            learner: Learner::new(networks.to_vec(), agent),
            replay: Replay::new(ReplayConfig::Uniform { capacity: config.capacity }),
            explorer: Explorer::new(exploration, &recipe.controls.drift_free_odds(&recipe.moves))?,
            rng: stream(seed, "online"),
            open: None,
            is_cut: true,
            config,
        })
    }

    /// The networks as they are now.
    pub(super) fn networks(&self) -> impl ExactSizeIterator<Item = &QNetwork> {
        self.learner.networks()
    }

    /// How many updates were made.
    pub(super) fn n_updates(&self) -> u64 {
        self.learner.n_updates()
    }

    /// Closes the transition that the last own decision opened, and learns. `loss` is the mean of the window that ended here.
    pub(super) fn observe(&mut self, recipe: &Recipe, obs: &[f32], loss: f64, known_budget: bool) {
        let Some(open) = self.open.take() else { return };
        let (floor, agent) = (recipe.guard.loss_floor, &recipe.agent);
        let reward = recipe.meta.reward.reward(open.accepted, open.loss - floor, loss - floor);
        let discount = if known_budget { agent.gamma } else { agent.gamma_unknown };
        let longest = if self.is_cut { 0 } else { PIECE.min(self.config.capacity) };
        self.replay.append(longest, discount, &open.obs, open.action, reward, obs);
        self.is_cut = false;
        self.learn();
    }

    fn learn(&mut self) {
        if self.replay.len() < self.config.learning_starts {
            return;
        }
        for _ in 0..self.config.updates_per_decision {
            // An episode of another width cannot be in this memory; it would have been refused with the saved state.
            let Ok(report) = self.learner.update(&self.replay, 0.0, &mut self.rng) else { return };
            tracing::trace!(loss = report.loss, mean_abs_q = report.mean_abs_q, "online update");
        }
    }

    /// Chooses among `actions`, and opens the transition that the choice begins.
    pub(super) fn act(&mut self, obs: &[f32], q_values: &[f32], loss: f64, actions: &[Action]) -> Choice {
        let choice = self.explorer.act(q_values, 0.0, &mut self.rng);
        let accepted = actions[choice.action] == Action::ACCEPT;
        self.open = Some(Open { obs: obs.to_vec(), action: choice.action as u8, accepted, loss });
        choice
    }

    /// The agent did not act: nothing is learned of this decision, and what follows is no continuation.
    pub(super) fn cut(&mut self) {
        self.open = None;
        self.is_cut = true;
    }

    /// Whether every part fits a controller with networks like `network`.
    pub(super) fn fits(&self, network: &QNetwork) -> bool {
        let (n_features, n_actions) = (network.n_features(), network.n_actions());
        let open_fits = |open: &Open| open.obs.len() == n_features && usize::from(open.action) < n_actions;
        self.config.invalid_field().is_none()
            && self.learner.fits(network)
            && self.replay.fits(n_features, n_actions)
            && self.explorer.fits(n_actions)
            && self.open.as_ref().is_none_or(open_fits)
    }
}

#[cfg(test)]
mod tests;
