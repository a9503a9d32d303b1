//! Hindsight: Q-values that know at which level of the learning rate a task ends best.
//!
//! A single move changes the final loss of a run by less than values that are learned from returns are wrong. What a
//! task ends at from rates that are held level is known for certain, once it has been tried. So a pool of tasks is
//! scored once, and every state that the agent comes to on them is valued by how far each move would leave its learning
//! rate from the best one:
//!
//! ```text
//! c_i       ln(final loss + 0.01) from the i-th of eleven learning rates held level, under the cooldown in use, without a guard
//! ln l*     vertex of the parabola through c at the best rate and its two neighbours
//! Q(s, a) = -w s (d + min(d, 1)) / 2,   d = |ln(l f_a / l*)|: l the level in state s, f_a the factor of the move
//! w         what half a decade up and down costs on average, in nats, as a share of 0.5, in [0.3, 1]
//! s         2 q below the best level, 2 (1 - q) above it: the agent stays at the quantile q of what its features leave open
//! ```

use crate::limits::{OutOfRange, within};
use serde::{Deserialize, Serialize};

/// Configuration of learning in hindsight: the table `[training.hindsight]` of a recipe. Without that table the agent
/// learns from returns. With it, only the learning rate can be what the controller moves, and there is no line search.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `tasks` | 600 | number of tasks in the pool; each is trained from eleven learning rates before the first round | [1, 100,000] |
/// | `quantile` | 0.5 | where to stay in what the features leave open of the best level; above one half a level that is too low counts more than one that is too high | [0.1, 0.9] |
/// | `quantile_once` | 0.5 | the same on tasks that see each example three times at most | [0.1, 0.9] |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the table has a row for each field")]
pub struct HindsightConfig {
    pub tasks: u32,
    pub quantile: f64,
    pub quantile_once: f64,
}

impl Default for HindsightConfig {
    fn default() -> Self {
        Self { tasks: 600, quantile: 0.5, quantile_once: 0.5 }
    }
}

impl HindsightConfig {
    /// Checks every field.
    pub(super) fn check(&self) -> Result<(), OutOfRange> {
        within("tasks", self.tasks.into(), (1..=100_000).contains(&self.tasks), "in [1, 100000]")?;
        let quantiles = [("quantile", self.quantile), ("quantile_once", self.quantile_once)];
        quantiles.into_iter().try_for_each(|(key, q)| within(key, q, (0.1..=0.9).contains(&q), "in [0.1, 0.9]"))
    }

    /// The quantile for a task that sees each example so often.
    pub(super) fn quantile(&self, exposures: f64) -> f64 {
        if exposures <= ONCE { self.quantile_once } else { self.quantile }
    }
}

/// How often an example is seen at most where that counts as once.
const ONCE: f64 = 3.0;
/// Number of learning rates that a task of the pool is tried with: two in each decade.
pub(super) const N_LEVELS: usize = 11;
/// Most, in nats, that a neighbour of the best rate counts as worse: beyond it there is nothing but a wreck.
const WRECKED: f64 = 1.0;
/// Bounds of what half a decade costs, in nats, in the weight of a task.
const STAKES: [f64; 2] = [0.15, 0.5];

/// What hindsight knows of a task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BestLevel {
    /// Logarithm of the best level.
    ln_level: f64,
    weight: f64,
    /// Which share of what a level costs counts below the best one; the rest counts above it.
    quantile: f64,
}

impl BestLevel {
    /// The best level by what a task ends at, as logarithms, from each of the rates between `low` and `high`, which lie
    /// evenly in logarithms. At least one. `quantile` is that of the configuration.
    pub fn of([low, high]: [f64; 2], log_losses: &[f64], quantile: f64) -> Self {
        let last = log_losses.len().saturating_sub(1);
        let spacing = (high / low).ln() / last.max(1) as f64;
        let best = (0..=last).min_by(|&a, &b| log_losses[a].total_cmp(&log_losses[b])).unwrap_or(0);
        let above = |i: usize| (log_losses[i] - log_losses[best]).min(WRECKED);
        let [left, right] = [above(best.saturating_sub(1)), above((best + 1).min(last))];
        // At the end of the range there is no parabola.
        let has_vertex = 0 < best && best < last && left + right > 0.0;
        let shift = if has_vertex { 0.5 * (left - right) / (left + right) } else { 0.0 };
        let weight = (0.5 * (left + right)).clamp(STAKES[0], STAKES[1]) / STAKES[1];
        Self { ln_level: low.ln() + spacing * (best as f64 + shift), weight, quantile }
    }

    /// Value of having come to this level: 0 at the best one, below it elsewhere.
    pub fn value(&self, level: f64) -> f32 {
        let beyond = level.ln() - self.ln_level;
        let side = 2.0 * if beyond < 0.0 { self.quantile } else { 1.0 - self.quantile };
        let far = beyond.abs();
        (-0.5 * self.weight * side * (far + far.min(1.0))) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_level_of_a_parabola_is_its_vertex_and_weighs_what_half_a_decade_costs() {
        let range = [1e-4, 10.0];
        for vertex in [3e-3, 1e-2, 0.017, 0.3] {
            for bend in [0.01, 0.1, 0.5] {
                let decades = |i: usize| -4.0 + 0.5 * i as f64 - f64::log10(vertex);
                let losses: Vec<f64> = (0..N_LEVELS).map(|i| -2.0 + bend * decades(i).powi(2)).collect();
                let best = BestLevel::of(range, &losses, 0.5);
                assert!((best.ln_level - f64::ln(vertex)).abs() < 1e-9, "{vertex}: {best:?}");
                assert!((0.3..=1.0).contains(&best.weight));
                assert!(best.value(vertex).abs() < 1e-6);
                assert!((best.value(vertex * 2.0) + (best.weight * 2f64.ln()) as f32).abs() < 1e-6);
                let bold = BestLevel::of(range, &losses, 0.7);
                let [low, high] = [bold.value(vertex / 3.0), bold.value(vertex * 3.0)];
                assert!((low / high - 7.0 / 3.0).abs() < 1e-5, "a level that is too low counts more: {low}, {high}");
                assert!(best.value(vertex * 100.0) < best.value(vertex * 80.0), "far away a move must still matter");
            }
        }
    }

    #[test]
    fn a_wreck_beside_the_best_rate_moves_the_level_away_from_it_and_the_ends_of_the_range_stand() {
        let range = [1e-4, 10.0];
        let mut losses = vec![0.0; N_LEVELS];
        (losses[5], losses[6], losses[7]) = (-0.8, -1.0, 1e30);
        let best = BestLevel::of(range, &losses, 0.5);
        // A third of half a decade below the rate of 0.1.
        assert!((best.ln_level - (0.1f64.ln() - 10f64.ln() / 6.0)).abs() < 1e-9, "{best:?}");
        let falling: Vec<f64> = (0..N_LEVELS).map(|i| -(i as f64)).collect();
        assert!((BestLevel::of(range, &falling, 0.5).ln_level - 10f64.ln()).abs() < 1e-9);
        assert!(BestLevel::of(range, &[0.0; N_LEVELS], 0.5).ln_level.is_finite());
        assert!(BestLevel::of(range, &[f64::NAN; N_LEVELS], 0.5).ln_level.is_finite());
    }
}
