//! Errors of studies.

use super::space::SpaceError;
use super::spec::SpecError;
use super::storage::StorageError;
use super::trial::TrialState;
use crate::words::{counted, meant};

/// Why a study cannot be made, or cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TunerError {
    /// The space, or a point of it, is wrong.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// The sampler or the pruner cannot be made.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A setting of the study is out of its range.
    #[error("`{key}` is {value}, but must be {allowed}")]
    OutOfRange {
        /// Name of the setting.
        key: &'static str,
        /// Value that was found.
        value: String,
        /// Values that are allowed.
        allowed: String,
    },
    /// The study was made with other settings.
    #[error(
        "the study {study} was made with {key} = {stored}, not {given}; continue it with those, or choose another name"
    )]
    OtherStudy {
        /// Name of the study.
        study: String,
        /// Setting that differs.
        key: &'static str,
        /// Value that the study was made with.
        stored: String,
        /// Value that is asked for now.
        given: String,
    },
    /// The study was made with another range, scale, type or condition of a parameter.
    #[error("the study {study} was made with {stored}, not {given}; continue it with that, or choose another name")]
    OtherParameter {
        /// Name of the study.
        study: String,
        /// The parameter that the study was made with, as a space file has it.
        stored: String,
        /// The parameter of now, in the same form.
        given: String,
    },
    /// There is no study of that name.
    #[error("there is no study {name}{}; there are: {known}", meant(name, known.split(", ")))]
    NoStudy {
        /// Name that was asked for.
        name: String,
        /// Names of the studies that are there.
        known: String,
    },
    /// The study was not made by qgd, which notes space and settings in its studies.
    #[error("the study {name} was not made by qgd and has no space yet: give its space file")]
    NoSettings {
        /// Name of the study.
        name: String,
    },
    /// The notes about the study cannot be read.
    #[error("the settings of study {name} cannot be read: {message}")]
    DamagedSettings {
        /// Name of the study.
        name: String,
        /// Reason.
        message: String,
    },
    /// There is no trial of that number.
    #[error("there is no trial {number}; the study has {}", counted(*n_trials, "trial"))]
    NoTrial {
        /// Number of the trial.
        number: usize,
        /// Number of trials.
        n_trials: usize,
    },
    /// The trial has ended already.
    #[error("trial {number} is not running any more (it is {state}), so it takes no more news")]
    NotRunning {
        /// Number of the trial.
        number: usize,
        /// State of the trial.
        state: TrialState,
    },
    /// The trial was given up here, and somebody else has begun it again.
    #[error("trial {number} was given up, and is somebody else's now, so it takes no news from here")]
    NotOurs {
        /// Number of the trial.
        number: usize,
    },
    /// The next trial depends on one that is still running.
    #[error(
        "trial {number} may be drawn when trial {awaited} is finished: the lag of the study is {lag}, so at most that many run at a time"
    )]
    Waits {
        /// Number of the next trial.
        number: usize,
        /// Number of the trial that it waits for.
        awaited: usize,
        /// Lag of the study.
        lag: usize,
    },
    /// What comes next waits for a trial whose worker does not answer.
    #[error(
        "trial {awaited} has to end first, and its worker has not answered for {silent_s:.0} s: it may have been killed; after \
         {given_up_s} s of silence the trial is given up, and tried again"
    )]
    Silent {
        /// Number of the trial that is waited for.
        awaited: usize,
        /// Seconds since its worker was heard of.
        silent_s: f64,
        /// Seconds of silence after which it is given up.
        given_up_s: f64,
    },
    /// The sampler has no further point to propose.
    #[error("the sampler has nothing left to try after {}", counted(*n_trials, "trial"))]
    Exhausted {
        /// Number of trials so far.
        n_trials: usize,
    },
    /// Too many trials in a row have failed.
    #[error("{}; the last because: {reason}", in_a_row(*n))]
    KeepsFailing {
        /// Number of failures in a row.
        n: usize,
        /// Reason of the last one.
        reason: String,
    },
    /// The number of values is not that of the objectives.
    #[error("trial {number} was told {}, but the study has {}", counted(*found, "value"), counted(*expected, "objective"))]
    WrongNumberOfValues {
        /// Number of the trial.
        number: usize,
        /// Number of values.
        found: usize,
        /// Number of objectives.
        expected: usize,
    },
    /// A study with several objectives was asked whether to prune.
    #[error("a study with {} cannot prune: intermediate values belong to one objective", counted(*n_objectives, "objective"))]
    PruningManyObjectives {
        /// Number of objectives.
        n_objectives: usize,
    },
    /// The trial has no such parameter.
    #[error("trial {number} has no {wanted} named `{name}`; it has {known}")]
    NoParameter {
        /// Number of the trial.
        number: usize,
        /// Kind of value that was asked for.
        wanted: &'static str,
        /// Name that was asked for.
        name: String,
        /// Active parameters of the trial.
        known: String,
    },
}

/// That `n` trials have failed, one after the other.
fn in_a_row(n: usize) -> String {
    match n {
        1 => "a trial has failed, and one is enough to give up".into(),
        n => format!("{n} trials in a row have failed, so the next would fail too"),
    }
}
