//! Why a command failed, and its exit code.

use super::interrupt;
use qgd::artifact::ArtifactError;
use qgd::controller::{PretrainedError, RecipeError};
use qgd::meta::{EngineError, MetaTrainingError};
use qgd::tuner::TunerError;
use qgd::tuner::storage::StorageError;
use qgd::words;
use std::fmt;

/// A command that did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// The user's input cannot be used: exit code 2.
    BadInput(anyhow::Error),
    /// Anything else: exit code 1.
    Failed(anyhow::Error),
    /// A signal asked it to end: exit code 128 + signal.
    Interrupted(i32),
}

impl Failure {
    /// The failure for an error that the user's input caused; for `map_err`.
    pub fn bad_input(error: impl Into<anyhow::Error>) -> Self {
        Self::BadInput(error.into())
    }

    /// The failure for an error of any kind: its kind decides whether the user's input caused it.
    pub fn of(error: anyhow::Error) -> Self {
        if error.chain().filter_map(|cause| cause.downcast_ref()).any(ArtifactError::is_failed_write) {
            return Self::Failed(error);
        }
        let input = error.chain().any(|cause| {
            let other_run =
                matches!(cause.downcast_ref(), Some(MetaTrainingError::OtherRun { .. } | MetaTrainingError::Damaged));
            let wrong_engine = matches!(
                cause.downcast_ref(),
                Some(EngineError::LineSearch { .. } | EngineError::Texts { .. } | EngineError::Family { .. })
            );
            other_run
                || wrong_engine
                || cause.is::<RecipeError>()
                || cause.is::<PretrainedError>()
                || cause.is::<ArtifactError>()
        });
        if input { Self::BadInput(error) } else { Self::Failed(error) }
    }

    /// The failure for an error of the tuner: bad input if the study cannot be opened or is not valid, else a failure
    /// of the program.
    pub fn of_tuner(error: TunerError) -> Self {
        let broke = match &error {
            TunerError::KeepsFailing { .. } => true,
            TunerError::Storage(storage) => !matches!(
                storage,
                StorageError::Url { .. }
                    | StorageError::UrlPart { .. }
                    | StorageError::Open { .. }
                    | StorageError::Empty { .. }
                    | StorageError::ReadOnly { .. }
                    | StorageError::ForeignSchema { .. }
                    | StorageError::Foreign { .. }
            ),
            _ => false,
        };
        if broke { Self::Failed(error.into()) } else { Self::BadInput(error.into()) }
    }

    /// Exit code of the program.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::BadInput(_) => 2,
            Self::Failed(_) => 1,
            Self::Interrupted(signal) => interrupt::exit_code(*signal),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = match self {
            Self::BadInput(error) | Self::Failed(error) => error,
            Self::Interrupted(signal) => {
                let name = interrupt::name(*signal);
                return write!(
                    f,
                    "interrupted by {name}: what was running waits to be tried again; the same line goes on"
                );
            }
        };
        write!(f, "error: {}", in_words(error))
    }
}

/// An error and all its causes on one line, shortened where it quotes values without end. A cause that is already part
/// of the text is left out.
pub fn in_words(error: &anyhow::Error) -> String {
    let mut said = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !said.contains(&cause) {
            said += &format!(": {cause}");
        }
    }
    words::shortened(&said)
}
