//! The `[meta]` table of a recipe.

use super::optimizer::InnerAlgorithm;
use super::polish::PolishConfig;
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

/// What a decision earns.
///
/// ```text
/// by default             r = ln(f_t + δ) - ln(f_{t+1} + δ)
/// inverse-distance       r = c1 / max(f_{t+1} - f_lb, δ)    halve, grow           Hu, Zhang and Shi, equation 7 and Algorithm 3
///                        r = c2 / max(f_t - f_lb, δ)        accept: x̄ is x_t then
/// ```
///
/// both cut to [-clip, clip], f the loss on a fixed evaluation batch of the task, or what examples held out of the training say: their loss, or
/// their error (equation 9). The paper's reward is there for fidelity: it is flat, always positive and bound to the unit of the loss.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `delta` | 3e-3 | δ: below it improvement no longer counts | (0, ∞) |
/// | `clip` | 2 | bound on the size of one reward | (0, ∞) |
/// | `of` | loss | what f is: `loss`; on examples held out of the training `validation-loss`, `validation-error` as the paper has it for λ, or `validation`, the geometric mean of both | |
/// | `inverse-distance` | none | the paper's reward instead, see [`InverseDistance`] | |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RewardConfig {
    /// See the table.
    pub delta: f64,
    /// See the table.
    pub clip: f64,
    /// See the table.
    #[serde(skip_serializing_if = "Judge::is_loss")]
    pub of: Judge,
    /// See the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inverse_distance: Option<InverseDistance>,
}

/// What the parameters of a task are judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judge {
    /// The loss on the evaluation batch, a part of the training examples.
    #[default]
    Loss,
    /// The loss on examples held out of the training: smooth, but falls too where outputs only get less sure of themselves.
    ValidationLoss,
    /// The share of held-out examples that are classified wrongly; in regression the squared error on them.
    ValidationError,
    /// The geometric mean of the two: smooth, and nothing is gained by being less sure of what is wrong anyway.
    Validation,
}

impl Judge {
    fn is_loss(&self) -> bool {
        *self == Self::Loss
    }
}

/// The reward of Hu, Zhang and Shi. The paper names none of these numbers.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `c1` | 1 | what halving and growing are multiplied by | (0, ∞) |
/// | `c2` | 1.2 | what accepting is: its published code paid a fifth more for it | (0, ∞) |
/// | `lower-bound` | 0 | f_lb: below every loss | finite |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct InverseDistance {
    /// See the table.
    pub c1: f64,
    /// See the table.
    pub c2: f64,
    /// See the table.
    pub lower_bound: f64,
}

impl Default for InverseDistance {
    fn default() -> Self {
        Self { c1: 1.0, c2: 1.2, lower_bound: 0.0 }
    }
}

impl RewardConfig {
    /// What a decision earns between whose losses `before` and `after` it stands; `accepted`: it moved nothing.
    ///
    /// ```
    /// # use qgd::meta::{InverseDistance, RewardConfig};
    /// let reward = RewardConfig { delta: 1e-9, ..RewardConfig::default() };
    /// assert_eq!(reward.reward(false, 2.0, 1.0), 2f32.ln());
    /// let paper = RewardConfig { inverse_distance: Some(InverseDistance::default()), ..reward };
    /// assert_eq!(paper.reward(false, 2.0, 1.0), 1.0);
    /// assert_eq!(paper.reward(true, 2.0, 1.0), 0.6);
    /// ```
    pub fn reward(&self, accepted: bool, before: f64, after: f64) -> f32 {
        let worth = |f: f64| if f.is_finite() { (f + self.delta).ln() } else { f64::INFINITY };
        let distance = |f: f64, bound: f64| if f.is_nan() { f64::INFINITY } else { (f - bound).max(self.delta) };
        let earned = match &self.inverse_distance {
            None => worth(before) - worth(after),
            Some(paper) if accepted => paper.c2 / distance(before, paper.lower_bound),
            Some(paper) => paper.c1 / distance(after, paper.lower_bound),
        };
        if earned.is_nan() { 0.0 } else { earned.clamp(-self.clip, self.clip) as f32 }
    }

    /// The first field outside its range, as (name, value, what was allowed).
    fn invalid_field(&self) -> Option<(&'static str, f64, &'static str)> {
        let positive = |v: f64| v > 0.0 && v.is_finite();
        let InverseDistance { c1, c2, lower_bound } = self.inverse_distance.clone().unwrap_or_default();
        let checks = [
            ("reward.delta", self.delta, positive(self.delta), "positive"),
            ("reward.clip", self.clip, positive(self.clip), "positive"),
            ("reward.inverse-distance.c1", c1, positive(c1), "positive"),
            ("reward.inverse-distance.c2", c2, positive(c2), "positive"),
            ("reward.inverse-distance.lower-bound", lower_bound, lower_bound.is_finite(), "finite"),
        ];
        checks.into_iter().find(|check| !check.2).map(|(name, value, _, allowed)| (name, value, allowed))
    }
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
    pub fn start_range(&self, algorithm: InnerAlgorithm) -> [f64; 2] {
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

impl Default for RewardConfig {
    fn default() -> Self {
        Self { delta: 3e-3, clip: 2.0, of: Judge::Loss, inverse_distance: None }
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

    fn paper(c1: f64, c2: f64, lower_bound: f64) -> RewardConfig {
        let inverse_distance = Some(InverseDistance { c1, c2, lower_bound });
        RewardConfig { delta: 0.01, clip: 50.0, inverse_distance, ..RewardConfig::default() }
    }

    #[test]
    fn the_default_reward_is_the_logarithm_of_the_improvement() {
        let reward = RewardConfig { delta: 0.5, clip: 1.0, ..RewardConfig::default() };
        assert!((f64::from(reward.reward(false, 1.5, 0.5)) - 2f64.ln()).abs() < 1e-6);
        assert_eq!(reward.reward(true, 1.5, 0.5).to_bits(), reward.reward(false, 1.5, 0.5).to_bits());
        assert!((reward.reward(false, 1e6, 0.5) - 1.0).abs() < 1e-9, "cut");
        assert!((reward.reward(false, 1.0, f64::NAN) + 1.0).abs() < 1e-9, "as bad as it gets");
        assert!(reward.reward(false, f64::NAN, f64::NAN).abs() < 1e-9);
    }

    #[test]
    fn the_reward_of_the_paper_is_the_inverse_distance_to_the_lower_bound() {
        // By hand: c1 = 2, c2 = 3, f_lb = ½. Halving from f = 4.5 to 2.5: 2 / 2. Accepting x_t with f = 4.5: 3 / 4, wherever it leads.
        let reward = paper(2.0, 3.0, 0.5);
        assert!((reward.reward(false, 4.5, 2.5) - 1.0).abs() < 1e-6);
        assert!((reward.reward(true, 4.5, 2.5) - 0.75).abs() < 1e-6);
        assert!((reward.reward(true, 4.5, 9.5) - 0.75).abs() < 1e-6);
        // On or below the bound the distance is δ, and the reward is cut: 2 / 0.01 is 200.
        assert!((reward.reward(false, 4.5, 0.5) - 50.0).abs() < 1e-6);
        assert!((reward.reward(false, 4.5, -7.0) - 50.0).abs() < 1e-6);
        for lost in [f64::NAN, f64::INFINITY] {
            assert!(reward.reward(false, 1.0, lost).abs() < 1e-9, "nothing is earned infinitely far away");
        }
    }

    #[test]
    fn the_text_of_a_recipe_without_the_reward_of_the_paper_does_not_mention_it() {
        let text = toml::to_string(&RewardConfig::default()).unwrap();
        assert_eq!(text, "delta = 0.003\nclip = 2.0\n");
        let reward: RewardConfig =
            toml::from_str("clip = 9.0\nof = 'validation-error'\n[inverse-distance]\nc2 = 1.0").unwrap();
        assert_eq!(reward.inverse_distance, Some(InverseDistance { c2: 1.0, ..InverseDistance::default() }));
        assert_eq!(reward.of, Judge::ValidationError);
        assert_eq!(toml::from_str::<RewardConfig>(&toml::to_string(&reward).unwrap()).unwrap(), reward);
    }

    #[test]
    fn every_edge_of_the_reward_tables_is_checked() {
        let with = |reward| MetaConfig { reward, ..MetaConfig::default() };
        let bad = [
            RewardConfig { delta: 0.0, ..Default::default() },
            RewardConfig { clip: f64::NAN, ..Default::default() },
            paper(0.0, 1.0, 0.0),
            paper(1.0, -1.0, 0.0),
            paper(1.0, 1.0, f64::INFINITY),
        ];
        assert!(bad.into_iter().all(|reward| with(reward).invalid_field().is_some()));
        assert!(with(paper(1.0, 1.0, -3.0)).invalid_field().is_none());
    }
}
