//! What can go wrong in a study.

use super::space::SpaceError;
use super::spec::SpecError;
use super::storage::StorageError;
use super::trial::TrialState;

/// What can go wrong in a study.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TunerError {
    /// The space, or a point of it.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// The sampler or the pruner.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A setting of the study is out of its range.
    #[error("`{key}` is {value}, but must be {allowed}")]
    OutOfRange {
        /// Which one.
        key: &'static str,
        /// What was found.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// The study was made with other settings.
    #[error(
        "the study {study} was made with {key} = {stored}, not {given}; continue it with those, or choose another name"
    )]
    OtherStudy {
        /// Its name.
        study: String,
        /// What differs.
        key: &'static str,
        /// As it was made.
        stored: String,
        /// As it is asked for now.
        given: String,
    },
    /// There is no study of that name.
    #[error("there is no study {name}; there are: {known}")]
    NoStudy {
        /// The name.
        name: String,
        /// Those that are there.
        known: String,
    },
    /// A study lacks what qgd notes about its own.
    #[error("the study {name} was not made by qgd and has no space yet: give its space file")]
    NoSettings {
        /// Its name.
        name: String,
    },
    /// What is noted about a study cannot be read.
    #[error("the settings of study {name} cannot be read: {message}")]
    DamagedSettings {
        /// Its name.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// A trial number nobody has handed out.
    #[error("there is no trial {number}; the study has {n_trials}")]
    NoTrial {
        /// The number.
        number: usize,
        /// How many there are.
        n_trials: usize,
    },
    /// A trial has been told, or was given up.
    #[error("trial {number} is not running any more (it is {state:?}), so it takes no more news")]
    NotRunning {
        /// The number.
        number: usize,
        /// Where it stands.
        state: TrialState,
    },
    /// The next trial depends on one that is still running.
    #[error(
        "trial {number} may be drawn when trial {awaited} is finished: the lag of the study is {lag}, so at most that many run at a time"
    )]
    Waits {
        /// Number of the next trial.
        number: usize,
        /// The trial it waits for.
        awaited: usize,
        /// Lag of the study.
        lag: usize,
    },
    /// The sampler has nothing left to try.
    #[error("the sampler has nothing left to try after {n_trials} trials")]
    Exhausted {
        /// Trials so far.
        n_trials: usize,
    },
    /// Trial after trial fails.
    #[error("{n} trials in a row have failed, so the next would fail too; the last because: {reason}")]
    KeepsFailing {
        /// How many.
        n: usize,
        /// Of the last one.
        reason: String,
    },
    /// A trial was told too few or too many values.
    #[error("trial {number} was told {found} values, but the study has {expected} objectives")]
    WrongNumberOfValues {
        /// The trial.
        number: usize,
        /// Values told.
        found: usize,
        /// Objectives.
        expected: usize,
    },
    /// Pruning needs one objective.
    #[error("a study with {n_objectives} objectives cannot prune: intermediate values belong to one objective")]
    PruningManyObjectives {
        /// How many there are.
        n_objectives: usize,
    },
    /// An objective asked for what a trial does not have.
    #[error("trial {number} has no {wanted} named `{name}`; it has {known}")]
    NoParameter {
        /// The trial.
        number: usize,
        /// What kind of value.
        wanted: &'static str,
        /// The name.
        name: String,
        /// Its active parameters.
        known: String,
    },
}
