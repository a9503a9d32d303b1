//! The `[meta]` table of a recipe.

use super::optimizer::Algorithm;
use super::polish::PolishConfig;
#[cfg(feature = "torch")]
pub(super) use crate::dqn::Judge;
pub(super) use crate::dqn::RewardConfig;
use serde::{Deserialize, Serialize};

/// How long and on what a controller is meta-trained.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `rounds` | 300 | rollouts, then updates, so many times | [1, ∞) |
/// | `episodes-per-round` | 128 | tasks trained a round | [1, ∞) |
/// | `updates-per-round` | 64 | updates of the Q-network a round | [0, ∞) |
/// | `validate-every` | 10 | rounds between two validations | [1, ∞) |
/// | `validation-tasks` | 48 | tasks of the validation set, each from five starts | [1, ∞) |
/// | `average` | 0.02 | rate, per round, of the averaged networks that are validated and kept | (0, 1] |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct MetaConfig {
    /// See the table.
    pub rounds: u32,
    /// See the table.
    pub episodes_per_round: u32,
    /// See the table.
    pub updates_per_round: u32,
    /// See the table.
    pub validate_every: u32,
    /// See the table.
    pub validation_tasks: u32,
    /// See the table.
    pub average: f32,
    /// What comes after the rounds, where there is more. See [`PolishConfig`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub polish: Option<PolishConfig>,
    /// What a decision earns.
    pub reward: RewardConfig,
    /// What the tasks are.
    pub tasks: TaskConfig,
}

/// The tasks that are drawn.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `horizon` | [200, 1600] | inner steps, log-uniform | 1 ≤ low ≤ high |
/// | `known-budget` | 0.7 | share of tasks whose controller is told the horizon | [0, 1] |
/// | `separable` | 0.6 | share of classification tasks without label noise | [0, 1] |
/// | `label-noise` | [0.02, 0.4] | in the others the share of labels that are random, log-uniform | 0 < low ≤ high ≤ 1 |
/// | `families` | [0.1, 0.1, 0.6, 0.2] | weights of quadratics, logistic regression, MLP classification, MLP regression; two more for convolutional and recurrent nets, which only [`Engine::Tch`](super::Engine) runs | 4 or 6, ≥ 0, not all 0 |
/// | `optimizers` | [0.25, 0.25, 0.4, 0.1] | weights of SGD, momentum, Adam, AdamW | ≥ 0, not all 0 |
/// | `start` | the optimizer's five decades | where the learning rate starts, log-uniform | 0 < low ≤ high |
/// | `start-decades` | 5 | or the middle of them, so many decades wide: a learning rate that somebody has chosen with some care | (0, 5] |
/// | `layers` | [1, 2] | hidden layers of MLPs | 1 ≤ low ≤ high ≤ 8 |
/// | `widths` | [8, 64] | units of each, log-uniform | 1 ≤ low ≤ high ≤ 1024 |
/// | `clusters` | [1, 4] | clusters a class, where classes are clusters: many make a task that is learned slowly though it has no noise | 1 ≤ low ≤ high ≤ 64 |
/// | `warped` | 0 | share of tasks whose inputs have heavy tails, are mostly zero or rounded, a column at a time, as measured data are | [0, 1] |
/// | `memorized` | 0 | share of nets' tasks with 64 to 1500 examples, of whose labels 30 to 100 % are random (values: noise of 0.5 to 3 deviations): training loss falls only as far as they are learned by heart, as on small measured data | [0, 1] |
/// | `weight-decay` | off in 60 %, else [1e-6, 1e-2] | where the weight decay starts, log-uniform | 0 < low ≤ high |
/// | `examples` | none | training examples, log-uniform: with few, and labels from a random teacher, nets overfit; 512 more are held out. Without it there are 256 to 12,000, of which a quarter is held out where something asks for it | 16 ≤ low ≤ high ≤ 100,000 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TaskConfig {
    /// See the table.
    pub horizon: [u64; 2],
    /// See the table.
    pub known_budget: f64,
    /// See the table.
    pub separable: f64,
    /// See the table.
    #[serde(skip_serializing_if = "is_default_noise")]
    pub label_noise: [f64; 2],
    /// See the table.
    pub families: Vec<f64>,
    /// See the table.
    pub optimizers: [f64; 4],
    /// See the table.
    #[serde(skip_serializing_if = "is_range::<1, 2>")]
    pub layers: [u64; 2],
    /// See the table.
    #[serde(skip_serializing_if = "is_range::<8, 64>")]
    pub widths: [u64; 2],
    /// See the table.
    #[serde(skip_serializing_if = "is_range::<1, 4>")]
    pub clusters: [u64; 2],
    /// See the table.
    #[serde(skip_serializing_if = "is_zero")]
    pub warped: f64,
    /// See the table.
    #[serde(skip_serializing_if = "is_zero")]
    pub memorized: f64,
    /// See the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<[f64; 2]>,
    /// See the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_decades: Option<f64>,
    /// See the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<[f64; 2]>,
    /// See the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub examples: Option<[u64; 2]>,
}

const DEFAULT_NOISE: [f64; 2] = [0.02, 0.4];

fn is_default_noise(noise: &[f64; 2]) -> bool {
    noise.map(f64::to_bits) == DEFAULT_NOISE.map(f64::to_bits)
}

fn is_range<const LOW: u64, const HIGH: u64>(range: &[u64; 2]) -> bool {
    *range == [LOW, HIGH]
}

fn is_zero(share: &f64) -> bool {
    *share == 0.0
}

impl TaskConfig {
    /// Where the learning rate of this optimizer starts: lowest and highest.
    pub fn start_range(&self, algorithm: Algorithm) -> [f64; 2] {
        let [low, high] = self.start.unwrap_or(algorithm.start_range());
        let Some(decades) = self.start_decades else { return [low, high] };
        let (middle, half) = ((low * high).sqrt(), 10f64.powf(0.5 * decades));
        [low.max(middle / half), high.min(middle * half)]
    }

    /// Where the weight decay starts where a controller moves it: lowest and highest. Five decades, where the recipe says nothing.
    pub fn weight_decay_range(&self) -> [f64; 2] {
        self.weight_decay.unwrap_or([1e-5, 1.0])
    }
}

impl Default for MetaConfig {
    fn default() -> Self {
        Self {
            rounds: 300,
            episodes_per_round: 128,
            updates_per_round: 64,
            validate_every: 10,
            validation_tasks: 48,
            average: 0.02,
            polish: None,
            reward: RewardConfig::default(),
            tasks: TaskConfig::default(),
        }
    }
}

impl Default for TaskConfig {
    fn default() -> Self {
        Self {
            horizon: [200, 1600],
            known_budget: 0.7,
            separable: 0.6,
            label_noise: DEFAULT_NOISE,
            families: vec![0.1, 0.1, 0.6, 0.2],
            optimizers: [0.25, 0.25, 0.4, 0.1],
            layers: [1, 2],
            widths: [8, 64],
            clusters: [1, 4],
            warped: 0.0,
            memorized: 0.0,
            start: None,
            start_decades: None,
            weight_decay: None,
            examples: None,
        }
    }
}

impl MetaConfig {
    /// The first field outside its range, as (name, value, what was allowed).
    pub fn invalid_field(&self) -> Option<(&'static str, f64, &'static str)> {
        let share = |v: f64| (0.0..=1.0).contains(&v);
        let weights = |w: &[f64]| w.iter().all(|&v| v >= 0.0 && v.is_finite()) && w.iter().sum::<f64>() > 0.0;
        let ([shortest, longest], tasks) = (self.tasks.horizon, &self.tasks);
        let [low, high] = tasks.start.unwrap_or([1.0, 1.0]);
        let [lowest_decay, highest_decay] = tasks.weight_decay.unwrap_or([1.0, 1.0]);
        let [fewest, most] = tasks.examples.unwrap_or([16, 16]);
        let decades = tasks.start_decades.unwrap_or(5.0);
        let [least, loudest] = tasks.label_noise;
        let range = |low: f64, high: f64| 0.0 < low && low <= high && high.is_finite();
        let within = |[low, high]: [u64; 2], most: u64| 1 <= low && low <= high && high <= most;
        let checks = [
            ("rounds", f64::from(self.rounds), self.rounds >= 1, "at least 1"),
            ("episodes-per-round", f64::from(self.episodes_per_round), self.episodes_per_round >= 1, "at least 1"),
            ("validate-every", f64::from(self.validate_every), self.validate_every >= 1, "at least 1"),
            ("validation-tasks", f64::from(self.validation_tasks), self.validation_tasks >= 1, "at least 1"),
            ("average", f64::from(self.average), self.average > 0.0 && self.average <= 1.0, "in (0, 1]"),
            (
                "tasks.horizon",
                shortest as f64,
                1 <= shortest && shortest <= longest,
                "[low, high] with 1 <= low <= high",
            ),
            ("tasks.known-budget", tasks.known_budget, share(tasks.known_budget), "in [0, 1]"),
            ("tasks.separable", tasks.separable, share(tasks.separable), "in [0, 1]"),
            (
                "tasks.label-noise",
                least,
                range(least, loudest) && loudest <= 1.0,
                "[low, high] with 0 < low <= high <= 1",
            ),
            (
                "tasks.families",
                tasks.families.first().copied().unwrap_or(f64::NAN),
                [4, 6].contains(&tasks.families.len()) && weights(&tasks.families),
                "four or six weights >= 0, not all 0",
            ),
            ("tasks.layers", tasks.layers[0] as f64, within(tasks.layers, 8), "[low, high] with 1 <= low <= high <= 8"),
            (
                "tasks.widths",
                tasks.widths[0] as f64,
                within(tasks.widths, 1024),
                "[low, high] with 1 <= low <= high <= 1024",
            ),
            (
                "tasks.clusters",
                tasks.clusters[0] as f64,
                within(tasks.clusters, 64),
                "[low, high] with 1 <= low <= high <= 64",
            ),
            ("tasks.warped", tasks.warped, share(tasks.warped), "in [0, 1]"),
            ("tasks.memorized", tasks.memorized, share(tasks.memorized), "in [0, 1]"),
            ("tasks.start", low, range(low, high), "[low, high] with 0 < low <= high"),
            ("tasks.start-decades", decades, 0.0 < decades && decades <= 5.0, "in (0, 5]"),
            (
                "tasks.weight-decay",
                lowest_decay,
                range(lowest_decay, highest_decay),
                "[low, high] with 0 < low <= high",
            ),
            (
                "tasks.examples",
                fewest as f64,
                16 <= fewest && fewest <= most && most <= 100_000,
                "[low, high] with 16 <= low <= high <= 100000",
            ),
            ("tasks.optimizers", tasks.optimizers[0], weights(&tasks.optimizers), "four weights >= 0, not all 0"),
        ];
        let invalid = checks.into_iter().find(|check| !check.2).map(|(name, value, _, allowed)| (name, value, allowed));
        let polish = || self.polish.as_ref().and_then(PolishConfig::invalid_field);
        invalid.or_else(|| self.reward.invalid_field()).or_else(polish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_reward_is_checked_too() {
        let with = |delta| MetaConfig { reward: RewardConfig { delta, ..Default::default() }, ..MetaConfig::default() };
        assert_eq!(with(0.0).invalid_field().map(|invalid| invalid.0), Some("reward.delta"));
        assert!(with(0.1).invalid_field().is_none());
    }
}
