//! What a round of meta-training did, and why one could not go on.

use crate::artifact::ArtifactError;
use crate::controller::PretrainedError;
use crate::dqn::ExplorationError;
use crate::driver::LineSearchError;
use crate::meta::engine::EngineError;
use ndarray::ShapeError;
use serde::Serialize;

/// Report on one round, for progress bars and logs.
#[derive(Debug, Clone, Serialize)]
pub struct RoundReport {
    /// Number of rounds that are finished.
    pub round: u32,
    /// Number of rounds in all.
    pub rounds: u32,
    /// Number of inner steps so far.
    pub inner_steps: u64,
    /// Stage that the round belongs to, with its figures.
    #[serde(flatten)]
    pub stage: Stage,
    /// Score of the validation in this round, where there was one: (mean log ratio, tuned ratio, worst ratio).
    pub validation: Option<(f64, f64, f64)>,
    /// Whether that score is the best so far.
    pub is_best: bool,
}

/// Stage of meta-training.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "stage", rename_all = "kebab-case")]
pub enum Stage {
    /// Q-learning: rollouts that explore, and updates of the Q-networks.
    Learning {
        /// Mean return of the round's episodes, exploration included, in nats of loss.
        mean_return: f64,
        /// Shares of the actions, in the order of the Q-network's outputs.
        action_shares: Vec<f64>,
        /// Mean loss of the updates.
        q_loss: f32,
        /// Mean |Q|. Where it grows without bound, the agent diverges.
        mean_abs_q: f32,
    },
    /// Polish: evolution strategies on what runs end at (see [`PolishConfig`](crate::meta::PolishConfig)).
    Polishing {
        /// Mean size of the difference between the two runs of a pair, in nats.
        mean_difference: f64,
    },
}

/// Error: meta-training cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetaTrainingError {
    /// The checkpoint cannot be read or written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The checkpoint was made by another recipe or seed.
    #[error("the checkpoint was made with {what} {found}, not {expected}; remove it or use another output")]
    OtherRun {
        /// "recipe" or "seed".
        what: &'static str,
        /// Value in the checkpoint.
        found: String,
        /// Value that was asked for.
        expected: String,
    },
    /// The checkpoint holds what no meta-training can have left.
    #[error(
        "the checkpoint is damaged: it holds networks, episodes or counts that no meta-training by this recipe can have \
         left; remove it or use another output"
    )]
    Damaged,
    /// The networks and the memory do not fit each other.
    #[error("the replay memory does not fit the network")]
    Shape(#[from] ShapeError),
    /// The recipe names measured tables that nobody has read.
    #[error(
        "the recipe '{recipe}' has tasks cut of tables ({tables}), but they are not read: put them into training.tasks.data"
    )]
    NoTables {
        /// Name of the recipe.
        recipe: String,
        /// Names of the tables.
        tables: String,
    },
    /// The engine cannot run the tasks.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A task has a start that no line search takes.
    #[error(transparent)]
    LineSearch(#[from] LineSearchError),
    /// The exploration cannot be used.
    #[error(transparent)]
    Exploration(#[from] ExplorationError),
    /// The Q-values grow without bound.
    #[error(
        "the agent diverged in round {round}: mean |Q| is {mean_abs_q}; lower training.agent.lr or raise training.agent.n_step"
    )]
    Diverged {
        /// Number of the round.
        round: u32,
        /// Mean size of the values.
        mean_abs_q: f32,
    },
    /// The result is no pretrained controller.
    #[error(transparent)]
    Pretrained(#[from] PretrainedError),
    /// The result was asked for before any validation.
    #[error("nothing is trained yet: round 0 of {rounds}")]
    Unfinished {
        /// Number of rounds of Q-learning in the recipe.
        rounds: u32,
    },
}
