//! Meta-training: a controller learns on thousands of small training problems that it will never see again.
//!
//! ```text
//! loop:  draw tasks  ->  rollout: train each, a Q-network with exploration moving its lr  ->  replay
//!        learner: Double DQN updates  ->  every few rounds: greedy policy on validation tasks, keep the best network
//! ```
//!
//! The tasks run in plain Rust, one net on each thread with its whole state in cache; libtorch is not needed. With
//! libtorch, the same tasks can run in batches on a GPU: see [`Engine`].

mod architecture;
#[cfg(feature = "torch")]
mod batched;
mod engine;
mod exp;
mod hindsight;
mod layers;
mod line_search;
mod mlp;
mod optimizer;
mod orthogonal;
mod polish;
mod portrait;
mod recipe;
mod rollout;
mod tables;
mod tanh;
mod tasks;
mod text_nets;
mod train;
mod validation;

pub use engine::{Engine, EngineError};
pub use hindsight::HindsightConfig;
pub use line_search::line_search_rollout;
pub use mlp::{InnerActivation, Target};
pub use optimizer::{InnerAlgorithm, InnerOptimizer};
pub use polish::PolishConfig;
pub use portrait::{Phase, Portrait, PortraitRow};
pub use recipe::{Rehearsal, TaskConfig, TrainingConfig, TrainingRecipe};
pub use rollout::{Run, rollout};
pub use tables::{TableError, Tables};
pub use tasks::{Family, NetProblem, Problem, ProblemError, Task};
pub use train::{MetaTraining, MetaTrainingError, RoundReport, Stage, Workload};
pub use validation::{Score, ValidationSet};

use crate::limits::{OutOfRange, within};

/// Checks the number of rounds and of episodes in a round: of Q-learning, and of the polish.
fn check_rounds(rounds: u32, episodes_per_round: u32) -> Result<(), OutOfRange> {
    for (key, n) in [("rounds", rounds), ("episodes_per_round", episodes_per_round)] {
        within(key, n.into(), (1..=1_000_000).contains(&n), "in [1, 1000000]")?;
    }
    Ok(())
}
