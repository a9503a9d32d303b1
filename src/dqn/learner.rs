//! Learning: Double DQN with n_step targets, Huber loss, gradient clipping, Adam and Polyak-averaged target networks.
//!
//! A small ensemble learns side by side, each network from batches of its own. All bootstrap from the same value: that
//! of the action with the highest mean Q-value, by the target network that gives it the lowest value (Fujimoto et al.
//! 2018, arXiv 1802.09477) or by the mean of the target networks. A single network of ours overestimated: its values
//! kept growing while its policy got worse (controllers/NOTES.md).

use super::formulas::argmax;
use super::network::QNetwork;
use super::replay::{Batch, Replay};
use crate::artifact::exact;
use crate::limits::{OutOfRange, is_count, is_positive, within};
use crate::parallel::parallel;
use crate::simd::vectorized;
use ndarray::{Array2, ArrayView2, ShapeError};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Error from which on the loss is linear instead of square (Mnih et al. 2015 cut it at 1 too).
pub(crate) const HUBER: f32 = 1.0;
/// Norm that a longer gradient is scaled down to (Wang et al. 2016, arXiv 1511.06581, section 4.2).
pub(crate) const MAX_GRAD_NORM: f32 = 10.0;

/// Settings of the learning.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `ensemble` | 2 | number of networks that learn side by side | [1, 16] |
/// | `gamma` | 1 | discount per decision where the budget is known | (0, 1] |
/// | `gamma_unknown` | 0.97 | discount per decision where it is unknown | (0, 1] |
/// | `n_step` | 5 | number of rewards that are summed before the bootstrap | [1, ∞) |
/// | `lr`, `lr_final` | 5e-4, 5e-5 | learning rate of Adam at the start and at the end, linear in between | (0, ∞) |
/// | `batch_size` | 1024 | number of transitions per network and update | [1, 65536] |
/// | `tau` | 0.005 | Polyak rate of the target network | (0, 1] |
/// | `bootstrap` | lowest | value of the target networks that is bootstrapped from: `lowest` or `mean` | |
///
/// Without an end in sight undiscounted values have no anchor; so an unknown budget has a discount below 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the table has a row for each field")]
pub struct AgentConfig {
    pub ensemble: usize,
    pub gamma: f32,
    pub gamma_unknown: f32,
    pub n_step: usize,
    pub lr: f32,
    pub lr_final: f32,
    pub batch_size: usize,
    pub tau: f32,
    pub bootstrap: Bootstrap,
}

/// The value of an ensemble's target networks that is bootstrapped from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bootstrap {
    /// The lowest. It works against overestimation, but undervalues actions that are seldom tried.
    #[default]
    Lowest,
    /// The mean.
    Mean,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            ensemble: 2,
            gamma: 1.0,
            gamma_unknown: 0.97,
            n_step: 5,
            lr: 5e-4,
            lr_final: 5e-5,
            batch_size: 1024,
            tau: 0.005,
            bootstrap: Bootstrap::Lowest,
        }
    }
}

impl AgentConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// When one is outside its range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let share = |key, v: f32| within(key, v.into(), v > 0.0 && v <= 1.0, "in (0, 1]");
        let positive = |key, v: f32| within(key, v.into(), is_positive(v.into()), "positive");
        within("ensemble", self.ensemble as f64, (1..=16).contains(&self.ensemble), "in [1, 16]")?;
        share("gamma", self.gamma)?;
        share("gamma_unknown", self.gamma_unknown)?;
        within("n_step", self.n_step as f64, self.n_step >= 1, "at least 1")?;
        positive("lr", self.lr)?;
        positive("lr_final", self.lr_final)?;
        within("batch_size", self.batch_size as f64, (1..=65_536).contains(&self.batch_size), "in [1, 65536]")?;
        share("tau", self.tau)
    }
}

/// Figures of one update, means over the ensemble.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct UpdateReport {
    /// Mean Huber loss.
    pub loss: f32,
    /// Mean |Q(s, a)| of the batch. It grows without bound when the agent diverges.
    pub mean_abs_q: f32,
    /// Norm of the gradient before clipping.
    pub grad_norm: f32,
}

/// An ensemble of networks that learns from a [`Replay`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Learner {
    #[serde(with = "exact")]
    config: AgentConfig,
    members: Vec<Member>,
    n_updates: u64,
}

/// One network of the ensemble, its target network, and Adam's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Member {
    network: QNetwork,
    target: QNetwork,
    first_moment: QNetwork,
    second_moment: QNetwork,
}

impl Learner {
    /// Starts from `networks`, all of one shape; the target networks are copies of them.
    pub fn new(networks: Vec<QNetwork>, config: AgentConfig) -> Self {
        Self { config, members: networks.into_iter().map(Member::new).collect(), n_updates: 0 }
    }

    /// The networks that learn.
    pub fn networks(&self) -> impl ExactSizeIterator<Item = &QNetwork> {
        self.members.iter().map(|member| &member.network)
    }

    /// Number of updates so far.
    pub fn n_updates(&self) -> u64 {
        self.n_updates
    }

    /// Whether a run with the settings of `own`, and with networks of the shape of `network`, can have left it so. A state
    /// that is read from a file must fit.
    pub(crate) fn fits(&self, own: &Self, network: &QNetwork) -> bool {
        let parts = |m: &Member| {
            let all = [&m.network, &m.target, &m.first_moment, &m.second_moment];
            let squares = m.second_moment.params();
            all.into_iter().all(|part| part.is_like(network)) && squares.into_iter().flatten().all(|&v| v >= 0.0)
        };
        self.config == own.config
            && self.members.len() == own.members.len()
            && self.members.iter().all(parts)
            && is_count(self.n_updates)
    }

    /// One update of every network, each on a batch of its own from `replay`. `progress` in [0, 1] is the share of the
    /// training that is over; the learning rate depends on it.
    ///
    /// # Errors
    /// When an episode in the memory has another number of features than the networks.
    pub fn update(&mut self, replay: &Replay, progress: f32, rng: &mut ChaCha8Rng) -> Result<UpdateReport, ShapeError> {
        if replay.is_empty() {
            return Ok(UpdateReport::default());
        }
        let lr = self.config.lr + progress.clamp(0.0, 1.0) * (self.config.lr_final - self.config.lr);
        let (batch_size, n_step) = (self.config.batch_size, self.config.n_step);
        let batches: Vec<Batch> = self.members.iter().map(|_| replay.sample(batch_size, n_step, rng)).collect();
        let this = &*self;
        let gradients = parallel(batches.len(), batches.len(), |k| this.gradient(k, &batches[k]));
        self.n_updates += 1;
        let mut mean = UpdateReport::default();
        let share = 1.0 / self.members.len() as f32;
        for (member, gradient) in self.members.iter_mut().zip(gradients) {
            let (gradient, report) = gradient?;
            mean.loss += share * report.loss;
            mean.mean_abs_q += share * report.mean_abs_q;
            mean.grad_norm += share * report.grad_norm;
            let scale = (MAX_GRAD_NORM / report.grad_norm).min(1.0);
            member.adam(&gradient, self.n_updates, lr, scale);
            member.target.move_towards(&member.network, self.config.tau);
        }
        Ok(mean)
    }

    /// TD targets `[batch]`, from the networks as they are now. They are never stored.
    fn td_targets(&self, batch: &Batch, next_obs: ArrayView2<f32>) -> Vec<f32> {
        let valued: Vec<Array2<f32>> = self.members.iter().map(|m| m.target.forward(next_obs)).collect();
        let mut preferred = Array2::<f32>::zeros((batch.actions.len(), self.members[0].network.n_actions()));
        for member in &self.members {
            preferred += &member.network.forward(next_obs);
        }
        (0..batch.actions.len())
            .map(|b| {
                let action = argmax(preferred.row(b).iter().copied());
                let values = valued.iter().map(|q| q[[b, action]]);
                let next_value = match self.config.bootstrap {
                    Bootstrap::Lowest => values.fold(f32::INFINITY, f32::min),
                    Bootstrap::Mean => values.sum::<f32>() / valued.len() as f32,
                };
                batch.returns[b] + batch.discounts[b] * next_value
            })
            .collect()
    }

    /// Gradient of the mean Huber loss of member `k` on a batch.
    fn gradient(&self, k: usize, batch: &Batch) -> Result<(QNetwork, UpdateReport), ShapeError> {
        let network = &self.members[k].network;
        let shape = (batch.actions.len(), network.n_features());
        let obs = ArrayView2::from_shape(shape, &batch.obs)?;
        let targets = self.td_targets(batch, ArrayView2::from_shape(shape, &batch.next_obs)?);
        let scale = 1.0 / batch.actions.len() as f32;
        let mut report = UpdateReport::default();
        let gradient = network.gradient(obs, &batch.actions, |q, b| {
            let error = q - targets[b];
            let excess = (error.abs() - HUBER).max(0.0);
            let within = error.abs() - excess;
            report.loss += scale * (0.5 * within * within + HUBER * excess);
            report.mean_abs_q += scale * q.abs();
            scale * error.clamp(-HUBER, HUBER)
        });
        report.grad_norm = gradient.params().into_iter().map(sum_of_squares).sum::<f32>().sqrt();
        Ok((gradient, report))
    }
}

impl Member {
    const BETA1: f32 = 0.9;
    const BETA2: f32 = 0.999;
    const EPS: f32 = 1e-8;

    fn new(network: QNetwork) -> Self {
        let zeros = network.zeros_like();
        Self { target: network.clone(), first_moment: zeros.clone(), second_moment: zeros, network }
    }

    /// Adam (Kingma and Ba 2015, arXiv 1412.6980, Algorithm 1) on the gradient times `scale`; `t` counts from 1.
    fn adam(&mut self, gradient: &QNetwork, t: u64, lr: f32, scale: f32) {
        let bias1 = (1.0 - f64::from(Self::BETA1).powf(t as f64)) as f32;
        let bias2 = (1.0 - f64::from(Self::BETA2).powf(t as f64)) as f32;
        let moments = self.first_moment.params_mut().into_iter().zip(self.second_moment.params_mut());
        for ((params, gradient), (m, v)) in self.network.params_mut().into_iter().zip(gradient.params()).zip(moments) {
            vectorized(
                #[inline(always)]
                || {
                    for ((x, &g), (m, v)) in params.iter_mut().zip(gradient).zip(m.iter_mut().zip(v)) {
                        let g = g * scale;
                        *m = Self::BETA1 * *m + (1.0 - Self::BETA1) * g;
                        *v = Self::BETA2 * *v + (1.0 - Self::BETA2) * g * g;
                        *x -= lr * (*m / bias1) / ((*v / bias2).sqrt() + Self::EPS);
                    }
                },
            );
        }
    }
}

/// Sum of the squares, in eight sums side by side, which the processor adds at once.
fn sum_of_squares(values: &[f32]) -> f32 {
    vectorized(
        #[inline(always)]
        || {
            let mut sums = [0.0; 8];
            let (eights, rest) = values.as_chunks::<8>();
            for eight in eights {
                for i in 0..8 {
                    sums[i] += eight[i] * eight[i];
                }
            }
            for (sum, v) in sums.iter_mut().zip(rest) {
                *sum += v * v;
            }
            sums.iter().sum()
        },
    )
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
        Episode { n_features: 6, observations, actions, rewards, discount: 0.9, terminated }
    }

    #[test]
    fn it_finds_the_optimal_values_of_a_corridor_from_random_episodes() {
        let config = AgentConfig { n_step: 1, lr: 5e-3, batch_size: 64, tau: 0.05, ..AgentConfig::default() };
        for seed in 0..3 {
            let mut rng = stream(seed, "corridor");
            let mut replay = Replay::new(ReplayConfig::default());
            (0..200).for_each(|_| replay.push(corridor_episode(&mut rng)));
            let networks = (0..2).map(|_| QNetwork::new(6, &[32], 2, true, &mut rng)).collect();
            let mut learner = Learner::new(networks, config.clone());
            for _ in 0..1500 {
                learner.update(&replay, 0.0, &mut rng).unwrap();
            }
            let states = ndarray::Array2::<f32>::eye(6);
            let q = learner.members[0].network.forward(states.view());
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
        let mut learner = Learner::new(
            vec![QNetwork::new(6, &[8], 2, true, &mut rng)],
            AgentConfig { tau: 1.0, ..Default::default() },
        );
        let batch = replay.sample(1, 1, &mut rng);
        let next = ArrayView2::from_shape((1, 6), &batch.next_obs).unwrap();
        let before = learner.td_targets(&batch, next);
        for _ in 0..50 {
            learner.update(&replay, 0.0, &mut rng).unwrap();
        }
        assert_ne!(before, learner.td_targets(&batch, next));
    }

    #[test]
    fn the_ensemble_prefers_an_action_and_its_most_modest_target_network_or_their_mean_values_it() {
        let mut rng = stream(2, "double");
        let mut network = || QNetwork::new(2, &[8], 3, true, &mut rng);
        let mut learner = Learner::new(vec![network(), network()], AgentConfig::default());
        for member in &mut learner.members {
            member.target = network();
        }
        let batch = Batch {
            actions: vec![0],
            returns: vec![2.0],
            discounts: vec![0.5],
            obs: vec![0.0; 2],
            next_obs: vec![0.3, -0.8],
        };
        let next = ArrayView2::from_shape((1, 2), &batch.next_obs).unwrap();
        let q = |network: &QNetwork| network.forward(next);
        let [a, b] = &learner.members[..] else { panic!("two members") };
        let chosen = argmax(q(&a.network) + q(&b.network));
        let (low, high) = (q(&a.target)[[0, chosen]], q(&b.target)[[0, chosen]]);
        assert!((learner.td_targets(&batch, next)[0] - (2.0 + 0.5 * low.min(high))).abs() < 1e-6);
        learner.config.bootstrap = Bootstrap::Mean;
        assert!((learner.td_targets(&batch, next)[0] - (2.0 + 0.25 * (low + high))).abs() < 1e-6);
    }

    #[test]
    fn every_edge_of_the_table_is_checked() {
        let bad = [
            AgentConfig { ensemble: 0, ..Default::default() },
            AgentConfig { gamma: 1.1, ..Default::default() },
            AgentConfig { gamma_unknown: 0.0, ..Default::default() },
            AgentConfig { n_step: 0, ..Default::default() },
            AgentConfig { lr: 0.0, ..Default::default() },
            AgentConfig { lr_final: f32::NAN, ..Default::default() },
            AgentConfig { batch_size: 0, ..Default::default() },
            AgentConfig { tau: 0.0, ..Default::default() },
        ];
        assert!(bad.iter().all(|config| config.check().is_err()));
        assert!(AgentConfig::default().check().is_ok());
    }
}
