//! What the samplers that learn have in common: values to choose from, rewards, small nets, and the policy gradient.

mod levels;
mod policy;
mod reinforce;
mod reward;
mod tape;

pub(super) use levels::Levels;
pub(super) use policy::{Policy, PolicyKind};
pub(super) use reinforce::{Baseline, Reinforce, ReinforceConfig};
pub(super) use reward::{Reward, costs, one_objective, ranks, rewards};
pub(super) use tape::{Adam, Layout, Linear, Map, Tape, Var, softmax};
