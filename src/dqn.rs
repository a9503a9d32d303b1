//! The agent: a deep Q-network that acts, remembers and learns. It knows numbers only: features, indices of actions,
//! rewards.
//!
//! ```text
//! Q(s, a) = V(s) + A(s, a) - mean over a of A(s, a)      dueling heads (Wang et al. 2016, arXiv 1511.06581)
//! y = r_t + γ r_{t+1} + ... + γ^{n-1} r_{t+n-1} + γ^n min over k of Q'_k(s_{t+n}, a*)      n-step target for all k
//! a* = argmax over a of sum over k of Q_k(s_{t+n}, a)    Double DQN (van Hasselt et al. 2016, arXiv 1509.06461)
//! loss_k = mean Huber(Q_k(s_t, a_t) - y)                 gradient norm clipped, Adam
//! θ'_k ← θ'_k + τ (θ_k - θ'_k)                           after every update
//! ```
//!
//! k counts the networks of the ensemble; Q'_k, with the weights θ'_k, is the target network of Q_k. Instead of the minimum
//! over k a recipe may ask for the mean ([`Bootstrap`]).
//!
//! Hu, Zhang and Shi could not make their network converge. Their published code shows why, and each cure has its
//! regression test, here or in `tests/dqn_cures.rs`: one normalization for acting and learning (features are mapped to
//! [-1, 1] once, before they are stored), targets that are recomputed at every update from a target network,
//! *terminated* kept apart from *truncated*, exploration without a drift.

mod exploration;
pub(crate) mod formulas;
mod learner;
pub(crate) mod network;
mod replay;
mod reward;

pub use exploration::{
    ActionPrior, Choice, DecayShape, DynamicEpsilon, EpsilonGreedy, EpsilonSchedule, Exploration, ExplorationError,
    Explorer, VarianceEffect,
};
pub(crate) use formulas::argmax;
pub use learner::{AgentConfig, Bootstrap, Learner, UpdateReport};
pub use network::{QNetwork, Scratch};
pub use replay::{Batch, Episode, Replay, ReplayConfig};
pub use reward::{InverseDistance, Judge, RewardConfig};
