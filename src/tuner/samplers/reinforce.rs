//! REINFORCE, the policy gradient: a small net gives each value of each parameter a probability, and learns to raise
//! those of values with high rewards.
//!
//! Source: Mohamed, Elmustafa, Elrashid, Rufai and Elhag, Hyperparameters Optimization with Deep Reinforcement Learning
//! (AMMI), with their published code. Earlier versions named this sampler `mohamed`; the name is still accepted.
//!
//! ```text
//! π(a | s) = Π over parameters i of softmax(head_i(net(s)))[a_i],   reward r = -loss
//! ∇ J ≈ 1/N Σ over N trajectories Σ over t  ∇ ln π(a_t | s_t) Σ over t' ≥ t of γ^(t'-t) r_t'   (equation 4)
//! ```
//!
//! Defaults are those of the published code. Deviations from it:
//! - Its trajectories have one step (T_max = 1), so that γ has no effect and every state is a random configuration.
//!   With a larger `horizon` a state is the action before, as the paper says.
//! - Its score is the gradient of π itself, without the logarithm; here it is that of equation 4.
//! - Its recurrent net has one output layer for all parameters. Here each has its own, since they differ in their
//!   values.
//! - A trial that failed gets the reward of the worst one so far. Losses far worse than the good ones are brought
//!   nearer, so that one run that diverged is not all that counts.
//!
//! | Name | Default | Purpose | Range |
//! |---|---|---|---|
//! | `policy` | mlp | `mlp` (64, 16, one head a parameter) or `rnn` (hidden 16, linear 8) | |
//! | `n` | 10 | number of values of a parameter that has more, evenly on its scale | 2 to 1000 |
//! | `batch` | 16 | number of trajectories of an update | 1 to 10000 |
//! | `horizon` | 1 | number of trials of a trajectory, T_max | 1 to 1000 |
//! | `gamma` | 0.99 | discount within a trajectory | (0, 1] |
//! | `lr` | 1e-3 | learning rate of Adam | (0, 1] |
//! | `reward` | value | `value`: minus the objective; `rank`: the share of trials so far that are worse | |
//! | `baseline` | none | subtracted from the returns: `none`, `mean` of the batch, `average` of those before | |

use super::learning::{Baseline, Levels, PolicyGradient, PolicyGradientConfig, PolicyKind, Reward};
use super::{Sampler, Setting, Spec, SpecError};

/// Label of the random numbers. It is the former name of the sampler: with another label every study would try other
/// trials.
const STREAM: &str = "mohamed";

pub(super) fn build(spec: &mut Spec, setting: &Setting<'_>) -> Result<Box<dyn Sampler>, SpecError> {
    let share = |v: &f64| *v > 0.0 && *v <= 1.0;
    let config = PolicyGradientConfig {
        policy: spec.option("policy", PolicyKind::Mlp, "mlp or rnn", |_| true)?,
        bound: None,
        levels: spec.option("n", 10, "from 2 to 1000", |n| (2..=1000).contains(n))?,
        batch: spec.option("batch", 16, "from 1 to 10000", |n| (1..=10_000).contains(n))?,
        horizon: spec.option("horizon", 1, "from 1 to 1000", |n| (1..=1000).contains(n))?,
        gamma: spec.option("gamma", 0.99, "in (0, 1]", share)?,
        lr: spec.option("lr", 1e-3, "in (0, 1]", share)?,
        reward: spec.option("reward", Reward::Value, Reward::ALLOWED, |_| true)?,
        power: 1,
        baseline: spec.option("baseline", Baseline::None, "none, mean or average", |_| true)?,
    };
    let levels = Levels::new(setting.space, config.levels);
    Ok(Box::new(PolicyGradient::new(STREAM, config, setting.one_objective("reinforce")?, levels)))
}
