//! The reward of a decision, from the losses before and after it.

use crate::limits::{OutOfRange, is_positive, within};
use serde::{Deserialize, Serialize};

/// Reward of a decision between the losses f_t and f_{t+1}.
///
/// ```text
/// by default             r = ln(f_t + δ) - ln(f_{t+1} + δ)
/// inverse_distance       r = c1 / max(f_{t+1} - f_lb, δ)    halve, grow    Hu, Zhang and Shi, equation 7 and Algorithm 3
///                        r = c2 / max(f_t - f_lb, δ)        accept: x̄ is x_t then
/// ```
///
/// Both are cut to [-clip, clip]. f is the loss on a fixed evaluation batch of the task, or a figure on examples that
/// are held out of the training: their loss, or their error (equation 9). The paper's reward is there for fidelity: it
/// is flat, always positive, and depends on the unit of the loss.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `delta` | 3e-3 | δ: below it improvement no longer counts | (0, ∞) |
/// | `clip` | 2 | bound on the size of one reward | (0, ∞) |
/// | `of` | loss | f | see [`Judge`] |
/// | `inverse_distance` | none | the paper's reward instead | see [`InverseDistance`] |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the table has a row for each field")]
pub struct RewardConfig {
    pub delta: f64,
    pub clip: f64,
    pub of: Judge,
    pub inverse_distance: Option<InverseDistance>,
}

/// Figure that the parameters of a task are judged by. In a recipe: `loss`, `validation-loss`, `validation-error` or
/// `validation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judge {
    /// The loss on the evaluation batch, a part of the training examples.
    #[default]
    Loss,
    /// The loss on examples held out of the training. It is smooth, but also falls where outputs only become less sure
    /// of themselves.
    ValidationLoss,
    /// The share of held-out examples that are classified wrongly, as the paper has it for λ; in regression the squared
    /// error on them.
    ValidationError,
    /// The geometric mean of the two. It is smooth, and outputs gain nothing by being less sure of what is wrong
    /// anyway.
    Validation,
}

/// The reward of Hu, Zhang and Shi. The paper names none of these numbers.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `c1` | 1 | factor of the reward for halving and growing | (0, ∞) |
/// | `c2` | 1.2 | factor of the reward for accepting; the published code paid a fifth more for it | (0, ∞) |
/// | `lower_bound` | 0 | f_lb, below every loss | finite |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the table has a row for each field")]
pub struct InverseDistance {
    pub c1: f64,
    pub c2: f64,
    pub lower_bound: f64,
}

impl Default for InverseDistance {
    fn default() -> Self {
        Self { c1: 1.0, c2: 1.2, lower_bound: 0.0 }
    }
}

impl Default for RewardConfig {
    fn default() -> Self {
        Self { delta: 3e-3, clip: 2.0, of: Judge::Loss, inverse_distance: None }
    }
}

impl RewardConfig {
    /// Reward of a decision, from the losses `before` and `after` it. `accepted` says whether it moved nothing.
    ///
    /// ```
    /// # use qgd::dqn::{InverseDistance, RewardConfig};
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

    /// Checks every field.
    ///
    /// # Errors
    /// When one is outside its range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let InverseDistance { c1, c2, lower_bound } = self.inverse_distance.clone().unwrap_or_default();
        let positive = |key, v| within(key, v, is_positive(v), "positive");
        positive("delta", self.delta)?;
        positive("clip", self.clip)?;
        positive("inverse_distance.c1", c1)?;
        positive("inverse_distance.c2", c2)?;
        within("inverse_distance.lower_bound", lower_bound, lower_bound.is_finite(), "finite")
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
        // By hand: c1 = 2, c2 = 3, f_lb = ½. Halving from f = 4.5 to 2.5: 2 / 2.
        // Accepting x_t with f = 4.5: 3 / 4, wherever it leads.
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
        assert_eq!(text, "delta = 0.003\nclip = 2.0\nof = \"loss\"\n");
        let reward: RewardConfig =
            toml::from_str("clip = 9.0\nof = 'validation-error'\n[inverse_distance]\nc2 = 1.0").unwrap();
        assert_eq!(reward.inverse_distance, Some(InverseDistance { c2: 1.0, ..InverseDistance::default() }));
        assert_eq!(reward.of, Judge::ValidationError);
        assert_eq!(toml::from_str::<RewardConfig>(&toml::to_string(&reward).unwrap()).unwrap(), reward);
    }

    #[test]
    fn every_edge_of_the_reward_tables_is_checked() {
        let bad = [
            RewardConfig { delta: 0.0, ..Default::default() },
            RewardConfig { clip: f64::NAN, ..Default::default() },
            paper(0.0, 1.0, 0.0),
            paper(1.0, -1.0, 0.0),
            paper(1.0, 1.0, f64::INFINITY),
        ];
        assert!(bad.into_iter().all(|reward| reward.check().is_err()));
        assert!(paper(1.0, 1.0, -3.0).check().is_ok());
    }
}
