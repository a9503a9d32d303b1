//! Online learning: in the user's own run the pretrained agent goes on learning, by the rules of its meta-training.
//!
//! ```text
//! decision t:   close the transition (s_{t-1}, a_{t-1}, r, s_t)  ->  replay  ->  a few updates  ->  ε-greedy a_t
//! r = clip(ln(L_{t-1} + δ) - ln(L_t + δ))          L_t the mean loss of the window that ended at t
//! ```
//!
//! Deviations from meta-training, each for a reason:
//! - The reward is made of the losses of decision windows, because a user's run has no evaluation batch. So it is
//!   noisier: the learning rate is small, and nothing is learned before `learning_starts`.
//! - The whole run is one episode whose end is never seen, so every stored piece of it is *truncated*: its last state
//!   is bootstrapped. The discount is that of the recipe, for a known or for an unknown budget.
//! - Adam's moments start from zero: a pretrained file does not carry them.
//!
//! The guard is part of the environment, here as there. What it does is never stored as an action of the agent; the
//! agent's last action before it earns what came of both. Nothing is learned either from a decision at which the
//! controller did not act, because its features were out of range; the episode is cut there.

use super::recipe::Recipe;
use crate::dqn::{
    ActionPrior, AgentConfig, Choice, EpsilonGreedy, EpsilonSchedule, Exploration, ExplorationError, Explorer, Learner,
    QNetwork, Replay, ReplayConfig, RewardConfig,
};
use crate::limits::{OutOfRange, is_positive, within};
use crate::policy::Action;
use crate::rng::stream;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Configuration of online learning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OnlineConfig {
    /// Share of decisions that explore. In [0, 1], default 0.02.
    pub epsilon: f64,
    /// Mean number of decisions that a random action lasts. In [1, ∞), default 4.
    pub sticky_decisions: f64,
    /// Learning rate of Adam. In (0, ∞), default 5e-5.
    pub lr: f32,
    /// Number of updates of the Q-networks after each decision. In [0, 1000], default 1.
    pub updates_per_decision: u32,
    /// Number of transitions in an update. In [1, 65536], default 64.
    pub batch_size: usize,
    /// Number of transitions that are stored before the first update. In [1, ∞), default 64.
    pub learning_starts: usize,
    /// Number of transitions that are kept. In [1, 1,000,000], default 20,000.
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
    /// Checks every field.
    ///
    /// # Errors
    /// When one is outside its range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let sticks = self.sticky_decisions >= 1.0 && self.sticky_decisions.is_finite();
        let (updates, batch_size, capacity) = (self.updates_per_decision, self.batch_size, self.capacity);
        within("epsilon", self.epsilon, (0.0..=1.0).contains(&self.epsilon), "in [0, 1]")?;
        within("sticky_decisions", self.sticky_decisions, sticks, "a finite number of at least 1")?;
        within("lr", self.lr.into(), is_positive(self.lr.into()), "a finite number above 0")?;
        within("updates_per_decision", updates.into(), updates <= 1000, "at most 1000")?;
        within("batch_size", batch_size as f64, (1..=65_536).contains(&batch_size), "in [1, 65536]")?;
        within("learning_starts", self.learning_starts as f64, self.learning_starts >= 1, "at least 1")?;
        within("capacity", capacity as f64, (1..=1_000_000).contains(&capacity), "in [1, 1000000]")
    }
}

/// Error: a controller cannot learn in this run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OnlineError {
    /// A setting is outside its range.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// The table `training` of the recipe cannot be read.
    #[error("the recipe of the controller {name:?} has no usable training")]
    Training {
        /// Its name.
        name: String,
        /// Key, and what is wrong with it.
        source: Box<toml::de::Error>,
    },
    /// The controller is one for line searches: a run that retries its steps has no windows to be rewarded by.
    #[error("the controller {name:?} searches along lines; only one that schedules can learn in a run")]
    LineSearch {
        /// Its name.
        name: String,
    },
    /// The exploration cannot be used.
    #[error(transparent)]
    Exploration(#[from] ExplorationError),
}

/// Chooser that learns, with everything that later decisions depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Online {
    config: OnlineConfig,
    /// Reward of a decision, as in meta-training.
    reward: RewardConfig,
    /// Discount where the budget is known and where it is not.
    discounts: [f32; 2],
    learner: Learner,
    replay: Replay,
    explorer: Explorer,
    rng: ChaCha8Rng,
    /// Last decision of its own, whose outcome is not known yet.
    open: Option<Open>,
    /// Whether the next transition begins a new piece in the memory.
    is_cut: bool,
}

/// Decision whose outcome is not known yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Open {
    obs: Vec<f32>,
    action: u8,
    accepted: bool,
    loss: f64,
}

/// Part of a recipe's `training` that online learning goes by.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Training {
    agent: AgentConfig,
    reward: RewardConfig,
}

/// Longest piece of the run, in transitions; the memory keeps or drops a piece as a whole.
const PIECE: usize = 64;

impl Online {
    /// Makes a chooser that learns, from `networks`.
    pub(super) fn new(
        recipe: &Recipe,
        networks: Vec<QNetwork>,
        config: OnlineConfig,
        seed: u64,
    ) -> Result<Self, OnlineError> {
        config.check()?;
        if recipe.line_search.is_some() {
            return Err(OnlineError::LineSearch { name: recipe.name.clone() });
        }
        let exploration = Exploration::EpsilonGreedy(EpsilonGreedy {
            epsilon: EpsilonSchedule::Constant(config.epsilon),
            sticky_decisions: config.sticky_decisions,
            prior: ActionPrior::DriftFree,
            spread: 0.0,
        });
        let name = || recipe.name.clone();
        let Training { agent, reward } = (recipe.training.clone().try_into())
            .map_err(|source| OnlineError::Training { name: name(), source: Box::new(source) })?;
        let discounts = [agent.gamma, agent.gamma_unknown];
        let agent = AgentConfig {
            lr: config.lr,
            lr_final: config.lr,
            batch_size: config.batch_size,
            ensemble: networks.len(),
            ..agent
        };
        Ok(Self {
            learner: Learner::new(networks, agent),
            replay: Replay::new(ReplayConfig::Uniform { capacity: config.capacity }),
            explorer: Explorer::new(exploration, &recipe.controls.drift_free_odds(&recipe.moves))?,
            rng: stream(seed, "online"),
            open: None,
            is_cut: true,
            config,
            reward,
            discounts,
        })
    }

    /// Networks as they are now.
    pub(super) fn networks(&self) -> impl ExactSizeIterator<Item = &QNetwork> {
        self.learner.networks()
    }

    /// Number of updates that were made.
    pub(super) fn n_updates(&self) -> u64 {
        self.learner.n_updates()
    }

    /// Closes the transition that the last decision opened, and learns. `loss` is the mean of the losses since then.
    pub(super) fn observe(&mut self, obs: &[f32], loss: f64, known_budget: bool) {
        let Some(open) = self.open.take() else { return };
        let reward = self.reward.reward(open.accepted, open.loss, loss);
        let discount = self.discounts[usize::from(!known_budget)];
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
            // It fails only for episodes of another width, which are refused with the saved state that they come in.
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

    /// Takes note that the agent did not act: nothing is learned from this decision, and a new piece begins after it.
    pub(super) fn cut(&mut self) {
        self.open = None;
        self.is_cut = true;
    }

    /// Whether a run with the settings of `own`, and with networks of the shape of `network`, can have left it so.
    pub(super) fn fits(&self, own: &Self, network: &QNetwork) -> bool {
        let (n_features, n_actions) = (network.n_features(), network.n_actions());
        let open_fits = |open: &Open| {
            open.obs.len() == n_features
                && open.obs.iter().all(|v| v.is_finite())
                && usize::from(open.action) < n_actions
        };
        (&self.config, &self.reward) == (&own.config, &own.reward)
            && self.discounts.map(f32::to_bits) == own.discounts.map(f32::to_bits)
            && self.learner.fits(&own.learner, network)
            && self.replay.fits(&own.replay, n_features, n_actions)
            && self.explorer.fits(&own.explorer)
            && self.open.as_ref().is_none_or(open_fits)
    }
}

#[cfg(test)]
mod tests;
