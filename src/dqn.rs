//! The agent: a deep Q-network that acts, remembers and learns.
//!
//! ```text
//! Q(s, a) = V(s) + A(s, a) - mean over a of A(s, a)                          dueling heads (Wang et al. 2016, arXiv 1511.06581)
//! y = r_t + γ r_{t+1} + ... + γ^{n-1} r_{t+n-1} + γ^n Q'(s_{t+n}, a*)         n-step target from the target network Q'
//! a* = argmax over a of Q(s_{t+n}, a)                                        Double DQN (van Hasselt et al. 2016, arXiv 1509.06461)
//! loss = mean Huber(Q(s_t, a_t) - y), gradient norm clipped, Adam; θ' ← θ' + τ (θ - θ') after every update
//! ```
//!
//! Hu, Zhang and Shi could not make their network converge; DESIGN §5 says why, and each cure has its regression test here:
//! one normaliser for acting and learning (features are mapped to [-1, 1] once, before they are stored), targets recomputed at
//! every update from a target network, *terminated* kept apart from *truncated*, drift-free exploration.

#[cfg(test)]
mod cures;
pub mod exploration;
pub mod learner;
pub mod network;
pub mod replay;

pub use exploration::{
    ActionPrior, Choice, DecayShape, DynamicEpsilon, EpsilonGreedy, EpsilonSchedule, Exploration, ExplorationError,
    Explorer, VarianceEffect,
};
pub use learner::{AgentConfig, Bootstrap, Learner, UpdateReport};
pub use network::{QNetwork, Scratch};
pub use replay::{Episode, Replay, ReplayConfig};
