//! The agent: a deep Q-network that acts, remembers and learns.

pub mod exploration;

pub use exploration::{
    ActionPrior, Choice, DecayShape, DynamicEpsilon, EpsilonGreedy, EpsilonSchedule, Exploration, ExplorationError,
    Explorer, VarianceEffect,
};
