//! Learning: Double DQN with n-step targets, Huber loss, gradient clipping, Adam and a Polyak-averaged target network.

use super::network::{QNetwork, argmax};
use super::replay::{Batch, Replay};
use ndarray::{ArrayView2, ShapeError};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// How the agent learns.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `gamma` | 1 | discount per decision | (0, 1] |
/// | `n-step` | 5 | rewards summed before the bootstrap | [1, ∞) |
/// | `lr`, `lr-final` | 5e-4, 5e-5 | Adam's learning rate, moved linearly from the first to the second over the training | (0, ∞) |
/// | `batch-size` | 1024 | transitions an update | [1, ∞) |
/// | `tau` | 0.005 | Polyak rate of the target network | (0, 1] |
/// | `huber` | 1 | where the loss turns from square to linear | (0, ∞) |
/// | `max-grad-norm` | 10 | the gradient is scaled down to this norm | (0, ∞) |
/// | `double` | true | the network chooses the bootstrap action, the target network values it | |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AgentConfig {
    /// See the table.
    pub gamma: f32,
    /// See the table.
    pub n_step: usize,
    /// See the table.
    pub lr: f32,
    /// See the table.
    pub lr_final: f32,
    /// See the table.
    pub batch_size: usize,
    /// See the table.
    pub tau: f32,
    /// See the table.
    pub huber: f32,
    /// See the table.
    pub max_grad_norm: f32,
    /// See the table.
    pub double: bool,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            gamma: 1.0,
            n_step: 5,
            lr: 5e-4,
            lr_final: 5e-5,
            batch_size: 1024,
            tau: 0.005,
            huber: 1.0,
            max_grad_norm: 10.0,
            double: true,
        }
    }
}

impl AgentConfig {
    /// The first field outside its range, as (name, value, what was allowed).
    pub fn invalid_field(&self) -> Option<(&'static str, f64, &'static str)> {
        let positive = |v: f32| v > 0.0 && v.is_finite();
        let checks = [
            ("gamma", f64::from(self.gamma), positive(self.gamma) && self.gamma <= 1.0, "in (0, 1]"),
            ("n-step", self.n_step as f64, self.n_step >= 1, "at least 1"),
            ("lr", f64::from(self.lr), positive(self.lr), "positive"),
            ("lr-final", f64::from(self.lr_final), positive(self.lr_final), "positive"),
            ("batch-size", self.batch_size as f64, self.batch_size >= 1, "at least 1"),
            ("tau", f64::from(self.tau), positive(self.tau) && self.tau <= 1.0, "in (0, 1]"),
            ("huber", f64::from(self.huber), positive(self.huber), "positive"),
            ("max-grad-norm", f64::from(self.max_grad_norm), positive(self.max_grad_norm), "positive"),
        ];
        checks.into_iter().find(|check| !check.2).map(|(name, value, _, allowed)| (name, value, allowed))
    }
}

/// What one update did.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct UpdateReport {
    /// Mean Huber loss.
    pub loss: f32,
    /// Mean |Q(s, a)| of the batch: grows without bound when the agent diverges.
    pub mean_abs_q: f32,
    /// Norm of the gradient before clipping.
    pub grad_norm: f32,
}

/// The network that learns, its target network, and Adam's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Learner {
    config: AgentConfig,
    network: QNetwork,
    target: QNetwork,
    first_moment: QNetwork,
    second_moment: QNetwork,
    n_updates: u64,
}

impl Learner {
    const BETA1: f32 = 0.9;
    const BETA2: f32 = 0.999;
    const EPS: f32 = 1e-8;

    /// Starts from `network`; the target network is a copy of it.
    pub fn new(network: QNetwork, config: AgentConfig) -> Self {
        let zeros = network.zeros_like();
        Self {
            config,
            target: network.clone(),
            first_moment: zeros.clone(),
            second_moment: zeros,
            network,
            n_updates: 0,
        }
    }

    /// The network that learns.
    pub fn network(&self) -> &QNetwork {
        &self.network
    }

    /// The slowly following target network.
    pub fn target_network(&self) -> &QNetwork {
        &self.target
    }

    /// How many updates so far.
    pub fn n_updates(&self) -> u64 {
        self.n_updates
    }

    /// One update on a batch from `replay`. `progress` in [0, 1] is how much of the training is over (for the learning rate).
    ///
    /// # Errors
    /// When an episode in the memory has another number of features than the network.
    pub fn update(&mut self, replay: &Replay, progress: f32, rng: &mut ChaCha8Rng) -> Result<UpdateReport, ShapeError> {
        let batch = replay.sample(self.config.batch_size, self.config.n_step, self.config.gamma, rng);
        let lr = self.config.lr + progress.clamp(0.0, 1.0) * (self.config.lr_final - self.config.lr);
        self.update_on(&batch, lr)
    }

    /// The TD targets `[batch]`, from the networks as they are now: never stored.
    fn td_targets(&self, batch: &Batch, next_obs: ArrayView2<f32>) -> Vec<f32> {
        let target_q = self.target.forward(next_obs);
        let chooser = if self.config.double { self.network.forward(next_obs) } else { target_q.clone() };
        (0..batch.actions.len())
            .map(|b| {
                let next_value = target_q[[b, argmax(chooser.row(b))]];
                batch.returns[b] + batch.discounts[b] * next_value
            })
            .collect()
    }

    fn update_on(&mut self, batch: &Batch, lr: f32) -> Result<UpdateReport, ShapeError> {
        let n = batch.actions.len();
        if n == 0 {
            return Ok(UpdateReport::default());
        }
        let shape = (n, self.network.n_features());
        let obs = ArrayView2::from_shape(shape, &batch.obs)?;
        let targets = self.td_targets(batch, ArrayView2::from_shape(shape, &batch.next_obs)?);
        let (huber, scale) = (self.config.huber, 1.0 / n as f32);
        let mut report = UpdateReport::default();
        let gradient = self.network.gradient(obs, &batch.actions, |q, b| {
            let error = q - targets[b];
            let excess = (error.abs() - huber).max(0.0);
            let within = error.abs() - excess;
            report.loss += scale * (0.5 * within * within + huber * excess);
            report.mean_abs_q += scale * q.abs();
            scale * error.clamp(-huber, huber)
        });
        report.grad_norm = gradient.params().iter().flat_map(|p| p.iter()).map(|g| g * g).sum::<f32>().sqrt();
        self.adam(&gradient, lr, (self.config.max_grad_norm / report.grad_norm).min(1.0));
        self.target.move_towards(&self.network, self.config.tau);
        Ok(report)
    }

    /// Adam (Kingma and Ba 2015, arXiv 1412.6980, Algorithm 1) on the gradient times `scale`.
    fn adam(&mut self, gradient: &QNetwork, lr: f32, scale: f32) {
        self.n_updates += 1;
        let t = self.n_updates as f64;
        let bias1 = (1.0 - f64::from(Self::BETA1).powf(t)) as f32;
        let bias2 = (1.0 - f64::from(Self::BETA2).powf(t)) as f32;
        let moments = self.first_moment.params_mut().into_iter().zip(self.second_moment.params_mut());
        for ((params, gradient), (m, v)) in self.network.params_mut().into_iter().zip(gradient.params()).zip(moments) {
            for i in 0..params.len() {
                let g = gradient[i] * scale;
                m[i] = Self::BETA1 * m[i] + (1.0 - Self::BETA1) * g;
                v[i] = Self::BETA2 * v[i] + (1.0 - Self::BETA2) * g * g;
                params[i] -= lr * (m[i] / bias1) / ((v[i] / bias2).sqrt() + Self::EPS);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dqn::{Episode, ReplayConfig};
    use crate::rng::stream;

    /// A corridor of 5 cells: action 1 goes right, 0 left; reaching the end pays 1 and ends the episode.
    fn corridor_episode(rng: &mut ChaCha8Rng) -> Episode {
        use rand::RngExt;
        let one_hot = |cell: usize| (0..6).map(move |i| if i == cell { 1.0 } else { 0.0 });
        let (mut cell, mut observations) = (0usize, Vec::new());
        let (mut actions, mut rewards, mut terminated) = (Vec::new(), Vec::new(), false);
        observations.extend(one_hot(cell));
        while !terminated && actions.len() < 60 {
            let action = rng.random_range(0..2u8);
            cell = if action == 1 { cell + 1 } else { cell.saturating_sub(1) };
            terminated = cell == 5;
            actions.push(action);
            rewards.push(if terminated { 1.0 } else { 0.0 });
            observations.extend(one_hot(cell));
        }
        Episode { n_features: 6, observations, actions, rewards, terminated }
    }

    #[test]
    fn it_finds_the_optimal_values_of_a_corridor_from_random_episodes() {
        let config =
            AgentConfig { gamma: 0.9, n_step: 1, lr: 5e-3, batch_size: 64, tau: 0.05, ..AgentConfig::default() };
        for seed in 0..3 {
            let mut rng = stream(seed, "corridor");
            let mut replay = Replay::new(ReplayConfig::default());
            (0..200).for_each(|_| replay.push(corridor_episode(&mut rng)));
            let mut learner = Learner::new(QNetwork::new(6, &[32], 2, true, &mut rng), config.clone());
            for _ in 0..1500 {
                learner.update(&replay, 0.0, &mut rng).unwrap();
            }
            let states = ndarray::Array2::<f32>::eye(6);
            let q = learner.network().forward(states.view());
            for cell in 0..5 {
                // The closed form: V*(cell) = 0.9^(4 - cell), Q*(cell, left) = 0.9 V*(cell - 1).
                let v = |cell: usize| 0.9f32.powi(4 - cell as i32);
                assert!((q[[cell, 1]] - v(cell)).abs() < 0.1, "seed {seed} cell {cell}: {}", q[[cell, 1]]);
                assert!((q[[cell, 0]] - 0.9 * v(cell.saturating_sub(1))).abs() < 0.1);
            }
        }
    }

    #[test]
    fn targets_are_recomputed_from_the_networks_as_they_are() {
        // The published code stored its targets once; here the same batch gives another target after learning.
        let mut rng = stream(1, "targets");
        let mut replay = Replay::new(ReplayConfig::default());
        replay.push(Episode { terminated: false, ..corridor_episode(&mut rng) });
        let mut learner =
            Learner::new(QNetwork::new(6, &[8], 2, true, &mut rng), AgentConfig { tau: 1.0, ..Default::default() });
        let batch = replay.sample(1, 1, 1.0, &mut rng);
        let next = ArrayView2::from_shape((1, 6), &batch.next_obs).unwrap();
        let before = learner.td_targets(&batch, next);
        for _ in 0..50 {
            learner.update(&replay, 0.0, &mut rng).unwrap();
        }
        assert_ne!(before, learner.td_targets(&batch, next));
    }

    #[test]
    fn double_dqn_values_the_action_that_the_network_chose_by_the_target_network() {
        let mut rng = stream(2, "double");
        let mut learner =
            Learner::new(QNetwork::new(2, &[8], 3, true, &mut rng), AgentConfig { gamma: 0.5, ..Default::default() });
        learner.target = QNetwork::new(2, &[8], 3, true, &mut rng);
        let batch = Batch {
            actions: vec![0],
            returns: vec![2.0],
            discounts: vec![0.5],
            obs: vec![0.0; 2],
            next_obs: vec![0.3, -0.8],
        };
        let next = ArrayView2::from_shape((1, 2), &batch.next_obs).unwrap();
        let chosen = argmax(learner.network.forward(next).row(0));
        let expected = 2.0 + 0.5 * learner.target.forward(next)[[0, chosen]];
        assert!((learner.td_targets(&batch, next)[0] - expected).abs() < 1e-6);
    }

    #[test]
    fn every_edge_of_the_table_is_checked() {
        let bad = [
            AgentConfig { gamma: 1.1, ..Default::default() },
            AgentConfig { n_step: 0, ..Default::default() },
            AgentConfig { lr: 0.0, ..Default::default() },
            AgentConfig { lr_final: f32::NAN, ..Default::default() },
            AgentConfig { batch_size: 0, ..Default::default() },
            AgentConfig { tau: 0.0, ..Default::default() },
            AgentConfig { huber: -1.0, ..Default::default() },
            AgentConfig { max_grad_norm: 0.0, ..Default::default() },
        ];
        assert!(bad.iter().all(|config| config.invalid_field().is_some()));
        assert!(AgentConfig::default().invalid_field().is_none());
    }
}
