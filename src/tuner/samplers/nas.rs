//! Neural architecture search: a recurrent net chooses a configuration value by value, each time with the choices
//! before as input, and learns by the policy gradient. It is made for layers, widths, filters and activations, where
//! one choice decides what the next ones mean.
//!
//! Source: Zoph and Le 2017, Neural Architecture Search with Reinforcement Learning, arXiv 1611.01578: two LSTM layers
//! of 35 units, weights from U(±0.08), Adam at 6e-4, a batch of 8, rewards cubed, minus the exponential average of
//! those before.
//!
//! Deviations: the reward is the share of trials so far that are worse, where theirs is an accuracy, since an objective
//! here may be anything (`reward=value` with `maximize` is theirs); the net is told which parameter is next, and leaves
//! out those that are not active; there is no tree of skip connections. Their learning rate is for 12,800
//! architectures: with a few hundred trials it is too low, and the default here is higher.
//!
//! | Name | Default | Purpose | Range |
//! |---|---|---|---|
//! | `width` | 35 | number of units of each LSTM layer | 1 to 1000 |
//! | `n` | 10 | number of values of a parameter that has more, evenly on its scale | 2 to 1000 |
//! | `batch` | 8 | number of trials of an update | 1 to 10000 |
//! | `lr` | 0.01 (theirs: 6e-4) | learning rate of Adam | (0, 1] |
//! | `reward` | rank | `rank`: the share of trials so far that are worse; `value`: minus the objective | |
//! | `baseline` | average | subtracted from the rewards: `average` of those before, `mean` of the batch, `none` | |

use super::learning::{Baseline, Levels, PolicyGradient, PolicyGradientConfig, PolicyKind, Reward};
use super::{Sampler, Setting, Spec, SpecError};

pub(super) fn build(spec: &mut Spec, setting: &Setting<'_>) -> Result<Box<dyn Sampler>, SpecError> {
    let width = spec.option("width", 35, "from 1 to 1000", |n| (1..=1000).contains(n))?;
    let config = PolicyGradientConfig {
        policy: PolicyKind::Lstm { width },
        bound: Some(0.08),
        levels: spec.option("n", 10, "from 2 to 1000", |n| (2..=1000).contains(n))?,
        batch: spec.option("batch", 8, "from 1 to 10000", |n| (1..=10_000).contains(n))?,
        horizon: 1,
        gamma: 1.0,
        lr: spec.option("lr", 0.01, "in (0, 1]", |v| *v > 0.0 && *v <= 1.0)?,
        reward: spec.option("reward", Reward::Rank, Reward::ALLOWED, |_| true)?,
        power: 3,
        baseline: spec.option("baseline", Baseline::Average, "none, mean or average", |_| true)?,
    };
    let levels = Levels::new(setting.space, config.levels);
    Ok(Box::new(PolicyGradient::new("nas", config, setting.one_objective("nas")?, levels)))
}
