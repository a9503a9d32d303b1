//! Why a command ended without success, and with which exit code.

use qgd::artifact::ArtifactError;
use qgd::controller::{PretrainedError, RecipeError};
use qgd::meta::{EngineError, MetaTrainingError};
use qgd::tuner::TunerError;
use qgd::tuner::storage::StorageError;
use std::fmt;
use std::process::ExitCode;

/// A command that did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// What the user gave cannot be used: exit code 2.
    BadInput(anyhow::Error),
    /// Anything else: exit code 1.
    Failed(anyhow::Error),
}

impl Failure {
    /// For `map_err` where the user's input is to blame.
    pub fn bad_input(error: impl Into<anyhow::Error>) -> Self {
        Self::BadInput(error.into())
    }

    /// Finds out by the kind of error who is to blame, for commands that do not say.
    pub fn of(error: anyhow::Error) -> Self {
        let input = error.chain().any(|cause| {
            let other_run = matches!(cause.downcast_ref(), Some(MetaTrainingError::OtherRun { .. }));
            let wrong_engine =
                matches!(cause.downcast_ref(), Some(EngineError::LineSearch { .. } | EngineError::Family { .. }));
            other_run
                || wrong_engine
                || cause.is::<RecipeError>()
                || cause.is::<PretrainedError>()
                || cause.is::<ArtifactError>()
        });
        if input { Self::BadInput(error) } else { Self::Failed(error) }
    }

    /// A study that cannot be had is the user's to choose; one that breaks is not.
    pub fn of_tuner(error: TunerError) -> Self {
        let broke = match &error {
            TunerError::KeepsFailing { .. } => true,
            TunerError::Storage(storage) => !matches!(
                storage,
                StorageError::Url { .. }
                    | StorageError::Open { .. }
                    | StorageError::Empty { .. }
                    | StorageError::ReadOnly { .. }
                    | StorageError::ForeignSchema { .. }
            ),
            _ => false,
        };
        if broke { Self::Failed(error.into()) } else { Self::BadInput(error.into()) }
    }

    /// The exit code of the program.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::BadInput(_) => ExitCode::from(2),
            Self::Failed(_) => ExitCode::FAILURE,
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
        let (Self::BadInput(error) | Self::Failed(error)) = self;
        // The error and all its causes on one line, without saying anything twice.
        write!(f, "error: {error}")?;
        let mut said = error.to_string();
        for cause in error.chain().skip(1).map(ToString::to_string) {
            if !said.contains(&cause) {
                write!(f, ": {cause}")?;
                said += &cause;
            }
        }
        Ok(())
    }
}
