//! Policy gradient: a small net gives each value of each parameter a probability, and REINFORCE raises those that went well.
//!
//! Source: Mohamed, Elmustafa, Elrashid, Rufai and Elhag, Hyperparameters Optimization with Deep Reinforcement Learning (AMMI), with their
//! published code.
//!
//! ```text
//! π(a | s) = Π over parameters i of softmax(head_i(net(s)))[a_i],   reward r = -loss
//! ∇ J ≈ 1/N Σ over N trajectories Σ over t  ∇ ln π(a_t | s_t) Σ over t' ≥ t of γ^(t'-t) r_t'          (their equation 4)
//! ```
//!
//! Defaults are those of the published code, the deviations from it these:
//! - There, trajectories have one step (T_max = 1), so that γ does nothing and every state is a random configuration: `horizon` is for more,
//!   and then a state is the action before, as the paper says.
//! - The score there is the gradient of π itself, no logarithm is taken; here it is equation 4.
//! - The recurrent net there has one output layer for all parameters. Here each has its own, since they differ in their values.
//! - A trial that failed earns what the worst one so far did.
//!
//! | Name | Default | Purpose | Range |
//! |---|---|---|---|
//! | `policy` | mlp | `mlp` (64, 16, one head a parameter) or `rnn` (hidden 16, linear 8) | |
//! | `n` | 10 | values of a parameter that has more, evenly on its scale | 2 to 1000 |
//! | `batch` | 16 | trajectories an update | 1 to 10000 |
//! | `horizon` | 1 | trials a trajectory, T_max | 1 to 1000 |
//! | `gamma` | 0.99 | discount within a trajectory | (0, 1] |
//! | `lr` | 1e-3 | learning rate of Adam | (0, 1] |
//! | `reward` | value | `value`: minus the objective; `rank`: the share of trials so far that are worse | |
//! | `baseline` | none | taken off the returns: `none`, `mean` of the batch, `average` of those before | |

use super::learning::{Baseline, Levels, PolicyKind, Reinforce, ReinforceConfig, Reward};
use super::{Sampler, Setting, Spec, SpecError};

pub(super) fn build(spec: &mut Spec, setting: &Setting<'_>) -> Result<Box<dyn Sampler>, SpecError> {
    let share = |v: &f64| *v > 0.0 && *v <= 1.0;
    let config = ReinforceConfig {
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
    Ok(Box::new(Reinforce::new("mohamed", config, setting.one_objective("mohamed")?, levels)))
}
