//! Exploring, for meta-training: chooses now and then another action, and writes down what was seen and done.

use crate::dqn::{AgentConfig, Choice, Episode, Explorer, RewardConfig};
use crate::policy::Action;
use rand_chacha::ChaCha8Rng;

/// Chooser that explores, with the episode so far.
#[derive(Debug, Clone)]
pub(super) struct Explore {
    explorer: Explorer,
    /// Time of the exploration's schedule.
    time: f64,
    rng: ChaCha8Rng,
    observations: Vec<f32>,
    taken: Vec<u8>,
}

impl Explore {
    pub fn new(explorer: Explorer, time: f64, rng: ChaCha8Rng) -> Self {
        Self { explorer, time, rng, observations: Vec::new(), taken: Vec::new() }
    }

    pub fn act(&mut self, obs: &[f32], q_values: &[f32]) -> Choice {
        let choice = self.explorer.act(q_values, self.time, &mut self.rng);
        self.observations.extend_from_slice(obs);
        self.taken.push(choice.action as u8);
        choice
    }

    pub fn into_episode(
        self,
        actions: &[Action],
        evaluations: &[f64],
        reward: &RewardConfig,
        agent: &AgentConfig,
        known_budget: bool,
    ) -> Option<Episode> {
        let n = evaluations.len().checked_sub(1)?;
        if n == 0 || self.taken.len() != n + 1 {
            return None;
        }
        let accepted = self.taken.iter().map(|&a| actions[usize::from(a)] == Action::ACCEPT);
        let rewards = evaluations.windows(2).zip(accepted).map(|(f, accepted)| reward.reward(accepted, f[0], f[1]));
        Some(Episode {
            n_features: self.observations.len() / self.taken.len(),
            rewards: rewards.collect(),
            observations: self.observations,
            actions: self.taken[..n].to_vec(),
            discount: if known_budget { agent.gamma } else { agent.gamma_unknown },
            terminated: known_budget,
        })
    }
}
