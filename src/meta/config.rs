//! The `[meta]` table of a recipe.

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
    /// What a decision earns.
    pub reward: RewardConfig,
    /// What the tasks are.
    pub tasks: TaskConfig,
}

/// The reward of a decision: `clip(ln(f_t + δ) - ln(f_{t+1} + δ))`, f on a fixed evaluation batch of the task.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `delta` | 3e-3 | below it improvement no longer counts | (0, ∞) |
/// | `clip` | 2 | bound on the size of one reward | (0, ∞) |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RewardConfig {
    /// See the table.
    pub delta: f64,
    /// See the table.
    pub clip: f64,
}

/// The tasks that are drawn.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `horizon` | [200, 1600] | inner steps, log-uniform | 1 ≤ low ≤ high |
/// | `known-budget` | 0.7 | share of tasks whose controller is told the horizon | [0, 1] |
/// | `separable` | 0.6 | share of classification tasks without label noise | [0, 1] |
/// | `families` | [0.1, 0.1, 0.6, 0.2] | weights of quadratics, logistic regression, MLP classification, MLP regression | ≥ 0, not all 0 |
/// | `optimizers` | [0.25, 0.25, 0.4, 0.1] | weights of SGD, momentum, Adam, AdamW | ≥ 0, not all 0 |
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
    pub families: [f64; 4],
    /// See the table.
    pub optimizers: [f64; 4],
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
            reward: RewardConfig::default(),
            tasks: TaskConfig::default(),
        }
    }
}

impl Default for RewardConfig {
    fn default() -> Self {
        Self { delta: 3e-3, clip: 2.0 }
    }
}

impl Default for TaskConfig {
    fn default() -> Self {
        Self {
            horizon: [200, 1600],
            known_budget: 0.7,
            separable: 0.6,
            families: [0.1, 0.1, 0.6, 0.2],
            optimizers: [0.25, 0.25, 0.4, 0.1],
        }
    }
}

impl MetaConfig {
    /// The first field outside its range, as (name, value, what was allowed).
    pub fn invalid_field(&self) -> Option<(&'static str, f64, &'static str)> {
        let share = |v: f64| (0.0..=1.0).contains(&v);
        let positive = |v: f64| v > 0.0 && v.is_finite();
        let weights = |w: &[f64; 4]| w.iter().all(|&v| v >= 0.0 && v.is_finite()) && w.iter().sum::<f64>() > 0.0;
        let ([shortest, longest], tasks) = (self.tasks.horizon, &self.tasks);
        let checks = [
            ("rounds", f64::from(self.rounds), self.rounds >= 1, "at least 1"),
            ("episodes-per-round", f64::from(self.episodes_per_round), self.episodes_per_round >= 1, "at least 1"),
            ("validate-every", f64::from(self.validate_every), self.validate_every >= 1, "at least 1"),
            ("validation-tasks", f64::from(self.validation_tasks), self.validation_tasks >= 1, "at least 1"),
            ("average", f64::from(self.average), self.average > 0.0 && self.average <= 1.0, "in (0, 1]"),
            ("reward.delta", self.reward.delta, positive(self.reward.delta), "positive"),
            ("reward.clip", self.reward.clip, positive(self.reward.clip), "positive"),
            (
                "tasks.horizon",
                shortest as f64,
                1 <= shortest && shortest <= longest,
                "[low, high] with 1 <= low <= high",
            ),
            ("tasks.known-budget", tasks.known_budget, share(tasks.known_budget), "in [0, 1]"),
            ("tasks.separable", tasks.separable, share(tasks.separable), "in [0, 1]"),
            ("tasks.families", tasks.families[0], weights(&tasks.families), "four weights >= 0, not all 0"),
            ("tasks.optimizers", tasks.optimizers[0], weights(&tasks.optimizers), "four weights >= 0, not all 0"),
        ];
        checks.into_iter().find(|check| !check.2).map(|(name, value, _, allowed)| (name, value, allowed))
    }
}
