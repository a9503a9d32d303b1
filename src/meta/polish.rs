//! Polish: evolution strategies on the advantages, after Q-learning.
//!
//! Q-learning finds out what matters in a run, but its values are wrong by more than a single move changes the final
//! loss. So in the end a small correction of the Q-values is chosen by the final losses of runs, and by nothing else:
//!
//! ```text
//! Q(s, a) += θ[a, 0] z_0(s) + ... + θ[a, K-1] z_{K-1}(s) + θ[a, K]   for every action but one: only differences matter
//!     z   the K leading principal components of the first network's last hidden layer, each scaled to variance 1
//! episode:    ε ~ N(0, I),  d = clip(ln f(θ + σε) - ln f(θ - σε))    the same new task and batches; f the final loss
//! round:      gradient = mean of d ε / 2σ over its episodes, then Adam
//! ```
//!
//! The correction is linear in the last hidden layer, so it goes into the weights of the head. The polished network is
//! as large as before. Source: Rechenberg 1973; antithetic pairs under common random numbers as in Salimans et al. 2017
//! (arXiv 1703.03864).

use super::check_rounds;
use crate::dqn::QNetwork;
use crate::limits::{OutOfRange, is_positive, within};
use crate::rng::{standard_normal, stream};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

/// K: number of principal components that the correction looks at.
pub(super) const COMPONENTS: usize = 16;

/// Configuration of the polish: the table `[training.polish]` of a recipe. Without that table there is none.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `rounds` | 150 | number of gradient estimates, after the rounds of Q-learning | [1, 1,000,000] |
/// | `episodes_per_round` | 128 | number of tasks in a round, each trained twice | [1, 1,000,000] |
/// | `sigma` | 0.015 | σ: standard deviation of a perturbation, in units of the Q-values | (0, ∞) |
/// | `lr` | 0.002 | learning rate of Adam; it falls linearly to a fifth | (0, ∞) |
/// | `clip` | 0.5 | bound on the size of one difference: a task that has gone wrong by chance must not outvote the others | (0, ∞) |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the table has a row for each field")]
pub struct PolishConfig {
    pub rounds: u32,
    pub episodes_per_round: u32,
    pub sigma: f64,
    pub lr: f64,
    pub clip: f64,
}

impl Default for PolishConfig {
    fn default() -> Self {
        Self { rounds: 150, episodes_per_round: 128, sigma: 0.015, lr: 2e-3, clip: 0.5 }
    }
}

impl PolishConfig {
    /// Checks every field.
    pub(super) fn check(&self) -> Result<(), OutOfRange> {
        check_rounds(self.rounds, self.episodes_per_round)?;
        within("sigma", self.sigma, is_positive(self.sigma), "positive")?;
        within("lr", self.lr, is_positive(self.lr), "positive")?;
        within("clip", self.clip, is_positive(self.clip), "positive")
    }
}

/// Polish under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Polish {
    networks: Vec<QNetwork>,
    /// Action whose values stay as they are.
    reference: usize,
    components: Vec<Component>,
    theta: Vec<f64>,
    average: Vec<f64>,
    first_moment: Vec<f64>,
    second_moment: Vec<f64>,
    round: u32,
}

/// Component z: `weights · hidden - offset`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Component {
    weights: Vec<f64>,
    offset: f64,
}

/// Decay rates of Adam, lower than usual because there are few rounds.
const BETAS: [f64; 2] = [0.9, 0.98];
/// Number of the last rounds, about, over which the correction is averaged that is validated and kept.
const AVERAGED_ROUNDS: f64 = 10.0;

impl Polish {
    /// Begins with these networks. `features`, `[n, n_features]`, are states whose principal components are taken.
    pub(super) fn new(networks: Vec<QNetwork>, reference: usize, features: ArrayView2<f32>, n: usize) -> Self {
        let components = principal_components(&networks[0].last_hidden(features), n);
        let dim = (components.len() + 1) * (networks[0].n_actions() - 1);
        let zeros = vec![0.0; dim];
        Self {
            networks,
            reference,
            components,
            theta: zeros.clone(),
            average: zeros.clone(),
            first_moment: zeros.clone(),
            second_moment: zeros,
            round: 0,
        }
    }

    /// Whether a polish of networks like `network` can have come to this. One that is read from a file must.
    pub(super) fn fits(&self, network: &QNetwork) -> bool {
        let shape = network.shape();
        let (width, n_actions) = (shape[shape.len() - 2], network.n_actions());
        let dim = (self.components.len() + 1) * (n_actions - 1);
        let numbers = [&self.theta, &self.average, &self.first_moment, &self.second_moment];
        !self.networks.is_empty()
            && self.networks.iter().all(|own| own.is_like(network))
            && self.reference < n_actions
            && self.components.iter().all(|component| component.weights.len() == width)
            && numbers.iter().all(|numbers| numbers.len() == dim && numbers.iter().all(|v| v.is_finite()))
    }

    /// Number of rounds that are done.
    pub(super) fn round(&self) -> u32 {
        self.round
    }

    /// Networks with the correction averaged over the last rounds.
    pub(super) fn networks(&self) -> Vec<QNetwork> {
        self.corrected(&self.average)
    }

    fn corrected(&self, theta: &[f64]) -> Vec<QNetwork> {
        let mut networks = self.networks.clone();
        // The mean of the ensemble acts, so what one network adds is divided by their number.
        let scale = networks.len() as f64;
        let actions = (0..networks[0].n_actions()).filter(|&action| action != self.reference);
        for (action, theta) in actions.zip(theta.chunks_exact(self.components.len() + 1)) {
            let mut weights = vec![0.0; self.components.first().map_or(0, |c| c.weights.len())];
            let mut bias = scale * theta[self.components.len()];
            for (component, t) in self.components.iter().zip(theta) {
                weights.iter_mut().zip(&component.weights).for_each(|(w, c)| *w += scale * t * c);
                bias -= scale * t * component.offset;
            }
            networks[0].add_to_action(action, &weights, bias);
        }
        networks
    }

    /// Does one round. `log_losses(candidates)` are ln f under the greedy policies of these networks: two for every
    /// episode, on the same task. Returns the mean size of a difference.
    pub(super) fn step<E>(
        &mut self,
        config: &PolishConfig,
        seed: u64,
        log_losses: impl FnOnce(Vec<Vec<QNetwork>>) -> Result<Vec<f64>, E>,
    ) -> Result<f64, E> {
        let n = config.episodes_per_round as usize;
        let noise = |i| -> Vec<f64> {
            let mut rng = stream(seed, &format!("polish {} perturbation {i}", self.round));
            self.theta.iter().map(|_| standard_normal(&mut rng)).collect()
        };
        let noises: Vec<Vec<f64>> = (0..n).map(noise).collect();
        let perturbed = |noise: &[f64], sign: f64| {
            let theta: Vec<f64> = self.theta.iter().zip(noise).map(|(t, e)| t + sign * config.sigma * e).collect();
            self.corrected(&theta)
        };
        let found = log_losses(noises.iter().flat_map(|e| [perturbed(e, 1.0), perturbed(e, -1.0)]).collect())?;
        let mut gradient = vec![0.0; self.theta.len()];
        let mut size = 0.0;
        for (pair, noise) in found.chunks_exact(2).zip(&noises) {
            let difference = (pair[0] - pair[1]).clamp(-config.clip, config.clip);
            size += difference.abs() / n as f64;
            let scale = difference / (2.0 * config.sigma * n as f64);
            gradient.iter_mut().zip(noise).for_each(|(g, e)| *g += scale * e);
        }
        self.round += 1;
        self.adam(&gradient, config);
        Ok(size)
    }

    fn adam(&mut self, gradient: &[f64], config: &PolishConfig) {
        let t = f64::from(self.round);
        let lr = config.lr * (1.0 - 0.8 * t / f64::from(config.rounds));
        let rate = (2.0 / (t + 1.0)).max(1.0 / AVERAGED_ROUNDS);
        let [bias1, bias2] = BETAS.map(|beta| 1.0 - beta.powf(t));
        for (i, g) in gradient.iter().enumerate() {
            let (m, v) = (&mut self.first_moment[i], &mut self.second_moment[i]);
            *m += (1.0 - BETAS[0]) * (g - *m);
            *v += (1.0 - BETAS[1]) * (g * g - *v);
            self.theta[i] -= lr * (*m / bias1) / ((*v / bias2).sqrt() + 1e-6);
            self.average[i] += rate * (self.theta[i] - self.average[i]);
        }
    }
}

/// The `n` leading principal components of the rows of `x`, each scaled to variance 1; fewer where `x` has fewer
/// directions.
///
/// By power iteration with deflation: slow for many components, but there are few, and it is done once.
fn principal_components(x: &Array2<f32>, n: usize) -> Vec<Component> {
    let x = x.mapv(f64::from);
    let Some(mean) = x.mean_axis(Axis(0)) else { return Vec::new() };
    let centered = &x - &mean;
    let mut covariance = centered.t().dot(&centered) / x.nrows() as f64;
    let floor = 1e-6 * covariance.diag().sum();
    let mut components = Vec::new();
    while components.len() < n {
        // Any start that is not at a right angle to the component will do.
        let mut direction =
            Array1::from_iter((0..x.ncols()).map(|i| 1.0 + ((i * 7 + components.len() * 13) % 11) as f64));
        let mut variance = 0.0;
        for _ in 0..500 {
            let image = covariance.dot(&direction);
            variance = image.dot(&image).sqrt() / direction.dot(&direction).sqrt();
            if variance.is_nan() || variance <= floor {
                return components;
            }
            direction = &image / image.dot(&image).sqrt();
        }
        let column = direction.view().insert_axis(Axis(1));
        covariance = covariance - column.dot(&column.t()) * variance;
        let weights = &direction / variance.sqrt();
        components.push(Component { offset: weights.dot(&mean), weights: weights.to_vec() });
    }
    components
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;

    fn features(n: usize, rng: &mut ChaCha8Rng) -> Array2<f32> {
        Array2::from_shape_simple_fn((n, 5), || standard_normal(rng) as f32)
    }

    fn polish(n_networks: usize) -> (Polish, Array2<f32>) {
        let mut rng = stream(3, "polish");
        let networks = (0..n_networks).map(|_| QNetwork::new(5, &[12], 3, true, &mut rng)).collect();
        let features = features(400, &mut rng);
        (Polish::new(networks, 1, features.view(), 4), features)
    }

    #[test]
    fn components_have_mean_zero_and_variance_one_and_are_uncorrelated() {
        let (polish, features) = polish(1);
        let hidden = polish.networks[0].last_hidden(features.view()).mapv(f64::from);
        let z: Vec<Array1<f64>> =
            polish.components.iter().map(|c| hidden.dot(&Array1::from(c.weights.clone())) - c.offset).collect();
        assert_eq!(z.len(), 4);
        for (i, a) in z.iter().enumerate() {
            assert!((a.sum() / 400.0).abs() < 1e-6);
            for (j, b) in z.iter().enumerate() {
                let expected = f64::from(u8::from(i == j));
                assert!((a.dot(b) / 400.0 - expected).abs() < 1e-3, "{i} {j}: {}", a.dot(b) / 400.0);
            }
        }
    }

    #[test]
    fn constant_activations_have_no_components() {
        assert!(principal_components(&Array2::ones((10, 3)), 2).is_empty());
    }

    #[test]
    fn a_correction_moves_the_mean_q_values_of_the_ensemble_by_what_it_says() {
        let (mut polish, features) = polish(2);
        let mean =
            |networks: &[QNetwork]| (networks[0].forward(features.view()) + networks[1].forward(features.view())) / 2.0;
        let before = mean(&polish.networks);
        let k = polish.components.len();
        polish.average[k] = 0.3;
        polish.average[k + 1] = -0.2;
        let moved = mean(&polish.networks()) - before;
        let hidden = polish.networks[0].last_hidden(features.view()).mapv(f64::from);
        let c = &polish.components[0];
        for (row, h) in moved.rows().into_iter().zip(hidden.rows()) {
            let z = h.dot(&Array1::from(c.weights.clone())) - c.offset;
            // Dueling heads take the mean of the advantages away: only differences to the reference mean anything.
            assert!((f64::from(row[0] - row[1]) - 0.3).abs() < 1e-4);
            assert!((f64::from(row[2] - row[1]) + 0.2 * z).abs() < 1e-3, "{} against {}", row[2] - row[1], -0.2 * z);
        }
    }

    #[test]
    fn it_finds_the_correction_that_a_noisy_objective_asks_for() {
        let (mut polish, features) = polish(2);
        let config =
            PolishConfig { rounds: 200, episodes_per_round: 32, lr: 0.02, sigma: 0.05, ..PolishConfig::default() };
        // In state i, the objective wants action 2 to be worth 0.5 more than action 1, and action 0 as much.
        let log_loss = |i: usize, networks: &[QNetwork]| {
            let q = (networks[0].forward(features.view()) + networks[1].forward(features.view())) / 2.0;
            let row = q.row(i);
            let noise = standard_normal(&mut stream(i as u64, "noise"));
            f64::from((row[2] - row[1] - 0.5).powi(2) + (row[0] - row[1]).powi(2)) + noise
        };
        let loss = |polish: &Polish| {
            let total: f64 = (0..400).map(|i| log_loss(i, &polish.networks())).sum();
            total / 400.0 - (0..400u64).map(|i| standard_normal(&mut stream(i, "noise"))).sum::<f64>() / 400.0
        };
        let before = loss(&polish);
        for round in 0..config.rounds {
            let log_losses = |candidates: Vec<Vec<QNetwork>>| {
                let losses =
                    candidates.iter().enumerate().map(|(k, c)| log_loss((k / 2 * 7 + round as usize) % 400, c));
                Ok::<_, ()>(losses.collect())
            };
            polish.step(&config, 1, log_losses).unwrap();
        }
        assert!(loss(&polish) < 0.1 * before, "{} after {before}", loss(&polish));
    }

    #[test]
    fn every_edge_of_the_table_is_checked() {
        let bad = [
            PolishConfig { rounds: 0, ..Default::default() },
            PolishConfig { episodes_per_round: 0, ..Default::default() },
            PolishConfig { sigma: 0.0, ..Default::default() },
            PolishConfig { lr: f64::NAN, ..Default::default() },
            PolishConfig { clip: -1.0, ..Default::default() },
        ];
        assert!(bad.iter().all(|config| config.check().is_err()));
        assert!(PolishConfig::default().check().is_ok());
    }
}
